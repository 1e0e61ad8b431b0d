package broker

import "time"

const (
	// A client may have its interface changed, by PMTU_NTFY and LIMIT, eight times
	// at once and once a second after that: each time costs a call to the kernel
	// and a line in the log, and with every datagram it can want something else.
	changeCost  = time.Second
	changeBurst = 8 * changeCost
)

// mayChange reports whether something that the client of t wants may be done now;
// if not, what it wants then is done with one of the next keepalives.
func (b *Broker) mayChange(now time.Duration, t *tunnel) bool {
	spent := max(t.spent, now) + changeCost
	if spent-now > changeBurst {
		t.behind = true
		return false
	}
	t.spent = spent
	return true
}

// catchUp brings into force what the client wanted when that was too much, and
// what the configuration wants of a tunnel that was adopted.
func (b *Broker) catchUp(now time.Duration, t *tunnel) {
	if t.behind = false; !b.mayChange(now, t) {
		return
	}
	if fixed := b.config.PMTU; fixed == 0 {
		b.applyMTU(t)
	} else if t.mtu != fixed {
		b.sendMTU(t, fixed)
		b.changeMTU(t, fixed)
	}
	b.allot(t)
}
