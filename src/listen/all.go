package listen

import "net/netip"

// All are the Sets of one broker's sections, in any order.
type All []*Set

// Get is the listener of a number, whichever section has it, as Set.Get.
func (a All) Get(number uint32) (l Listener, stays bool) {
	for _, s := range a {
		if s.number == Section(number) {
			return s.Get(number)
		}
	}
	return nil, false
}

// Entrance finds who gets what a newcomer sent to local: the listener of this number or, where that has
// gone or is about to, the one that is there now; false: nobody listens there any more. A
// tunnel remembers the listener that it came by, which may have been closed long since, and
// its address and port may be another section's by now.
func (a All) Entrance(number uint32, local netip.AddrPort) (uint32, bool) {
	if l, stays := a.Get(number); l != nil && stays && Suits(l, local) {
		return number, true
	}
	for _, s := range a {
		if n, ok := s.At(local); ok {
			return n, true
		}
	}
	return 0, false
}

// Reply queues an answer from local at the listener that was asked, or at another one that can
// send from there; false: there is none.
func (a All) Reply(number uint32, local, peer netip.AddrPort, message []byte) bool {
	l, _ := a.Get(number)
	if l == nil || !Suits(l, local) {
		n, ok := a.Entrance(number, local)
		if !ok {
			return false
		}
		l, _ = a.Get(n)
	}
	l.Queue(local.Addr(), peer, message)
	return true
}

// Ports adds the UDP ports of all listeners.
func (a All) Ports(to map[uint16]bool) {
	for _, s := range a {
		for _, l := range s.listeners {
			to[l.Addr().Port()] = true
		}
	}
}
