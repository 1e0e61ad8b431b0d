package broker

import (
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// message takes in what the peer of a standing tunnel says. Every valid message
// is a sign of life.
func (b *Broker) message(now time.Duration, t *tunnel, m wire.Message) {
	// No answer is larger than what it answers: all clients pad.
	if m.Size < wire.MinSize && (m.Type == wire.TypePMTUD || m.Type == wire.TypePMTUDAck || m.Type.Reliable()) {
		b.stats.Drops[DropMalformed]++
		return
	}
	switch m.Type {
	case wire.TypeKeepalive:
	case wire.TypePMTUD:
		if b.config.PMTU != 0 {
			b.sendMTU(t, b.config.PMTU)
			break
		}
		e := b.send(t)
		e.length = uint8(len(wire.AppendPMTUDAck(e.message[:0], uint16(m.Size))))
	case wire.TypePMTUDAck:
		size, ok := wire.ParseUint16(m.Payload)
		if !ok {
			b.stats.Drops[DropMalformed]++
			return
		}
		if b.config.PMTU == 0 {
			b.measured(now, t, t.prober.Ack(now, int(size)))
			b.schedule(t)
		}
	case wire.TypePMTUNtfy:
		mtu, ok := wire.ParseUint16(m.Payload)
		if !ok {
			b.stats.Drops[DropMalformed]++
			return
		}
		b.notified(now, t, max(int(mtu), wire.MinTunnelMTU))
	case wire.TypeError:
		b.close(now, t, ClosedByPeer)
	case wire.TypeRelAck: // this broker sends nothing that wants one
	default:
		if !m.Type.Reliable() {
			b.stats.Drops[DropDirection]++
			return
		}
		if !b.reliable(now, t, m) {
			b.stats.Drops[DropMalformed]++
			return
		}
	}
	t.heard = now
}

// notified takes in what the peer measured. If that is not what this side
// found, the path may have changed, and it is worth a look.
func (b *Broker) notified(now time.Duration, t *tunnel, mtu int) {
	if mtu == t.notified {
		return
	}
	t.notified = mtu
	if b.config.PMTU != 0 { // it counts when that changes
		return
	}
	if own := t.prober.MTU(); own != 0 && own != mtu {
		t.prober.Hint(now)
	}
	if b.mayChange(now, t) {
		b.applyMTU(t)
	}
	b.schedule(t)
}

// measured is called with whether this side's own measurement changed.
func (b *Broker) measured(now time.Duration, t *tunnel, changed bool) {
	if changed {
		b.sendMTU(t, t.prober.MTU())
		b.applyMTU(t)
	}
}

// applyMTU brings into force what both sides know.
func (b *Broker) applyMTU(t *tunnel) {
	mtu := t.prober.MTU()
	if mtu == 0 {
		mtu = t.mtu
		if t.notified == 0 || t.notified > mtu {
			return
		}
	}
	if t.notified != 0 {
		mtu = min(mtu, t.notified)
	}
	b.changeMTU(t, mtu)
}

// changeMTU gives the interface another MTU, if it is another one.
func (b *Broker) changeMTU(t *tunnel, mtu int) {
	if mtu == t.mtu {
		return
	}
	old := t.mtu
	t.mtu = mtu
	e := b.effect(EffectSetMTU)
	e.Facts = t.facts()
	b.note(NoteMTU, t.facts(), ReasonNone).OldMTU = old
	if t.state == up { // else session.up will tell it
		b.tellMTU(t)
	}
}

// tellMTU tells hooks what they don't know yet, unless they are still at the
// last change: a client can claim another MTU with every datagram, and must not
// get more hooks by that than can run.
func (b *Broker) tellMTU(t *tunnel) {
	if t.telling || t.mtu == t.told {
		return
	}
	b.hook(config.EventMTUChanged, t).OldMTU = t.told
	t.told, t.telling = t.mtu, true
}

// reliable acknowledges a message of a reliable type, whether or not this broker
// knows what to do with it (protocol.md, "Messages"), and applies a LIMIT. It is
// false if there is not even a number to acknowledge.
func (b *Broker) reliable(now time.Duration, t *tunnel, m wire.Message) bool {
	limit, numbered, err := wire.ParseLimit(m.Payload)
	if !numbered {
		return false
	}
	e := b.send(t)
	e.length = uint8(len(wire.AppendRelAck(e.message[:0], limit.Seq)))
	if m.Type == wire.TypeLimit {
		b.applyLimit(now, t, limit, err)
	}
	return true
}

func (b *Broker) applyLimit(now time.Duration, t *tunnel, m wire.LimitMsg, err error) {
	kbit, ok := m.Bandwidth()
	if err != nil || !ok {
		if b.mayChange(now, t) {
			b.note(NoteBadLimit, t.facts(), ReasonNone)
		}
		return
	}
	// A LIMIT that was overtaken by a later one changes nothing any more.
	if t.limitKnown && int16(m.Seq-t.limitSeq) <= 0 {
		return
	}
	t.limitSeq, t.limitKnown = m.Seq, true
	again, before := t.asked && t.wanted == kbit, t.bandwidth
	t.asked, t.wanted = true, kbit
	if again || !b.mayChange(now, t) {
		return
	}
	if b.allot(t); t.bandwidth == before && kbit != before { // it has the most already
		b.noteLimit(t)
	}
}

// allot gives a client the bandwidth that it asked for, as far as the section
// allows it now, or what the section has for those that do not ask. A limit of the node's own goes first.
func (b *Broker) allot(t *tunnel) {
	kbit := b.config.BandwidthDownDefault
	if t.asked {
		kbit = t.wanted
		if top := b.config.BandwidthDownMax; top != 0 && (kbit == 0 || kbit > top) {
			kbit = top
		}
	}
	if own := b.client(t.uuid).Bandwidth; own != 0 {
		kbit = own
	}
	if kbit != t.bandwidth {
		t.bandwidth = kbit
		b.shape(t)
	}
}

func (b *Broker) shape(t *tunnel) {
	e := b.effect(EffectShape)
	e.Facts, e.Bandwidth = t.facts(), t.bandwidth
	b.noteLimit(t)
}

// noteLimit tells what a client has, and what it asked for.
func (b *Broker) noteLimit(t *tunnel) {
	e := b.note(NoteLimit, t.facts(), ReasonNone)
	e.Bandwidth, e.Asked = t.bandwidth, t.bandwidth
	if t.asked {
		e.Asked = t.wanted
	}
}

func (b *Broker) sendTunnel(t *tunnel) {
	e := b.send(t)
	e.length = uint8(len(wire.AppendTunnel(e.message[:0], t.id, t.features)))
}

func (b *Broker) sendMTU(t *tunnel, mtu int) {
	e := b.send(t)
	e.length = uint8(len(wire.AppendPMTUNtfy(e.message[:0], uint16(mtu))))
}
