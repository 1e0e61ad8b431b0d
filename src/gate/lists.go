package gate

import (
	"errors"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/admission"
	"tunneldigger/src/config"
	"tunneldigger/src/logline"
	"tunneldigger/src/watch"
)

const (
	listQuiet  = 300 * time.Millisecond // without a change, before a list is read
	listSoon   = time.Second            // after the first change it is read, quiet or not
	listLook   = 30 * time.Second       // between two looks at files that inotify may not tell of
	listFaults = 5                      // that are said of one file
)

// Lists are the allow and deny lists of all sections, each file read once however
// many sections have it. Times are those of the caller's clock. It is not safe for
// concurrent use.
//
// A list that can't be read or has a fault leaves the last good one in force.
// Where there is none yet, an allow list lets nobody in, and a deny list keeps
// nobody out: neither opens the door to those who should not come, nor shuts a
// gateway because of a file that names a few.
type Lists struct {
	log     *logline.Logger
	notify  func()
	watcher *watch.Watcher // nil: no inotify, files are looked at now and then
	files   map[string]*listFile
	paths   []string
	first   time.Duration // when something changed that has not been read
	due     time.Duration // when it is read, 0: nothing has changed
	look    time.Duration // when files are to be looked at again
	results chan *listRead
}

// listFile is one file of a list.
type listFile struct {
	_       [0]func() // not to be compared: that would be code for nothing
	path    string
	list    *admission.List // the last good one, nil: none
	said    string          // what was said of it last
	stamp   listStamp       // of what was read
	seen    listStamp       // at the last look
	changed bool
	reading bool
}

// NewLists makes Lists of no files. What is read and what is wrong with it is
// logged. notify is called, from any goroutine, when there is something for
// Collect; it must not block. The error says that changes will be seen late, since
// there is no inotify; the Lists are good all the same.
func NewLists(log *logline.Logger, notify func()) (*Lists, error) {
	l := &Lists{log: log, notify: notify, results: make(chan *listRead, 1)}
	var err error
	l.watcher, err = watch.New()
	return l, err
}

// FD is the descriptor of which Changed is to be told when it is readable, -1:
// there is none.
func (l *Lists) FD() int {
	if l.watcher == nil {
		return -1
	}
	return l.watcher.FD()
}

// Close ends the watch; a file that is being read goes to nobody.
func (l *Lists) Close() {
	if l.watcher != nil {
		_ = l.watcher.Close()
	}
}

// Follow reads and watches the lists that these sections have, instead of those
// before; then they are in force, see For. Those that were read before are not read
// again here, but with anew they are as if they had changed. The error says that
// some changes will be seen late.
func (l *Lists) Follow(now time.Duration, sections []*config.Broker, anew bool) error {
	old := l.files
	l.files, l.paths = make(map[string]*listFile), nil
	for _, b := range sections {
		for _, path := range []string{b.AllowList, b.DenyList} {
			if path == "" || l.files[path] != nil {
				continue
			}
			f := old[path]
			if f == nil {
				f = &listFile{path: path}
			}
			l.files[path] = f
			l.paths = append(l.paths, path)
		}
	}
	err := l.watch(now)
	// After the watch has begun, so that no change falls between.
	for _, path := range l.paths {
		if f := l.files[path]; old[path] == nil {
			l.take(readList(f))
		} else if anew {
			l.changed(now, f)
		}
	}
	return err
}

// watch sets inotify on the files that there are, and when to look again.
func (l *Lists) watch(now time.Duration) error {
	l.look = now + listLook
	if len(l.paths) == 0 {
		l.look = 0
	}
	if l.watcher == nil {
		return nil
	}
	return l.watcher.Set(l.paths)
}

// For gives the lists that are in force for a section. A nil allow list lets in
// everybody who is not on deny; nil for deny keeps out nobody.
func (l *Lists) For(b *config.Broker) (allow, deny *admission.List) {
	if f := l.files[b.AllowList]; f != nil {
		if allow = f.list; allow == nil {
			allow = new(admission.List) // nobody
		}
	}
	if f := l.files[b.DenyList]; f != nil {
		deny = f.list
	}
	return allow, deny
}

// Changed takes in what inotify tells.
func (l *Lists) Changed(now time.Duration) error {
	return l.watcher.Read(func(path string) {
		if f := l.files[path]; f != nil {
			l.changed(now, f)
		}
	})
}

// changed has a file read when nothing more happens to it for a moment: programs
// change files in several steps, and half a list is none.
func (l *Lists) changed(now time.Duration, f *listFile) {
	f.changed = true
	if l.due == 0 {
		l.first = now
	}
	l.due = min(now+listQuiet, l.first+listSoon)
}

// Due is when Tick is to be called, false: no need to.
func (l *Lists) Due() (time.Duration, bool) {
	if l.due != 0 && (l.look == 0 || l.due < l.look) {
		return l.due, true
	}
	return l.look, l.look != 0
}

// Tick does what is due. The error is as with Follow.
func (l *Lists) Tick(now time.Duration) (err error) {
	if l.look != 0 && now >= l.look {
		err = l.lookAround(now)
	}
	if l.due == 0 || now < l.due {
		return err
	}
	l.due = 0
	for _, path := range l.paths {
		f := l.files[path]
		if !f.changed || f.reading {
			continue
		}
		// Beside the loop: a long list takes its time.
		f.changed, f.reading = false, true
		go func() {
			l.results <- readList(f)
			l.notify()
		}()
	}
	return err
}

// lookAround finds changes that inotify does not tell of: behind links, on network
// file systems, in folders that have come since. What has changed must have stayed
// so for one look, or it may be half written.
func (l *Lists) lookAround(now time.Duration) error {
	err := l.watch(now)
	for _, f := range l.files {
		var st unix.Stat_t
		is := listStamp{}
		if unix.Stat(f.path, &st) == nil {
			is = stampOf(&st)
		}
		if is != f.stamp && is == f.seen {
			l.changed(now, f)
		}
		f.seen = is
	}
	return err
}

// Collect takes in what has been read and gives the paths of those lists that are
// others now, for which For is to be asked again.
func (l *Lists) Collect(now time.Duration) (paths []string) {
	for {
		select {
		case r := <-l.results:
			f := r.file
			f.reading = false
			if f.changed {
				l.changed(now, f)
			}
			if l.files[f.path] == f && l.take(r) {
				paths = append(paths, f.path)
			}
		default:
			return paths
		}
	}
}

// take keeps what was read and says so; it reports whether it was good.
func (l *Lists) take(r *listRead) bool {
	f := r.file
	f.stamp = r.stamp
	if r.err == nil {
		f.list, f.said = r.list, ""
		l.log.Info("list read", "file", f.path, "entries", r.list.Lines(), "took", r.took.Round(time.Millisecond/10))
		return true
	}
	text := r.err.Error()
	if text == f.said {
		return false
	}
	f.said = text
	until := "the list before it stays in force"
	if f.list == nil {
		until = "there is none yet: as allow_list it lets nobody in, as deny_list it keeps nobody out"
	}
	if errors.Is(r.err, fs.ErrNotExist) { // it may still come
		l.log.Warn("a list is not there", "file", f.path, "so", until)
		return false
	}
	if faults, several := r.err.(config.Faults); several {
		for _, fault := range faults[:min(len(faults), listFaults)] {
			l.log.Error("a list is wrong", "error", fault)
		}
	} else {
		l.log.Error("a list is wrong", "error", r.err)
	}
	l.log.Error("a list is not taken", "file", f.path, "so", until)
	return false
}
