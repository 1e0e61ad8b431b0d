package broker

import (
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// attendable reports whether something is due, or a keepalive nearly.
func (t *tunnel) attendable(now time.Duration) bool {
	return t.due <= now || t.stands() && t.due == t.keepalive && t.due <= now+Slack
}

// attend does what is due for one tunnel and sets its next time.
func (b *Broker) attend(now time.Duration, t *tunnel) {
	if t.state == creating {
		t.due = 0
		b.deadlines.schedule(t, false)
		b.create(t)
		return
	}
	if t.state == destroying {
		b.note(NoteStuck, t.facts(), ReasonNone)
		b.destroyed(now, t)
		return
	}
	if now-t.heard >= b.config.TunnelTimeout {
		b.close(now, t, ClosedTimeout)
		return
	}
	if now+Slack >= t.keepalive {
		e := b.send(t)
		e.length = uint8(len(wire.AppendKeepalive(e.message[:0], t.sequence)))
		t.sequence++
		t.keepalive = max(t.keepalive, now) + keepaliveGap
		if b.config.UUIDPolicy == config.UUIDAny {
			b.lookForTwins(now, t)
		}
		if t.behind {
			b.catchUp(now, t)
		}
	}
	if b.config.PMTU == 0 && now >= t.prober.Due() {
		// Nobody acknowledges PMTU_NTFY, and a later one may be overtaken by an
		// earlier one. So the client is told again before every round.
		if mtu := t.prober.MTU(); mtu != 0 && t.prober.Resting() {
			b.sendMTU(t, mtu)
		}
		sizes, changed := t.prober.Fire(now, t.heard, b.probeSizes[:0])
		for _, size := range sizes {
			e := b.send(t)
			e.length = uint8(len(wire.AppendPMTUDHeader(e.message[:0])))
			e.Size = size
		}
		b.probeSizes = sizes
		b.measured(now, t, changed)
	}
	b.schedule(t)
}

// schedule sets when a tunnel that stands needs attention next. A message that
// comes in moves the time-out but not this: it is looked at again then.
func (b *Broker) schedule(t *tunnel) {
	t.due = min(t.keepalive, t.heard+b.config.TunnelTimeout)
	if b.config.PMTU == 0 {
		t.due = min(t.due, t.prober.Due())
	}
	b.deadlines.schedule(t, true)
}
