package daemon

import (
	"net/netip"
	"time"

	"tunneldigger/src/datapath"
	"tunneldigger/src/status"
)

type netipAddrPort = netip.AddrPort

// port is what the loop knows of one tunnel's end in the data path.
type port struct {
	id           uint32
	section      *section
	listener     int
	peer         netipAddrPort
	local        netipAddrPort
	name         string // of the interface
	uuid         string
	want         datapath.Want
	raises       bool          // the interface is to be raised
	since        time.Duration // since when
	closing      bool          // its socket is closed, the interface is on its way out
	silentErrors int
	traffic      status.Traffic // as it was when somebody last asked
}

// request is what the data path is told of a tunnel that it made before.
func (p *port) request() *datapath.Request {
	return &datapath.Request{
		ID: p.id, Interface: p.name, Local: p.local, Peer: p.peer, Device: p.section.config.Interface, Listener: p.listener,
	}
}

// ports finds a tunnel's port by tunnel ID.
type ports struct{ byID []*port }

// get gives nil for an ID without one, whatever it is: the kernel has tunnels of
// others as well.
func (ps *ports) get(id uint32) *port {
	if uint64(id) < uint64(len(ps.byID)) {
		return ps.byID[id]
	}
	return nil
}

func (ps *ports) add(p *port) {
	for uint64(p.id) >= uint64(len(ps.byID)) {
		ps.byID = append(ps.byID, nil)
	}
	ps.byID[p.id] = p
}
