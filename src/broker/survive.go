package broker

import (
	"slices"
	"time"

	"tunneldigger/src/config"
)

// A Broker that ended without a word has left a record of each tunnel, see
// AppendTunnel: with the tunnel itself, where somebody kept its socket, or alone.

const (
	// The kernel removes the interfaces of a dead process one after another. Whoever asks
	// for one meanwhile waits for its turn, so that a tunnel is tried again when the
	// interface before is known to be gone, see Freed, and rarely until then. The tunnel
	// itself outlives that for a moment. Each of these is raised at once, as nobody
	// waits for an answer.
	remakeGap      = 2 * time.Second       // before a tunnel is tried again that the kernel still has
	remakeSoon     = 10 * time.Millisecond // when its interface has gone; twice that the next time, and so on
	remakePatience = 30 * time.Second      // until it is given up
	remakeSlow     = 8                     // tries after which the gap is whole: remakeSoon << 8 is more
)

// Adopt takes in tunnels of a Broker that ended without a word, from records of
// AppendTunnel; their sockets and interfaces are there. It is called before
// anything else, and gives the IDs of the tunnels that stand from now on; for
// each of them EventAdopted or EventLost is to follow. Nobody knows when their
// clients were heard last: they have all the time again.
func (b *Broker) Adopt(now time.Duration, records [][]byte) (adopted []uint32) {
	for _, record := range records {
		t := b.survivor(now, record)
		if t == nil || t.state != up {
			continue
		}
		t.keepalive = now + time.Duration(b.options.Random()%5000)*time.Millisecond
		t.prober = newProber(now+5*time.Second, t, b.options.Random())
		t.due, t.behind = 0, true // the configuration may be another one by now
		if b.place(t) {
			b.schedule(t)
			adopted = append(adopted, t.id)
		}
	}
	b.ids.restore(nil, &b.tunnels)
	return adopted
}

// Adoptable gives the name of the interface that a record's tunnel had; false: it is
// nothing for Adopt, or does not fit into this configuration, as for Remake.
func (b *Broker) Adoptable(record []byte) (name string, ok bool) {
	t, err := restoreTunnel(record)
	if err != nil || t.state != up || !b.listensAt(t) || !b.has(t) {
		return "", false
	}
	f := t.facts()
	return f.Interface(), true
}

// Remake is as Adopt, but for tunnels that went with the Broker, which was alive at
// that time: they are made again as they were, and their clients need not know. Hooks
// hear that the interface is gone before they hear of the new one. The IDs are those
// of the tunnels that are made again, and of those that are lost: they do not fit into
// this configuration, or their clients have given up by now. Of these, and of
// those that were ending already, hooks hear that they are gone. Whatever fails after
// that is noted as a tunnel's end. Effects are appended to out.
func (b *Broker) Remake(now, alive time.Duration, records [][]byte, out []Effect) (remade, lost []uint32, _ []Effect) {
	b.out = out
	for _, record := range records {
		t := b.survivor(now, record)
		if t == nil || b.tunnels.get(t.id) != nil {
			continue
		}
		if b.options.Taken != nil && b.options.Taken(t.id) {
			lost = append(lost, t.id)
			continue
		}
		heard, ended := t.silent, t.state > up // hooks of the end of its interface: it was being made again
		t.state, t.again, t.silent, t.fresh = creating, true, true, false
		t.tries, t.due = remakeSlow, 0
		t.bandwidth = 0 // the new interface has no limit yet
		fits := !ended && now-alive < b.config.TunnelTimeout && b.listensAt(t) && b.has(t)
		if t.mourning = !heard; !fits {
			t.state = down // until hooks have heard
		}
		placed := (fits || t.mourning) && b.place(t)
		if t.mourning && (placed || t.id < b.tunnels.base) {
			b.hook(config.EventSessionDown, t)
		}
		switch {
		case fits && placed:
			remade = append(remade, t.id)
			b.create(t)
		case !ended:
			lost = append(lost, t.id)
		}
	}
	b.ids.restore(nil, &b.tunnels)
	out, b.out = b.out, nil
	return remade, lost, out
}

// survivor reads a tunnel that was there when its Broker ended; nil: there is none.
func (b *Broker) survivor(now time.Duration, record []byte) *tunnel {
	t, err := restoreTunnel(record)
	if err != nil || t.state < up && !t.again || t.state == down {
		return nil
	}
	b.serial++
	t.serial = b.serial
	t.heard, t.successor, t.telling, t.told = now, nil, false, t.mtu
	return t
}

// has reports whether a tunnel's ID is one that its client may have now.
func (b *Broker) has(t *tunnel) bool {
	if t.fixed {
		return b.client(t.uuid).Tunnel == t.id
	}
	return t.id-b.tunnels.base < uint32(b.config.MaxTunnels)
}

// listensAt reports whether the section has the address and port that a tunnel's
// client talks to.
func (b *Broker) listensAt(t *tunnel) bool {
	return slices.Contains(b.config.Ports, t.local.Port()) &&
		(len(b.config.Addresses) == 0 || slices.Contains(b.config.Addresses, t.local.Addr()))
}

// Freed is to be called with the name of an interface that has gone and was no tunnel's: a
// tunnel may wait for it that is made again. (If it was another one of such a name, there
// is one try more.)
func (b *Broker) Freed(now time.Duration, name string) {
	t := b.tunnels.get(TunnelOf([]byte(name)))
	if t == nil || t.state != creating || !t.again {
		return
	}
	t.tries = 0
	if t.due != 0 { // else it is being tried
		t.due = min(t.due, now+remakeSoon)
		b.deadlines.schedule(t, true)
	}
}

// Remaking reports whether a tunnel is still to be made again. It looks at all of them but
// those with IDs outside of the range, which are few.
func (b *Broker) Remaking() bool {
	for _, t := range b.tunnels.slots {
		if t != nil && t.again && t.state == creating {
			return true
		}
	}
	return false
}

// notRemade is called when the kernel did not make a tunnel again. What is left of
// the one before goes in its own time; with any other ID the client would not
// know it.
func (b *Broker) notRemade(now time.Duration, t *tunnel, f Fault) {
	if f == FaultExists && now-t.heard < remakePatience && t.successor == nil && !b.stopping {
		gap := remakeGap
		if t.tries < remakeSlow {
			gap = time.Duration(int32(remakeSoon) << t.tries) // of 32 bits, which is less code
		}
		t.due = now + gap
		b.deadlines.schedule(t, true)
		return
	}
	b.stats.Reasons[ClosedLost]++
	b.note(NoteClosed, t.facts(), ClosedLost)
	b.destroyed(now, t)
}
