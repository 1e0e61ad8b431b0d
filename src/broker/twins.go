package broker

import (
	"net/netip"
	"time"

	"tunneldigger/src/admission"
	"tunneldigger/src/config"
)

const (
	// deadAfter is how long a tunnel must have been silent for a new client with
	// its UUID to take its place: a keepalive interval, and some time for a late
	// one. It doubles with every switch, so that two nodes of one UUID that live
	// both do not throw each other out for each lost keepalive.
	deadAfter = keepaliveGap + 1500*time.Millisecond
	// switchMemory is how long a switch counts: as long as clients avoid a broker.
	switchMemory = time.Hour
	maxSwitches  = 8 // beyond that any tunnel has timed out before
	// settled is how long two tunnels of one UUID stand before they are two nodes
	// and not one that has started anew.
	settled = 10 * time.Second
)

// rivalry is what is known about others that claim a tunnel's UUID. It passes
// from a tunnel to the one that takes its place.
type rivalry struct {
	switches uint8         // how often the place was taken
	switched time.Duration // when last
	noted    bool          // an operator knows that there are two
	rival    pair          // who claims it now
	since    time.Duration // since when
	last     time.Duration // and when last
}

// ruling is what becomes of a client whose UUID has a tunnel.
type ruling uint8

const (
	letIn   ruling = iota
	letWait        // without an answer: it will ask again, and more is known then
	turnOff
)

// rule applies the UUID policy to a newcomer. Under replace the old tunnel must
// be silent, or belong to the same site, as after a restart or when a NAT has
// forgotten its port. Who comes while it is not is kept waiting without an answer
// until the old one says something; a client asks for 15 s.
func (b *Broker) rule(now time.Duration, r *request) ruling {
	policy := b.policy(r)
	if policy == config.UUIDAny {
		return letIn
	}
	verdict := letIn
	for o := b.tunnels.uuids[r.uuid]; o != nil; o = b.tunnels.older[o] {
		if o.pair == r.pair || o.state >= closing {
			continue
		}
		switch {
		case policy == config.UUIDRefuse:
			if now-o.heard < deadAfter { // else it may be the same node, before a crash
				b.noteTwins(o, r.peer)
			}
			return turnOff
		case o.state == creating: // nothing can be undone while the kernel is at it
			verdict = max(verdict, letWait)
		case now-o.heard >= o.mustBeSilent(now, r):
		case o.livesBeside(now, r):
			b.noteTwins(o, r.peer)
			verdict = turnOff
		default:
			verdict = max(verdict, letWait)
		}
	}
	return verdict
}

// policy is the section's, but two tunnels can't have the ID that is the node's own.
func (b *Broker) policy(r *request) config.UUIDPolicy {
	if p := b.config.UUIDPolicy; p != config.UUIDAny || b.client(r.uuid).Tunnel == 0 {
		return p
	}
	return config.UUIDReplace
}

// vacate reports whether the ID that is the node's own is free, if it has one. If its
// last tunnel has it, that is closed, which the policy allows by now: the client asks
// again, and finds it free.
func (b *Broker) vacate(now time.Duration, r *request) bool {
	id := b.client(r.uuid).Tunnel
	if id == 0 {
		return true
	}
	o := b.tunnels.get(id)
	switch {
	case o == nil:
		return b.options.Taken == nil || !b.options.Taken(id)
	case o.state == verifying:
		b.discard(o)
		return true
	case o.stands():
		b.close(now, o, ClosedTwin)
	}
	return false
}

// mayCome reports whether the UUID policy lets a newcomer in now. If it is refused
// that is counted, but not noted each time: it will go on trying.
func (b *Broker) mayCome(now time.Duration, r *request) bool {
	ruling := b.rule(now, r)
	if ruling == turnOff {
		b.answer(r, RefusedTwin)
	}
	return ruling == letIn
}

// mustBeSilent is for how long the tunnel must have been silent for r to take
// its place.
func (t *tunnel) mustBeSilent(now time.Duration, r *request) time.Duration {
	doublings := 0
	if v := t.rivalry; v != nil && now-v.switched < switchMemory {
		doublings = int(v.switches)
	}
	if admission.AddrKey(t.peer.Addr()) == admission.AddrKey(r.peer.Addr()) {
		if doublings--; doublings < 0 {
			return 0
		}
	}
	return deadAfter << doublings
}

// rivals is what is known of others with the tunnel's UUID.
func (t *tunnel) rivals() *rivalry {
	if t.rivalry == nil {
		t.rivalry = new(rivalry)
	}
	return t.rivalry
}

// livesBeside reports whether the tunnel was heard since r began to claim its UUID.
func (t *tunnel) livesBeside(now time.Duration, r *request) bool {
	v := t.rivals()
	if v.rival != r.pair || now-v.last > stale {
		v.rival, v.since = r.pair, now
	}
	v.last = now
	return t.heard > v.since
}

// displace closes what t takes the place of. Its client is told: if it lives, it
// had better know.
func (b *Broker) displace(now time.Duration, t *tunnel) {
	if b.policy(&t.request) != config.UUIDReplace {
		return
	}
	for o := b.tunnels.uuids[t.uuid]; o != nil; {
		next := b.tunnels.older[o]
		if o != t && o.state < closing {
			t.inherit(now, o)
			if o.state == verifying {
				b.discard(o)
				b.refuse(o.request, RefusedTwin)
			} else {
				b.close(now, o, ClosedTwin)
			}
		}
		o = next
	}
}

func (t *tunnel) inherit(now time.Duration, o *tunnel) {
	v := rivalry{}
	if o.rivalry != nil {
		v = *o.rivalry
	}
	if now-v.switched >= switchMemory {
		v.switches = 0
	}
	if t.rivalry != nil {
		v.switches, v.noted = max(v.switches, t.rivalry.switches), v.noted || t.rivalry.noted
	}
	if o.stands() {
		v.switches = min(v.switches+1, maxSwitches)
		v.switched = now
	}
	t.rivalry = &v
}

// noteTwins tells an operator, once, that two nodes have one UUID.
func (b *Broker) noteTwins(t *tunnel, other netip.AddrPort) {
	if v := t.rivals(); !v.noted {
		v.noted = true
		b.stats.Twins++
		b.note(NoteTwins, t.facts(), ReasonNone).Other = other
	}
}

// lookForTwins is called now and then for a tunnel, where several may have a UUID.
func (b *Broker) lookForTwins(now time.Duration, t *tunnel) {
	lives := func(t *tunnel) bool {
		return t.stands() && now-t.heard < deadAfter && now-t.opened >= settled
	}
	known := func(t *tunnel) bool { return t.rivalry != nil && t.rivalry.noted }
	if b.tunnels.uuids[t.uuid] == t && b.tunnels.older[t] == nil || !lives(t) || known(t) {
		return
	}
	for o := b.tunnels.uuids[t.uuid]; o != nil; o = b.tunnels.older[o] {
		if o != t && lives(o) {
			if !known(o) {
				b.noteTwins(t, o.peer)
			}
			t.rivals().noted, o.rivals().noted = true, true
			return
		}
	}
}
