package daemon

import (
	"net/netip"

	"tunneldigger/src/broker"
	"tunneldigger/src/listen"
	"tunneldigger/src/wire"
)

// entrance finds who gets what a newcomer sent to local, as [listen.All.Entrance] does; false: nobody,
// and it is counted as lost.
func (d *Daemon) entrance(number int, local netip.AddrPort) (*section, int, bool) {
	n, ok := d.places.Entrance(uint32(number), local)
	if !ok {
		d.unsent++
	}
	return d.section(listen.Section(n)), int(n), ok
}

// reply answers by the listener that was asked, or by another one that has its
// address. Without any the answer is lost, and counted.
func (d *Daemon) reply(e *broker.Effect) {
	if d.places.Reply(uint32(e.Listener), e.Local, e.Peer, e.Message()) {
		d.replied = true
	} else {
		d.unsent++
	}
}

// holder finds the section whose tunnel a datagram is about, which may be
// another one than the section that listens there now. Who only asks is answered
// by that one.
func (d *Daemon) holder(s *section, peer, local netip.AddrPort, data []byte) *section {
	m, err := wire.Parse(data)
	if _, frame := wire.ParseData(data); !frame && err != nil || err == nil && (m.Type == wire.TypeCookie || m.Type == wire.TypeUsage) {
		return s
	}
	for _, other := range d.sections {
		if other != s && other.core.Knows(peer, local) {
			return other
		}
	}
	return s
}
