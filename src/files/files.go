// Package files reads files and folders, and says what they are. Package os would say the same: its way of it brings the days and time zones of package
// time with it, 50 kB of a router's flash, and reading a folder takes 18 more.
//
// Errors are of type [fs.PathError].
package files

import (
	"io/fs"
	"math"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Read gives the whole text of a file.
func Read(path string) (string, error) { return ReadUpTo(path, math.MaxInt) }

// ReadUpTo gives the text of a file, and no more than the first so many bytes of it.
func ReadUpTo(path string, most int) (string, error) {
	fd, err := open(path)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	text, err := ReadFrom(fd, path, most)
	return string(text), err
}

// ReadFrom gives what there is still to read in an open file, and no more than so many bytes. The path is for the error.
func ReadFrom(fd int, path string, most int) ([]byte, error) {
	text := make([]byte, 0, 512)
	for len(text) < most {
		if len(text) == cap(text) {
			text = slices.Grow(text, min(len(text), most-len(text))) // twice as much
		}
		n, err := retried(func() (int, error) { return unix.Read(fd, text[len(text):min(most, cap(text))]) })
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if n <= 0 {
			break
		}
		text = text[:len(text)+n]
	}
	return text, nil
}

// Names gives the names in a folder, in no order and without "." and "..". What was read before an error comes with it.
func Names(path string) (names []string, err error) {
	fd, err := open(path)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	buffer := make([]byte, 8192)
	for {
		n, err := retried(func() (int, error) { return unix.ReadDirent(fd, buffer) })
		if err != nil {
			return names, &fs.PathError{Op: "list", Path: path, Err: err}
		}
		if n <= 0 {
			return names, nil
		}
		_, _, names = unix.ParseDirent(buffer[:n], -1, names)
	}
}

// Info is what stat(2) knows.
type Info unix.Stat_t

// Stat looks at what is at a path, through links.
func Stat(path string) (Info, error) {
	var stat unix.Stat_t
	if _, err := retried(func() (int, error) { return 0, unix.Stat(path, &stat) }); err != nil {
		return Info{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return Info(stat), nil
}

// IsFile reports whether it is a regular file.
func (i *Info) IsFile() bool { return i.Mode&unix.S_IFMT == unix.S_IFREG }

// IsFolder reports whether it is a folder.
func (i *Info) IsFolder() bool { return i.Mode&unix.S_IFMT == unix.S_IFDIR }

// Permissions are what chmod(1) sets, without its special bits.
func (i *Info) Permissions() uint32 { return i.Mode & 0o777 }

// IsLink reports whether there is a symbolic link at a path.
func IsLink(path string) bool {
	var stat unix.Stat_t
	return unix.Lstat(path, &stat) == nil && stat.Mode&unix.S_IFMT == unix.S_IFLNK
}

// Absolute gives a path as it is from the root, made clean.
func Absolute(path string) (string, error) {
	if filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	here, err := unix.Getwd()
	if err != nil {
		return "", &fs.PathError{Op: "find the working directory of", Path: path, Err: err}
	}
	return filepath.Join(here, path), nil
}

func open(path string) (int, error) {
	fd, err := retried(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// retried calls again what a signal has interrupted.
func retried(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR {
			return n, err
		}
	}
}
