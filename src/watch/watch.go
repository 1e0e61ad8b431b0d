// Package watch tells when files change, by inotify(7) on the folders that they
// are in: so a file may be written in place, replaced by another that is renamed
// over it, as editors and packages do, removed, or not be there yet.
package watch

import (
	"bytes"
	"encoding/binary"
	"path/filepath"

	"golang.org/x/sys/unix"

	"tunneldigger/src/files"
	"tunneldigger/src/phrase"
)

// What happens to a file in a folder. A file that is made is written, which is
// what counts; only a link to one is complete at once.
const (
	events = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_ATTRIB | unix.IN_CREATE
	folder = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
)

// Watcher watches files. It is not safe for use by several goroutines at once.
type Watcher struct {
	fd      int
	files   map[string]bool
	folders map[int32]string // by watch descriptor
	buffer  [4096]byte
}

// New makes a Watcher without files. Its descriptor is non-blocking and closed on
// exec.
func New() (*Watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, phrase.Errorf("inotify_init: %w", err)
	}
	return &Watcher{fd: fd, folders: make(map[int32]string)}, nil
}

// FD is the descriptor to wait on; it belongs to the Watcher.
func (w *Watcher) FD() int { return w.fd }

// Close ends the watch.
func (w *Watcher) Close() error { return unix.Close(w.fd) }

// Set says which files to watch, by absolute path, instead of those before. It is
// to be called again now and then: a folder that is not there can't be watched,
// nor one that has taken another's place. The error is the first fault, but for
// missing folders; the other folders are watched all the same.
func (w *Watcher) Set(paths []string) error {
	w.files = make(map[string]bool, len(paths))
	kept := make(map[int32]string, len(paths))
	var first error
	for _, path := range paths {
		path = filepath.Clean(path)
		w.files[path] = true
		dir := filepath.Dir(path)
		wd, err := unix.InotifyAddWatch(w.fd, dir, events|folder)
		if err == nil {
			kept[int32(wd)] = dir
		} else if first == nil && err != unix.ENOENT && err != unix.ENOTDIR {
			first = phrase.Errorf("watch %s: %w", dir, err)
		}
	}
	for wd := range w.folders {
		if kept[wd] == "" {
			_, _ = unix.InotifyRmWatch(w.fd, uint32(wd)) // it may be gone already
		}
	}
	w.folders = kept
	return first
}

// Read takes in what is waiting and calls changed with the path of each file that
// may be another now, some of them several times. It does not block.
func (w *Watcher) Read(changed func(path string)) error {
	for {
		n, err := unix.Read(w.fd, w.buffer[:])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return nil
		case err != nil:
			return phrase.Errorf("read from inotify: %w", err)
		case n == 0:
			return nil
		}
		w.parse(w.buffer[:n], changed)
	}
}

// parse takes in events: struct inotify_event of inotify(7), in host byte order,
// each with a name that is filled up with zeros.
func (w *Watcher) parse(b []byte, changed func(path string)) {
	for len(b) >= unix.SizeofInotifyEvent {
		wd, mask := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:])
		size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		if size > len(b) {
			return
		}
		name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:size], []byte{0})
		b = b[size:]
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0:
			for path := range w.files {
				changed(path)
			}
		case mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_IGNORED) != 0:
			w.lost(wd, changed)
		default:
			path := filepath.Join(w.folders[wd], string(name))
			if w.files[path] && (mask&unix.IN_CREATE == 0 || files.IsLink(path)) {
				changed(path)
			}
		}
	}
}

// lost is called when a folder is not where it was.
func (w *Watcher) lost(wd int32, changed func(path string)) {
	dir, known := w.folders[wd]
	if !known {
		return
	}
	delete(w.folders, wd)
	_, _ = unix.InotifyRmWatch(w.fd, uint32(wd))
	for path := range w.files {
		if filepath.Dir(path) == dir {
			changed(path)
		}
	}
}
