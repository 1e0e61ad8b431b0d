package daemon

import (
	"net/netip"

	"tunneldigger/src/broker"
	"tunneldigger/src/listen"
	"tunneldigger/src/wire"
)

// A tunnel remembers the listener that it came by, which a reload may have
// closed, and its address and port may be another section's by now. What is here
// finds the way all the same.

// entrance finds who gets what a newcomer sent to local: the listener of this
// number or, where that has gone, the one that is there now; false: nobody
// listens there any more, and it is counted as lost.
func (d *Daemon) entrance(number int, local netip.AddrPort) (*section, int, bool) {
	if s, l, stays := d.listener(uint32(number)); stays && listen.Suits(l, local) {
		return s, number, true
	}
	for _, s := range d.sections {
		if s.leaving {
			continue
		}
		if n, ok := s.listen.At(local); ok {
			return s, int(n), true
		}
	}
	d.unsent++
	return nil, 0, false
}

// reply answers by the listener that was asked, or by another one that has its
// address. Without any the answer is lost, and counted.
func (d *Daemon) reply(e *broker.Effect) {
	_, l, _ := d.listener(uint32(e.Listener))
	if l == nil || !listen.Suits(l, e.Local) {
		_, n, ok := d.entrance(e.Listener, e.Local)
		if !ok {
			return
		}
		_, l, _ = d.listener(uint32(n))
	}
	d.replied = true
	l.Queue(e.Local.Addr(), e.Peer, e.Message())
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
