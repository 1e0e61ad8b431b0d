package broker

import (
	"net/netip"
	"time"

	"tunneldigger/src/admission"
)

// lists say who may come at all.
type lists struct{ allow, without *admission.List }

// deny reports whether the lists keep out who asks: by UUID or by address. Where
// both lists have it, it is out.
func (l *lists) deny(r *request) bool {
	addr := r.peer.Addr()
	return l.without.Has(r.uuid, addr) || l.allow != nil && !l.allow.Has(r.uuid, addr)
}

// bars reports whether the deny list keeps an address out, whatever the UUID.
func (l *lists) bars(addr netip.Addr) bool { return l.without.Has("", addr) }

// SetLists puts other lists into force. With an allow list only those get in
// whose UUID or address is on it; nil lets in everybody who is not on deny, nil
// for nobody. Who is kept out now is told so, whatever it has: a tunnel is
// closed with its hooks, a place in the queue is given up. The lists are the
// Broker's from here on.
func (b *Broker) SetLists(now time.Duration, allow, deny *admission.List, out []Effect) []Effect {
	b.out = out
	b.lists = lists{allow, deny}
	b.queue.Remove(b.lists.deny, func(r *request) { b.refuse(*r, RefusedDenied) })
	b.tunnels.each(func(t *tunnel) {
		switch {
		case !b.lists.deny(&t.request):
		case t.state == verifying:
			b.discard(t)
			b.refuse(t.request, RefusedDenied)
		case t.stands():
			b.close(now, t, ClosedDenied)
		}
		// Who waits for an old tunnel to go is looked at when it has gone, one
		// that is being made when it is there.
	})
	out, b.out = b.out, nil
	return out
}
