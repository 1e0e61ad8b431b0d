package control

import (
	"bytes"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

type state uint8

const (
	reading state = iota // its request
	pending              // its answer is worked on
	writing
	closed
)

// Conn is one caller. It is used by the loop of its Server only, and may be
// used after the caller has gone: then nothing happens.
type Conn struct {
	server   *Server
	fd       int
	state    state
	request  []byte
	out      []byte // what is being written
	sent     int    // of out
	next     func(dst []byte) ([]byte, bool)
	over     func()
	moved    bool // there was progress since the last Tick
	deadline time.Duration
	end      time.Duration // of all patience, 0: not set yet
}

// FD is the descriptor, for handing the caller over to another process; -1 when
// it has gone.
func (c *Conn) FD() int {
	if c.state == closed {
		return -1
	}
	return c.fd
}

// Finish answers: with text as the body or, when err is not nil, with that. The
// first line of a fault is the answer, further ones are its body.
func (c *Conn) Finish(text string, err error) {
	if err != nil {
		c.answer("error: " + strings.TrimRight(err.Error(), "\n") + "\n" + text)
		return
	}
	c.answer("ok\n" + text)
}

func (c *Conn) answer(text string) {
	if c.state != pending {
		return
	}
	c.state, c.moved = writing, true
	c.out = []byte(text)
	c.write()
}

// Stream answers with a body that next makes piece by piece, each when the
// caller has taken the one before: next appends to dst, which is empty, and
// reports whether there is more. end is called once, after the last piece or when
// the caller has gone.
func (c *Conn) Stream(next func(dst []byte) ([]byte, bool), end func()) {
	if c.state != pending {
		end()
		return
	}
	c.next, c.over = next, end
	c.answer("ok\n")
}

// ready is called with what epoll says.
func (c *Conn) ready(events uint32) {
	switch {
	case c.state == reading && events&unix.EPOLLIN != 0:
		c.read()
	case events&(unix.EPOLLHUP|unix.EPOLLERR) != 0:
		c.close()
	case c.state == writing:
		if c.sent == len(c.out) && c.next != nil {
			var more bool
			c.sent, c.moved = 0, true
			if c.out, more = c.next(c.out[:0]); !more {
				c.next = nil
			}
		}
		c.write()
	}
}

func (c *Conn) read() {
	var buffer [MaxRequest]byte
	n, err := unix.Read(c.fd, buffer[:MaxRequest-len(c.request)])
	if err == unix.EAGAIN || err == unix.EINTR {
		return
	}
	if err != nil || n <= 0 {
		c.close()
		return
	}
	c.moved = true
	c.request = append(c.request, buffer[:n]...)
	line, _, whole := bytes.Cut(c.request, []byte{'\n'})
	if !whole && len(c.request) < MaxRequest {
		return
	}
	c.state = pending
	c.watch(0)
	words := strings.Fields(string(line))
	c.request = nil
	switch {
	case !whole:
		c.Finish("", errTooLong)
	case len(words) == 0:
		c.Finish("", errEmpty)
	default:
		c.server.handle(c, words)
	}
}

// write writes what it can and closes at the end.
func (c *Conn) write() {
	if c.sent < len(c.out) {
		n, err := unix.SendmsgN(c.fd, c.out[c.sent:], nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		switch {
		case err == nil:
			c.sent += n
			c.moved = true
		case err != unix.EAGAIN && err != unix.EINTR:
			c.close()
			return
		}
	}
	if c.sent == len(c.out) && c.next == nil {
		c.close()
		return
	}
	c.watch(unix.EPOLLOUT)
}

func (c *Conn) watch(events uint32) {
	if c.server.control(unix.EPOLL_CTL_MOD, c.fd, events) != nil {
		c.close()
	}
}

func (c *Conn) close() {
	if c.state == closed {
		return
	}
	c.state, c.out, c.next, c.request = closed, nil, nil, nil
	delete(c.server.callers, c.fd)
	_ = c.server.control(unix.EPOLL_CTL_DEL, c.fd, 0)
	_ = unix.Close(c.fd)
	_ = c.server.accepting()
	if over := c.over; over != nil {
		c.over = nil
		over()
	}
}
