package daemon

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"tunneldigger/src/sock"
	"tunneldigger/src/status"
)

type netipAddrPort = netip.AddrPort

// port is the kernel's side of one tunnel: its socket and its interface.
type port struct {
	id           uint32
	section      *section
	listener     int
	fd           int // -1 once it is closed
	peer         sock.Peer
	local        netipAddrPort
	name         string // of the interface
	index        int    // of the interface, 0: none or gone
	master       string // where it is attached, or will be when that comes; "": nowhere
	isolated     bool   // there
	rise         *rise  // what is left to do, nil once it is up
	silentErrors int
	traffic      status.Traffic // as it was when somebody last asked
}

// ports finds a tunnel's port by tunnel ID and by interface.
type ports struct {
	byID    []*port
	byIndex map[int]*port
}

func (ps *ports) get(id uint32) *port {
	if id < uint32(len(ps.byID)) { // an int may have 32 bits, and others' tunnels any ID
		return ps.byID[id]
	}
	return nil
}

func (ps *ports) add(p *port) {
	for int(p.id) >= len(ps.byID) {
		ps.byID = append(ps.byID, nil)
	}
	ps.byID[p.id] = p
	if p.index != 0 {
		ps.byIndex[p.index] = p
	}
}

func (ps *ports) remove(p *port) {
	if ps.byID[p.id] == p { // and not the next one of its ID
		ps.byID[p.id] = nil
	}
	delete(ps.byIndex, p.index)
}

// closeAll closes every socket; the kernel then removes the interfaces.
func (ps *ports) closeAll() {
	for _, p := range ps.byID {
		if p != nil {
			p.closeSocket()
		}
	}
}

func (p *port) closeSocket() {
	if p.fd >= 0 {
		_ = unix.Close(p.fd)
		p.fd = -1
	}
}
