package broker

import (
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// created is called when the kernel has the tunnel: the client may know. The
// interface may be up already.
func (b *Broker) created(now time.Duration, t *tunnel, isUp bool) {
	t.state, t.heard = answered, now
	if !t.again {
		t.opened = now
		b.stats.Opened++
	}
	if isUp {
		b.careful = false
	}
	switch { // what came up while the kernel was busy
	case b.stopping:
		b.close(now, t, b.why)
		return
	case t.successor != nil: // it must not take this for its own
		b.close(now, t, ClosedReplaced)
		return
	case b.lists.deny(&t.request):
		b.close(now, t, ClosedDenied)
		return
	}
	if !t.again {
		b.sendTunnel(t)
		if t.since != 0 { // an earlier version did not hand it over
			b.stats.Setup.add(now - t.since)
		}
	}
	if !isUp {
		b.effect(EffectRaise).Facts = t.facts()
	}
	b.allot(t)
	// The first keepalive comes after 3–15 s, so that tunnels spread out.
	t.keepalive = now + 3*time.Second + time.Duration(b.options.Random()%12000)*time.Millisecond
	if b.config.PMTU != 0 {
		b.sendMTU(t, b.config.PMTU)
		b.changeMTU(t, b.config.PMTU) // it may be another one by now
	} else {
		t.prober = newProber(now, t, b.options.Random())
	}
	b.schedule(t)
	if isUp {
		b.raised(now, t)
	}
}

// raised is called when the interface is up: hooks may know.
func (b *Broker) raised(now time.Duration, t *tunnel) {
	t.state, t.again, t.silent = up, false, false
	b.note(NoteUp, t.facts(), ReasonNone)
	b.hook(config.EventSessionUp, t)
	t.told, t.fresh = t.mtu, true
}

// close ends a tunnel: the client is told, then session.pre-down runs, the
// interface goes, session.down runs. Of one that is not up yet hooks have not
// heard, and do not: it goes at once. A client that asked for it need not be
// told. One that came back with another identity must not: it would take the
// ERROR for the answer to its PREPARE and avoid this broker.
func (b *Broker) close(now time.Duration, t *tunnel, why Reason) {
	b.stats.Reasons[why]++
	if why != ClosedByPeer && why != ClosedReplaced {
		e := b.send(t)
		e.length = uint8(len(wire.AppendErrorReason(e.message[:0], wireReason(why))))
	}
	b.note(NoteClosed, t.facts(), why)
	if t.state == answered {
		t.silent = true
		b.destroy(now, t)
		return
	}
	t.state = closing
	b.deadlines.schedule(t, false)
	b.hook(config.EventSessionPreDown, t)
}

// destroy has the interface removed.
func (b *Broker) destroy(now time.Duration, t *tunnel) {
	t.state = destroying
	t.due = now + removalTime
	b.deadlines.schedule(t, true)
	b.effect(EffectDestroy).Facts = t.facts()
}

func wireReason(why Reason) wire.Reason {
	switch why {
	case ClosedTimeout:
		return wire.ReasonBrokerTimeout
	case ClosedStopping, ClosedDrained, ClosedRemoved:
		return wire.ReasonBrokerShutdown
	case ClosedKicked:
		return wire.ReasonBrokerUndefined
	}
	return wire.ReasonBrokerFailure
}

func (b *Broker) hookDone(now time.Duration, t *tunnel, ev *Event) {
	switch {
	case ev.Hook == config.EventVerify && t.state == verifying:
		switch {
		case now-t.heard > stale: // it has gone elsewhere
			b.discard(t)
		case ev.Refused:
			b.discard(t)
			b.refuse(t.request, RefusedVerify)
		case b.rule(now, &t.request) != letIn: // the old one has shown that it lives
			b.discard(t)
			b.refuse(t.request, RefusedTwin)
		default:
			b.displace(now, t)
			b.create(t)
		}
	case ev.Hook == config.EventSessionUp:
		t.fresh = false
	case ev.Hook == config.EventMTUChanged && t.state == up:
		t.telling = false
		b.tellMTU(t)
	case ev.Hook == config.EventSessionPreDown && t.state == closing:
		b.destroy(now, t)
	case ev.Hook == config.EventSessionDown:
		if t.mourning = false; t.state == down {
			b.remove(t)
		}
	}
}

// remove frees the ID of a tunnel of which nothing is left.
func (b *Broker) remove(t *tunnel) {
	b.tunnels.remove(t)
	b.ids.give(t.id)
	b.recent.remember(t.uuid, t.id)
}

// destroyed is called when the interface is gone. The ID stays taken until the
// session.down hook has ended, so that its next tunnel's hooks come after.
func (b *Broker) destroyed(now time.Duration, t *tunnel) {
	t.state = down
	b.deadlines.schedule(t, false)
	delete(b.pairs, t.pair)
	switch {
	case !t.silent:
		b.hook(config.EventSessionDown, t)
	case !t.mourning:
		b.remove(t)
	}
	b.succession(now, t)
}

// discard takes out a tunnel that the kernel was never asked for, and frees its
// ID.
func (b *Broker) discard(t *tunnel) {
	b.forget(t)
	b.ids.give(t.id)
}

// forget takes out a tunnel that was never made.
func (b *Broker) forget(t *tunnel) {
	b.tunnels.remove(t)
	delete(b.pairs, t.pair)
}

// stop closes everything and tells those who wait to go elsewhere.
func (b *Broker) stop(now time.Duration, why Reason) {
	if !b.stopping {
		b.stopping, b.why = true, why
	}
	b.turnAway(b.noEntry())
	// In order of ID, so that equal runs give equal effects.
	b.tunnels.each(func(t *tunnel) {
		switch {
		case t.state == verifying:
			b.discard(t)
			b.refuse(t.request, b.noEntry())
		case t.stands():
			b.close(now, t, b.why)
		}
	})
}

// noEntry is why a broker that ends refuses newcomers.
func (b *Broker) noEntry() Reason {
	if b.why == ClosedRemoved {
		return RefusedRemoved
	}
	return RefusedStopping
}
