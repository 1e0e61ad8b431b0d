package nl

import (
	"errors"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
)

const (
	bufferLen     = 32 << 10 // the kernel fills replies to a list up to this size, linux/netlink.h and af_netlink.c
	answerSeconds = 5
	dumpTries     = 5
)

// Conn is a netlink socket that asks one thing at a time. It is not safe for concurrent use.
type Conn struct {
	wire    transport
	seq     uint32
	request *Message
	buffer  []byte
}

// transport carries whole messages: a socket, or a function in tests.
type transport interface {
	write(request []byte) error
	// read fills the buffer with one or more whole messages. Without wait it gives EAGAIN when there are none.
	read(buffer []byte, wait bool) (int, error)
	fd() int
	close() error
}

// Header is a message's fixed header without the length.
type Header struct {
	Type, Flags uint16
	Seq         uint32
}

// Dial opens a socket of the given protocol (unix.NETLINK_GENERIC, unix.NETLINK_ROUTE) in the network namespace of the calling
// thread. It asks for extended acknowledgements where the kernel has them, and accepts messages from the kernel only.
func Dial(protocol int) (*Conn, error) {
	s, err := dial(protocol, 0, 256<<10)
	if err != nil {
		return nil, phrase.Errorf("open netlink socket: %w", err)
	}
	return newConn(s), nil
}

func newConn(wire transport) *Conn {
	return &Conn{wire: wire, request: NewMessage(Host), buffer: make([]byte, bufferLen)}
}

// FD is the socket, which stays the Conn's own; -1 for a fake.
func (c *Conn) FD() int { return c.wire.fd() }

// Close closes the socket.
func (c *Conn) Close() error { return c.wire.close() }

// Request starts a request in the Conn's own message, which is valid until the next one. The operation names it in errors and
// should be a constant; NLM_F_REQUEST and what Do and Dump need are added to the flags.
func (c *Conn) Request(op string, kind, flags uint16) *Message {
	c.request.Begin(op, kind, flags)
	return c.request
}

// Do sends the request and waits until the kernel has carried it out. Messages that the kernel answers with before that are given
// to reply, if there is one; they are valid during the call only, and reply must not use the Conn. A refusal is an *Error.
func (c *Conn) Do(reply func(h Header, body []byte)) error {
	if err := c.send(unix.NLM_F_ACK); err != nil {
		return err
	}
	op := c.request.op
	for {
		batch, err := c.receive()
		if err != nil {
			return err
		}
		for len(batch) > 0 {
			var h Header
			var body []byte
			if h, body, batch, err = cut(Host, batch); err != nil {
				return malformed(op, "message", len(batch))
			}
			switch {
			case h.Seq != c.seq: // the late answer to a request that was given up
			case h.Type == unix.NLMSG_ERROR:
				return acknowledged(op, Host, h.Flags, body)
			case h.Type >= unix.NLMSG_MIN_TYPE && reply != nil:
				reply(h, body)
			}
		}
	}
}

// Dump sends the request for a list and calls each for every message of it. When the list changed while it was read, or part of it
// was lost, it is read again from the start, a few times at most: begin is called before every try and drops what was collected. Bodies are
// valid during the call only, and the functions must not use the Conn.
func (c *Conn) Dump(begin func(), each func(h Header, body []byte)) error {
	var err error
	for try := 0; try < dumpTries; try++ {
		begin()
		if err = c.dump(each); !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
	}
	return err
}

func (c *Conn) dump(each func(h Header, body []byte)) error {
	if err := c.send(unix.NLM_F_DUMP); err != nil {
		return err
	}
	op, interrupted := c.request.op, false
	for {
		batch, err := c.receive()
		if err != nil {
			return err
		}
		for len(batch) > 0 {
			var h Header
			var body []byte
			if h, body, batch, err = cut(Host, batch); err != nil {
				return malformed(op, "message", len(batch))
			}
			if h.Seq != c.seq {
				continue
			}
			interrupted = interrupted || h.Flags&unix.NLM_F_DUMP_INTR != 0
			switch {
			case h.Type == unix.NLMSG_ERROR:
				return acknowledged(op, Host, h.Flags, body)
			case h.Type == unix.NLMSG_DONE:
				if interrupted {
					return &Error{Op: op, Errno: unix.EINTR, Text: "the list changed while it was read"}
				}
				return finished(op, Host, h.Flags, body)
			case h.Type >= unix.NLMSG_MIN_TYPE:
				each(h, body)
			}
		}
	}
}

func (c *Conn) send(flags uint16) error {
	m := c.request
	if err := m.Err(); err != nil {
		return err
	}
	c.seq++
	b := m.Bytes()
	Host.PutUint16(b[6:], Host.Uint16(b[6:])|unix.NLM_F_REQUEST|flags)
	Host.PutUint32(b[8:], c.seq)
	if err := c.wire.write(b); err != nil {
		return failed(m.op, err)
	}
	return nil
}

// receive gives the next messages. After an overrun (ENOBUFS) whatever the kernel still could queue is there already, so
// there is nothing to wait for.
func (c *Conn) receive() ([]byte, error) {
	n, err := c.wire.read(c.buffer, true)
	if err == unix.ENOBUFS {
		if n, err = c.wire.read(c.buffer, false); err == unix.EAGAIN {
			err = unix.ENOBUFS
		}
	}
	if err == unix.EAGAIN {
		return nil, &Error{Op: c.request.op, Errno: unix.ETIMEDOUT, Text: "no answer from the kernel"}
	}
	if err != nil {
		return nil, failed(c.request.op, err)
	}
	return c.buffer[:n], nil
}

// cut splits the first message off a batch.
func cut(order Order, batch []byte) (h Header, body, rest []byte, err error) {
	if len(batch) < headerLen {
		return h, nil, batch, ErrMalformed
	}
	length := order.Uint32(batch)
	if length < headerLen || uint64(length) > uint64(len(batch)) {
		return h, nil, batch, ErrMalformed
	}
	h = Header{Type: order.Uint16(batch[4:]), Flags: order.Uint16(batch[6:]), Seq: order.Uint32(batch[8:])}
	return h, batch[headerLen:length], batch[min(padded(int(length)), len(batch)):], nil
}

func failed(op string, err error) error {
	if errno, ok := err.(unix.Errno); ok {
		return &Error{Op: op, Errno: errno}
	}
	return phrase.Errorf("%s: %w", op, err)
}

func malformed(op, what string, n int) error {
	return phrase.Errorf("%s: %w: %s of %d bytes", op, ErrMalformed, what, n)
}
