package link

import (
	"fmt"

	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
)

// receiveBuffer holds the notifications of some hundred interfaces that go at once: several each, of some 2 KiB with the kernel's
// bookkeeping. It is memory that is used only then.
const receiveBuffer = 4 << 20

// Monitor reports changes of network interfaces. It is not safe for concurrent use.
type Monitor struct {
	nl    *nl.Listener
	names map[int]string // so that only a new interface or name costs memory
}

// NewMonitor watches the network namespace of the calling thread.
func NewMonitor() (*Monitor, error) {
	l, err := nl.Listen(unix.NETLINK_ROUTE, unix.RTMGRP_LINK, receiveBuffer)
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	return newMonitor(l), nil
}

func newMonitor(l *nl.Listener) *Monitor { return &Monitor{nl: l, names: make(map[int]string)} }

// FD is a descriptor to wait for input at with level-triggered epoll. It stays the Monitor's own.
func (m *Monitor) FD() int { return m.nl.FD() }

// Close ends the watch.
func (m *Monitor) Close() error { return m.nl.Close() }

// Read calls f for the changes that wait, a few hundred at most at a time, in order, and never waits itself. An error that is nl.ErrOverrun means
// that changes were lost, and calls for Conn.List; the Monitor goes on.
func (m *Monitor) Read(f func(Event)) error {
	var bad error
	err := m.nl.Read(func(h nl.Header, body []byte) {
		if h.Type != unix.RTM_NEWLINK && h.Type != unix.RTM_DELLINK {
			return
		}
		// Messages of another family tell of a bridge's port; its RTM_DELLINK means detached. The change of the
		// interface itself is reported as well.
		if len(body) > 0 && body[0] != unix.AF_UNSPEC {
			return
		}
		e, name, _, err := parse(body)
		if err != nil {
			bad = fmt.Errorf("link: notification: %w", err)
			return
		}
		e.Gone = h.Type == unix.RTM_DELLINK
		e.Name = m.name(e.Index, name, e.Gone)
		f(e)
	})
	if err != nil {
		if err == nl.ErrOverrun {
			clear(m.names) // some may have gone unseen
		}
		return fmt.Errorf("link: %w", err)
	}
	return bad
}

func (m *Monitor) name(index int, b []byte, gone bool) string {
	name, known := m.names[index]
	if !known || name != string(b) {
		name = string(b)
		if !gone {
			m.names[index] = name
		}
	}
	if gone {
		delete(m.names, index)
	}
	return name
}
