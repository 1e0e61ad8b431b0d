package notify

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
)

// Store is systemd's store of descriptors: what is in it outlives the process,
// and comes back when the service is started again after a crash.
type Store struct{ fd int }

// HasStore reports whether systemd has a store for this service. It sets FDSTORE from
// version 254 on; for older ones the unit does.
func HasStore() bool {
	size := os.Getenv("FDSTORE")
	return os.Getenv("NOTIFY_SOCKET") != "" && size != "" && size != "0"
}

// OpenStore gives the store of this service, nil where it has none.
func OpenStore() (*Store, error) {
	if !HasStore() {
		return nil, nil
	}
	name := os.Getenv("NOTIFY_SOCKET")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, phrase.Errorf("notify socket: %w", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		unix.Close(fd)
		return nil, phrase.Errorf("notify %s: %w", name, err)
	}
	return &Store{fd}, nil
}

// Add puts a copy of a descriptor into the store. The name has no colon and is
// shorter than 256. It never blocks: the error is a bare errno, EAGAIN when
// systemd has not read what it was told before. systemd does not look at what
// happens to the descriptor: an error in a socket's queue is none of its business.
func (s *Store) Add(name string, fd int) error {
	return unix.Sendmsg(s.fd, []byte("FDSTORE=1\nFDPOLL=0\nFDNAME="+name), unix.UnixRights(fd), nil, unix.MSG_NOSIGNAL)
}

// Remove takes out all of a name, and closes systemd's copies. Errors are as
// with Add.
func (s *Store) Remove(name string) error {
	return unix.Sendmsg(s.fd, []byte("FDSTOREREMOVE=1\nFDNAME="+name), nil, nil, unix.MSG_NOSIGNAL)
}

// Close ends the use of the store; what is in it stays.
func (s *Store) Close() error { return unix.Close(s.fd) }

// Stored is a descriptor that came back.
type Stored struct {
	Name string
	FD   int
}

// Inherited gives the descriptors that systemd has handed to this process (see
// sd_listen_fds(3)), closed on exec, and forgets about them: a second call gives
// none. They belong to the caller.
func Inherited() (all []Stored) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(name)
	}
	n, err := strconv.Atoi(count)
	if err != nil || pid != strconv.Itoa(os.Getpid()) {
		return nil
	}
	const first = 3 // SD_LISTEN_FDS_START
	list := strings.Split(names, ":")
	for i := range n {
		s := Stored{FD: first + i}
		if i < len(list) {
			s.Name = list[i]
		}
		unix.CloseOnExec(s.FD)
		all = append(all, s)
	}
	return all
}
