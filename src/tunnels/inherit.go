package tunnels

import (
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/datapath"
	"tunneldigger/src/survive"
)

// Inherit takes over a tunnel of an earlier process, which has the exported fields: fd is
// what its path kept, -1 where that is closed, and info what the core has. The interface is
// brought to what is wanted now, whatever it was. The error says that the socket is of no use.
func (ts *Table) Inherit(now time.Duration, t *Tunnel, info *broker.TunnelInfo, fd int, k datapath.Known) error {
	t.uuid, t.want.MTU, t.want.Kbit = info.UUID, info.MTU, info.Bandwidth
	t.Closing = fd < 0
	k.Up, k.Closing = !info.Answered(), t.Closing
	if k.Up {
		k.Is.MTU, k.Is.Kbit = info.MTU, info.Bandwidth
	}
	ts.add(t)
	r := t.request()
	r.Session, r.PeerID, r.PeerSession = info.Session, info.PeerTunnel, info.PeerSession
	t.Section.Path.Adopt(r, fd)
	ts.links.Inherit(r, k)
	ts.wish(now, t)
	if info.Answered() {
		ts.RaiseLater(now, t.ID)
	}
	return ts.watch(t)
}

// State is what the next process is to know of a tunnel.
func (ts *Table) State(t *Tunnel) survive.Tunnel {
	is := ts.links.State(t.ID)
	return survive.Tunnel{
		ID: t.ID, Section: t.Section.Number, Listener: t.Listener, FD: t.Section.Path.Keep(t.ID), Peer: t.Peer, Local: t.Local,
		Interface: t.Interface, Master: is.Attached, Isolated: is.Isolated, Unsettled: is.Failed != "",
	}
}
