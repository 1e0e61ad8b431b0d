package user

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tunneldigger/src/tap"
)

// Reopen opens the interface that a tunnel of an earlier process has left, for Adopt;
// -1: there is none, or somebody has it.
func (p *Path) Reopen(name string) (fd int) {
	if p.interfaces.Index(name) == 0 {
		return -1
	}
	device, err := tap.Reopen(name)
	if err != nil {
		return -1
	}
	return device.FD
}

// Sweep removes what an earlier process has left of tunnels with IDs that mine holds for:
// TAP interfaces with names of tunnels that no process has open. It gives their names.
func (p *Path) Sweep(mine func(id uint32) bool) (removed []string, err error) {
	var names []string
	err = p.interfaces.Names(func(name string) {
		if id, is := tunnelOf(name); is && mine(id) {
			names = append(names, name)
		}
	})
	for _, name := range names {
		device, fault := tap.Reopen(name)
		if fault != nil { // it is another kind, or somebody has it
			continue
		}
		_ = device.Last(false)
		_ = unix.Close(device.FD)
		removed = append(removed, name)
	}
	return removed, err
}

// tunnelOf reads the ID in the name of a tunnel's interface, l2tpID-SESSION.
func tunnelOf(name string) (id uint32, is bool) {
	digits, session, _ := strings.Cut(strings.TrimPrefix(name, "l2tp"), "-")
	n, err := strconv.ParseUint(digits, 10, 16)
	m, other := strconv.ParseUint(session, 10, 16)
	return uint32(n), err == nil && other == nil && (m == n || m == 1) && strings.HasPrefix(name, "l2tp")
}
