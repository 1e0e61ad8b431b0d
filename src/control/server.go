package control

import (
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
)

const (
	// DefaultPath is where the socket is when nobody says otherwise.
	DefaultPath = "/var/run/tunneldigger-broker.sock"
	// MaxCallers is how many are served at once.
	MaxCallers = 16
	// MaxRequest is the longest request in bytes, its newline included.
	MaxRequest = 1024

	patience = 10 * time.Second // with a caller that neither sends nor reads
	wholly   = time.Minute      // for a whole request, and for a whole answer
	backlog  = 64
	breather = time.Second // when there are no descriptors for callers
)

// Server serves callers. It belongs to one loop, which watches FD for reading
// and calls Ready, and calls Tick in every turn.
type Server struct {
	handle   func(c *Conn, words []string)
	epoll    int
	listener int // -1: there is none
	file     socketFile
	watched  bool          // the listener is in the set
	rest     bool          // from accepting, as no descriptor was to be had
	retry    time.Duration // when to accept again
	callers  map[int]*Conn // by descriptor
}

// New makes a Server without a socket, which can only Adopt. handle gets each
// request, at least one word, and ends it by Conn.Finish or Conn.Stream, at
// once or later.
func New(handle func(c *Conn, words []string)) (*Server, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, phrase.Errorf("epoll_create: %w", err)
	}
	return &Server{handle: handle, epoll: epoll, listener: -1, callers: make(map[int]*Conn)}, nil
}

// Listen makes the socket, with mode 0600. A file that nobody answers on any
// more is replaced; with one that somebody does the error is ErrAlive.
func (s *Server) Listen(path string) error {
	fd, file, err := listen(path)
	if err != nil {
		return err
	}
	return s.serve(fd, file)
}

// Resume serves a listening socket that was handed over from an earlier
// process, which had it at path. The descriptor belongs to the Server.
func (s *Server) Resume(path string, fd int) error {
	unix.CloseOnExec(fd)
	file, err := look(path)
	if err != nil {
		_ = unix.Close(fd)
		return err
	}
	return s.serve(fd, file)
}

func (s *Server) serve(fd int, file socketFile) error {
	s.listener, s.file = fd, file
	return s.accepting()
}

// Listener is the descriptor of the listening socket, -1 if there is none.
func (s *Server) Listener() int { return s.listener }

// Path is where the listening socket is, "" if there is none.
func (s *Server) Path() string { return s.file.path }

// FD is the descriptor to watch for reading.
func (s *Server) FD() int { return s.epoll }

// Ready serves one caller by one step: a turn of the loop, which has more to
// do, is never long because of callers. The kernel takes them in turns.
func (s *Server) Ready() {
	var events [1]unix.EpollEvent
	n, err := unix.EpollWait(s.epoll, events[:], 0)
	if err != nil || n == 0 {
		return
	}
	ev := &events[0]
	if int(ev.Fd) == s.listener {
		s.accept()
		return
	}
	if c := s.callers[int(ev.Fd)]; c != nil {
		c.ready(ev.Events)
	}
}

// Due is when Tick has something to do; false: never.
func (s *Server) Due() (due time.Duration, ok bool) {
	if s.rest {
		due, ok = s.retry, true
	}
	for _, c := range s.callers {
		if c.state != pending && (!ok || c.deadline < due) {
			due, ok = c.deadline, true
		}
	}
	return due, ok
}

// Tick drops callers that made no progress for ten seconds, or take more than a
// minute. The time that an answer is worked on does not count.
func (s *Server) Tick(now time.Duration) {
	for _, c := range s.callers {
		switch {
		case c.state == pending:
			c.end = 0
		case c.moved:
			if c.end == 0 {
				c.end = now + wholly
			}
			c.moved, c.deadline = false, min(now+patience, c.end)
		case now >= c.deadline:
			c.close()
		}
	}
	if s.rest && s.retry == 0 {
		s.retry = now + breather
	} else if s.rest && now >= s.retry {
		s.rest, s.retry = false, 0
		_ = s.accepting()
	}
}

// Close drops every caller and removes the socket.
func (s *Server) Close() {
	for _, c := range s.callers {
		c.close()
	}
	if s.listener >= 0 {
		s.file.remove()
		_ = unix.Close(s.listener)
		s.listener = -1
	}
	_ = unix.Close(s.epoll)
}

func (s *Server) accept() {
	// Not unix.Accept4: with the addresses of all families that it can tell it takes 20 kB of a router's flash.
	fd, _, err := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(s.listener), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	switch err {
	case 0:
		s.add(&Conn{server: s, fd: int(fd), moved: true}, unix.EPOLLIN)
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
		s.rest = true
	}
	_ = s.accepting()
}

// accepting watches the listener, or leaves it alone while there is no room.
func (s *Server) accepting() error {
	want := s.listener >= 0 && !s.rest && len(s.callers) < MaxCallers
	if want == s.watched {
		return nil
	}
	s.watched = want
	if want {
		return s.control(unix.EPOLL_CTL_ADD, s.listener, unix.EPOLLIN)
	}
	return s.control(unix.EPOLL_CTL_DEL, s.listener, 0)
}

func (s *Server) control(op, fd int, events uint32) error {
	if err := unix.EpollCtl(s.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
		return phrase.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// Adopt serves a caller whose request an earlier process took in, and waits
// for its answer. The descriptor belongs to the Conn.
func (s *Server) Adopt(fd int) *Conn {
	unix.CloseOnExec(fd)
	_ = unix.SetNonblock(fd, true)
	c := &Conn{server: s, fd: fd, state: pending}
	s.add(c, 0)
	return c
}

func (s *Server) add(c *Conn, events uint32) {
	s.callers[c.fd] = c
	if s.control(unix.EPOLL_CTL_ADD, c.fd, events) != nil {
		c.close()
	}
}
