package link

import (
	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
	"tunneldigger/src/phrase"
)

// receiveBuffer holds the notifications of some hundred interfaces that go at once: several each, of some 2 KiB with the kernel's
// bookkeeping. It is memory that is used only then.
const receiveBuffer = 4 << 20

// Monitor reports network interfaces that go. It is not safe for concurrent use.
type Monitor struct{ nl *nl.Listener }

// NewMonitor watches the network namespace of the calling thread.
func NewMonitor() (*Monitor, error) {
	l, err := nl.Listen(unix.NETLINK_ROUTE, unix.RTMGRP_LINK, receiveBuffer)
	if err != nil {
		return nil, phrase.Errorf("link: %w", err)
	}
	m := &Monitor{l}
	if err := m.filter(); err != nil {
		l.Close()
		return nil, err
	}
	return m, nil
}

// MonitorOver is NewMonitor for tests: what l receives is what the kernel tells.
func MonitorOver(l *nl.Listener) *Monitor { return &Monitor{l} }

// filter has the kernel leave out everything but RTM_DELLINK. To make an interface, bring it up and attach it gives a handful of
// messages of 1.5 kB; to be woken for them and read them cost a quarter of a tunnel's set-up.
func (m *Monitor) filter() error {
	var kind [2]byte // as the filter loads it: big-endian, whatever the host is
	nl.Host.PutUint16(kind[:], unix.RTM_DELLINK)
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 4}, // nlmsg_type
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: uint32(kind[0])<<8 | uint32(kind[1])},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 18}, // all of it
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	err := unix.SetsockoptSockFprog(m.nl.FD(), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if err != nil {
		return phrase.Errorf("link: filter notifications: %w", err)
	}
	return nil
}

// FD is a descriptor to wait for input at with level-triggered epoll. It stays the Monitor's own.
func (m *Monitor) FD() int { return m.nl.FD() }

// Close ends the watch.
func (m *Monitor) Close() error { return m.nl.Close() }

// Read calls f with index and name of the interfaces that have gone, a few hundred at most at a time, in order, and never waits itself. An error that is
// nl.ErrOverrun means that some were missed, and calls for Conn.List; the Monitor goes on.
func (m *Monitor) Read(f func(index int, name string)) error {
	var bad error
	err := m.nl.Read(func(h nl.Header, body []byte) {
		// Of another family it tells of a bridge's port that was detached.
		if h.Type != unix.RTM_DELLINK || len(body) > 0 && body[0] != unix.AF_UNSPEC {
			return
		}
		e, name, _, err := parse(body)
		if err != nil {
			bad = phrase.Errorf("link: notification: %w", err)
			return
		}
		f(e.Index, string(name))
	})
	if err != nil {
		return phrase.Errorf("link: %w", err)
	}
	return bad
}
