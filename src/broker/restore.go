package broker

import (
	"tunneldigger/src/admission"
	"tunneldigger/src/config"
	"tunneldigger/src/pmtu"
	"tunneldigger/src/tlv"
)

// Restore makes a Broker that goes on where the one was whose state this is, see
// AppendState.
// Tunnels that have no place in this configuration are left out: see Holds. The
// error is tlv.ErrMalformed.
func Restore(c config.Broker, o Options, state []byte) (*Broker, error) {
	b := New(c, o)
	var queued []request
	var free []uint64
	f := tlv.Read(state)
	for f.Next() {
		var err error
		switch f.Tag() {
		case tagSerial:
			b.serial = max(b.serial, f.Uint())
		case tagStopping:
			if b.stopping = f.Bool(); b.stopping && b.why == ReasonNone {
				b.why = ClosedStopping
			}
		case tagRemoved:
			if f.Bool() {
				b.why = ClosedRemoved
			}
		case tagNoOld:
			b.noOld = f.Bool()
		case tagCareful:
			b.careful = f.Bool()
		case tagDrain:
			err = b.drain.restore(f.Bytes())
		case tagStats:
			err = b.stats.restore(f.Bytes())
		case tagFree:
			free, err = unpack(f.Bytes())
		case tagAside:
			var a asideID
			if err = a.restore(f.Bytes()); err == nil {
				b.ids.aside = append(b.ids.aside, a)
			}
		case tagPerIP:
			err = restoreUsed(b.perIP, f.Bytes(), (*tlv.Fields).Addr)
		case tagPerUUID:
			err = restoreUsed(b.perUUID, f.Bytes(), (*tlv.Fields).String)
		case tagHooked:
			err = restoreUsed(b.hooked, f.Bytes(), (*tlv.Fields).Addr)
		case tagNextTurn:
			b.queue.Resume(f.Time())
		case tagQueued:
			var r request
			if err = r.restore(f.Bytes()); err == nil {
				queued = append(queued, r)
			}
		case tagRecent:
			err = b.recent.restore(f.Bytes())
		case tagTunnel:
			var t *tunnel
			if t, err = restoreTunnel(f.Bytes()); err == nil {
				b.place(t)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	for _, r := range queued {
		_, waits := b.queue.Get(r.pair)
		if b.pairs[r.pair] == nil && !waits {
			b.queue.Push(r.pair, admission.AddrKey(r.peer.Addr()), r)
		}
	}
	b.ids.restore(free, &b.tunnels)
	return b, f.Err()
}

// NeverUp says of a tunnel that was restored from the state of version 1.0, which
// kept that outside of the core, that its interface has not been up: it is
// still to be raised, or goes without a word to hooks.
func (b *Broker) NeverUp(id uint32) {
	switch t := b.tunnels.get(id); {
	case t == nil:
	case t.state == up:
		t.state, t.fresh = answered, false
	case t.state == destroying:
		t.silent = true
	}
}

// Holds reports whether there is a tunnel with this ID, in whatever state.
func (b *Broker) Holds(id uint32) bool { return b.tunnels.get(id) != nil }

// place gives a tunnel its place, unless that is taken or not of this
// configuration. Tunnels above the limit live to their end.
func (b *Broker) place(t *tunnel) bool {
	if i := t.id - b.tunnels.base; t.id == 0 || t.id < b.tunnels.base && !t.fixed || t.id > maxID || b.tunnels.get(t.id) != nil {
		return false
	} else if !t.fixed && int(i) >= len(b.tunnels.slots) {
		b.tunnels.resize(int(i) + 1)
	}
	if t.state != down {
		if b.pairs[t.pair] != nil {
			return false
		}
		b.pairs[t.pair] = t
	}
	b.tunnels.add(t)
	b.serial = max(b.serial, t.serial)
	switch t.state {
	case answered, up:
		// The configuration may be another one by now.
		t.due = min(t.due, t.keepalive, t.heard+b.config.TunnelTimeout)
		if b.config.PMTU == 0 && t.prober == (pmtu.Prober{}) { // it was fixed before
			t.prober = pmtu.New(t.v6(), t.heard)
			t.due = min(t.due, t.prober.Due())
		}
		b.deadlines.schedule(t, true)
	case destroying:
		b.deadlines.schedule(t, true)
	case creating:
		if !t.again {
			t.due = 0
		}
		b.deadlines.schedule(t, t.due != 0)
	}
	return true
}

// restore puts the pool in order: first the IDs that were free, in their order,
// then those that nobody spoke of.
func (p *idPool) restore(free []uint64, used *table) {
	base, size := used.base, len(p.free)
	taken := make([]bool, size)
	claim := func(id uint64) bool {
		i := id - uint64(base)
		if id < uint64(base) || i >= uint64(size) || taken[i] || used.slots[i] != nil {
			return false
		}
		taken[i] = true
		return true
	}
	aside := p.aside
	p.first, p.count, p.aside = 0, 0, nil
	for _, a := range aside {
		if claim(uint64(a.id)) || a.id >= base+uint32(size) { // above the limit, which may rise again
			p.aside = append(p.aside, a)
		}
	}
	for _, id := range free {
		if claim(id) {
			p.give(uint32(id))
		}
	}
	for i := range taken {
		if id := base + uint32(i); claim(uint64(id)) {
			p.give(id)
		}
	}
}
