package control

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
)

// ErrAlive: somebody answers on the socket already.
var ErrAlive = errors.New("another broker answers there")

// Advice says in words what follows from an error of Listen, and what to do.
func Advice(err error) string {
	if errors.Is(err, ErrAlive) {
		return "commands reach the other broker; --socket PATH gives this one a place of its own"
	}
	return "commands can't reach this broker; --socket PATH sets another place"
}

// socketFile is the file of a socket that is ours.
type socketFile struct {
	path     string
	dev, ino uint64
}

func look(path string) (socketFile, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return socketFile{}, phrase.Errorf("%s: %w", path, err)
	}
	return socketFile{path, uint64(st.Dev), st.Ino}, nil
}

// remove removes the file, unless another process has put its own there.
func (f socketFile) remove() {
	if now, err := look(f.path); err == nil && now == f {
		_ = unix.Unlink(f.path)
	}
}

// listen makes the socket under another name and links it to its path only when
// it listens and has its mode. So whoever finds a file there and nobody behind
// it knows that it is stale, and of two that begin at once one gets it.
func listen(path string) (int, socketFile, error) {
	fault := func(err error) (int, socketFile, error) {
		return -1, socketFile{}, phrase.Errorf("%s: %w", path, err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fault(err)
	}
	temporary := path + "." + strconv.Itoa(os.Getpid())
	_ = unix.Unlink(temporary)
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: temporary}); err == nil {
		if err = unix.Chmod(temporary, 0o600); err == nil {
			err = unix.Listen(fd, backlog)
		}
		if err == nil {
			err = link(temporary, path)
		}
		_ = unix.Unlink(temporary)
	}
	var file socketFile
	if err == nil {
		file, err = look(path)
	}
	if err != nil {
		_ = unix.Close(fd)
		return fault(err)
	}
	return fd, file, nil
}

// link gives the socket its path, in place of one that nobody answers on.
func link(temporary, path string) error {
	err := unix.Link(temporary, path)
	if err != unix.EEXIST {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return errors.New("there is a file that is no socket")
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	_ = unix.Close(fd)
	switch err {
	case unix.ENOENT: // it has just gone
	case unix.ECONNREFUSED:
		if err := unix.Unlink(path); err != nil && err != unix.ENOENT {
			return err
		}
	case nil, unix.EAGAIN: // EAGAIN: alive, with many that wait
		return ErrAlive
	default:
		return err
	}
	return unix.Link(temporary, path)
}
