package broker

import (
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/cookie"
	"tunneldigger/src/wire"
)

// datagram takes in one datagram. t is the tunnel on whose socket it came, nil
// for a listener's: both kinds of message can turn up in both places.
func (b *Broker) datagram(now time.Duration, ev *Event, t *tunnel) {
	m, err := wire.Parse(ev.Data)
	if err != nil {
		if session, ok := wire.ParseData(ev.Data); ok {
			b.frame(now, ev, t, session)
			return
		}
		b.stats.Drops[DropMalformed]++
		return
	}
	switch m.Type {
	case wire.TypeCookie, wire.TypeUsage, wire.TypePrepare:
	default:
		if t == nil {
			t = b.pairs[pair{ev.Peer, ev.Local}]
		}
		switch {
		case t == nil:
			b.stranger(now, ev, m.Type)
		case !t.stands():
			b.stats.Drops[DropClosing]++
		default:
			b.message(now, t, m)
		}
		return
	}
	from, listener := pair{ev.Peer, ev.Local}, ev.Listener
	if t != nil {
		from, listener = t.pair, t.listener
	}
	b.strangers.comes(from)
	switch m.Type {
	case wire.TypeCookie, wire.TypeUsage:
		// The answer is never larger than the request: nobody is to be flooded
		// through us.
		if len(ev.Data) < wire.MinSize || m.Type == wire.TypeCookie && len(m.Payload) < cookie.Size {
			b.stats.Drops[DropMalformed]++
			return
		}
		if !b.shed.allow(now, from.peer.Addr(), b.options.Jar) {
			b.stats.Drops[DropShed]++
			return
		}
		e := b.reply(from, listener)
		if m.Type == wire.TypeCookie {
			b.stats.Cookies++
			c := b.options.Jar.Issue(from.peer, cookie.Tick(now))
			e.length = uint8(len(wire.AppendCookie(e.message[:0], c)))
		} else {
			b.stats.Usages++
			e.length = uint8(len(wire.AppendUsage(e.message[:0], b.load(wire.ParseUsageRequest(m.Payload)))))
		}
	case wire.TypePrepare:
		b.prepare(now, from, listener, m.Payload)
	}
}

// load is what USAGE reports: how much of the broker is taken, those who wait
// included, 65535 for all of it.
func (b *Broker) load(f wire.Features) uint16 {
	taken := b.tunnels.count + b.queue.Len()
	if b.stopping || b.drain.on || taken >= b.limit || b.tooOld(f) {
		return 65535
	}
	return uint16(uint32(taken) * 65535 / uint32(b.limit)) // fits: taken is below 65535
}

// prepare takes in a PREPARE. What it asks for is believed only when the cookie
// shows that the client is where it says.
func (b *Broker) prepare(now time.Duration, from pair, listener int, payload []byte) {
	b.stats.Prepares++
	m, err := wire.ParsePrepare(payload)
	if err != nil {
		b.stats.Drops[DropMalformed]++
		return
	}
	if !b.options.Jar.Check(from.peer, cookie.Tick(now), m.Cookie) {
		b.stats.Drops[DropCookie]++
		return
	}
	features := m.Features & known
	if t := b.pairs[from]; t != nil && t.state != closing && t.state != destroying && t.same(m.UUID, m.TunnelID, features) {
		t.heard, t.successor = now, nil
		if t.stands() {
			b.repeated(now, t)
		}
		return
	}
	if r, ok := b.queue.Get(from); ok && r.same(m.UUID, m.TunnelID, features) {
		r.heard = now
		return
	}
	r := request{from, listener, m.TunnelID, features, "", now, now}
	if fault := wire.UUIDFault(m.UUID); fault != "" {
		r.uuid = wire.EscapeUUID(m.UUID) // for the note alone
		b.refuse(r, RefusedUUID).Detail = fault
		return
	}
	r.uuid = string(m.UUID)
	if m.TunnelID == 0 {
		b.refuse(r, RefusedUUID).Detail = "its tunnel ID is 0"
		return
	}
	if b.lists.deny(&r) {
		b.refuse(r, RefusedDenied)
		return
	}
	if waiting, ok := b.queue.Get(from); ok {
		if waiting.uuid == r.uuid {
			*waiting = r
			return
		}
		// Somebody else, who has to come within limits of its own.
		b.queue.Remove(func(q *request) bool { return q.pair == from }, func(*request) {})
	}
	if t := b.pairs[from]; t != nil {
		if b.why == ClosedRemoved { // another section may have the port now
			b.stats.Drops[DropClosing]++
			return
		}
		b.succeed(now, t, &r)
		return
	}
	b.admit(now, r)
}

