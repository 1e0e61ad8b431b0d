package nl

import (
	"errors"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
)

// ErrOverrun says that a Listener's socket was full and notifications were lost, so that what is known must be listed anew.
var ErrOverrun = errors.New("netlink notifications were lost")

// readsPerCall bounds what one Listener.Read does to the latency of the loop that calls it.
const readsPerCall = 256

// Listener receives the kernel's notifications. It is not safe for concurrent use.
type Listener struct {
	wire   transport
	buffer []byte
}

// Listen subscribes to the groups (a mask, unix.RTMGRP_*) of a protocol in the network namespace of the calling thread. The kernel may
// queue up to receiveBuffer bytes, if the process has CAP_NET_ADMIN.
func Listen(protocol int, groups uint32, receiveBuffer int) (*Listener, error) {
	s, err := dial(protocol, groups, receiveBuffer)
	if err == nil {
		if err = unix.SetNonblock(int(s), true); err == nil {
			return newListener(s), nil
		}
		s.close()
	}
	return nil, phrase.Errorf("listen to netlink notifications: %w", err)
}

func newListener(wire transport) *Listener {
	return &Listener{wire: wire, buffer: make([]byte, bufferLen)}
}

// FD is the socket, to wait for input at with level-triggered epoll. It stays the Listener's own.
func (l *Listener) FD() int { return l.wire.fd() }

// Close closes the socket.
func (l *Listener) Close() error { return l.wire.close() }

// Read calls each for every notification that waits, a few hundred at most at a time, and never waits itself. Bodies are valid during the
// call only. ErrOverrun is returned after all that was still there has been read; notifications that come later are complete again.
func (l *Listener) Read(each func(h Header, body []byte)) error {
	var overrun error
	for range readsPerCall {
		n, err := l.wire.read(l.buffer, false)
		switch err {
		case nil:
		case unix.EAGAIN:
			return overrun
		case unix.ENOBUFS:
			overrun = ErrOverrun
			continue
		default:
			return phrase.Errorf("read netlink notifications: %w", err)
		}
		for batch := l.buffer[:n]; len(batch) > 0; {
			h, body, rest, err := cut(Host, batch)
			if err != nil {
				return malformed("read netlink notifications", "message", len(batch))
			}
			if h.Type >= unix.NLMSG_MIN_TYPE {
				each(h, body)
			}
			batch = rest
		}
	}
	return overrun
}