// repeated answers a PREPARE of a tunnel that stands: the TUNNEL reply was
// lost, or the client has started anew with the same identity, and then knows
// nothing of what was agreed since.
func (b *Broker) repeated(now time.Duration, t *tunnel) {
	b.stats.Repeats++
	b.sendTunnel(t)
	t.limitKnown = false
	if b.config.PMTU != 0 {
		b.sendMTU(t, b.config.PMTU)
	} else if mtu := t.prober.MTU(); mtu != 0 {
		b.sendMTU(t, mtu)
	}
}

// succeed closes t in favour of another request from the same client address
// and port. That one waits until the old interface is gone, because the kernel
// could not tell their packets apart.
func (b *Broker) succeed(now time.Duration, t *tunnel, r *request) {
	switch t.state {
	case verifying:
		b.discard(t)
		b.admit(now, *r)
	case answered, up:
		b.close(now, t, ClosedReplaced)
		fallthrough
	default:
		if t.successor != nil { // it goes on waiting
			r.since = t.successor.since
		}
		t.successor = r
	}
}

// succession lets the successor of t in, unless it has gone elsewhere.
func (b *Broker) succession(now time.Duration, t *tunnel) {
	if r := t.successor; r != nil && now-r.heard <= stale {
		b.admit(now, *r)
	}
}

// admit decides about a newcomer: a tunnel now, a place in the queue, or ERROR.
func (b *Broker) admit(now time.Duration, r request) {
	switch {
	case b.stopping:
		b.refuse(r, b.noEntry())
	case b.drain.on:
		b.refuse(r, RefusedDraining)
	case b.lists.deny(&r): // since it began to wait for an old tunnel to go
		b.refuse(r, RefusedDenied)
	case b.tooOld(r.features):
		b.refuse(r, RefusedOldClient)
	case b.tunnels.count+b.queue.Len() >= b.limit:
		b.refuse(r, RefusedFull)
	case !b.mayCome(now, &r):
	case !b.withinLimits(now, &r):
	case b.queue.Ready(now) && !b.vacate(now, &r):
	case b.queue.Ready(now):
		b.count(now, &r)
		b.start(now, r)
	default:
		b.enqueue(now, &r)
	}
}

// tooOld reports whether the kernel is known to have no session for a client with
// these features.
func (b *Broker) tooOld(f wire.Features) bool { return b.noOld && f&wire.UniqueSessionID == 0 }

// start gives a newcomer an ID and has its tunnel made.
func (b *Broker) start(now time.Duration, r request) {
	if b.tooOld(r.features) { // known since it began to wait
		b.refuse(r, RefusedOldClient)
		return
	}
	if !b.mayCome(now, &r) { // the UUID got a tunnel since it began to wait
		return
	}
	if !b.vacate(now, &r) {
		return
	}
	id, ok, fixed := b.identity(now, r.uuid)
	if !ok || b.tunnels.count >= b.limit { // the limit may be smaller since it began to wait
		if ok {
			b.ids.give(id)
		}
		b.refuse(r, RefusedFull)
		return
	}
	b.queue.Served(now)
	b.serial++
	t := &tunnel{request: r, id: id, serial: b.serial, place: -1, fixed: fixed}
	t.mtu = b.firstMTU(t)
	b.tunnels.add(t)
	b.pairs[r.pair] = t
	if b.options.Verify {
		t.state = verifying
		b.hook(config.EventVerify, t)
		return
	}
	b.displace(now, t)
	b.create(t)
}

func (b *Broker) create(t *tunnel) {
	t.state = creating
	t.tries++
	e := b.effect(EffectCreate)
	e.Facts, e.Listener = t.facts(), t.listener
	e.PeerTunnel, e.PeerSession, e.Raise, e.Again = t.peerTunnel, t.peerSession(), b.careful || t.again, t.again
}

// failed undoes what start did; the executor left nothing in the kernel.
func (b *Broker) failed(now time.Duration, t *tunnel, f Fault) {
	b.forget(t)
	why := RefusedFailure
	if f == FaultExists && t.fixed {
		// It may be what is left of a broker that crashed: the client asks again.
		b.succession(now, t)
		return
	}
	switch f {
	case FaultExists:
		b.ids.setAside(t.id, now)
		b.note(NoteSetAside, t.facts(), ReasonNone)
	case FaultOldSession:
		b.noOld, why = true, RefusedOldClient
		b.note(NoteOldSessions, t.facts(), ReasonNone)
		fallthrough
	default:
		b.ids.give(t.id)
	}
	if t.successor != nil {
		b.succession(now, t)
		return
	}
	if f == FaultExists && t.tries < maxTries && !b.stopping {
		if id, ok := b.ids.take(now, b.options.Taken); ok {
			t.id = id
			b.tunnels.add(t)
			b.pairs[t.pair] = t
			b.create(t)
			return
		}
	}
	b.refuse(t.request, why)
}
