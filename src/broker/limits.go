package broker

import (
	"time"

	"tunneldigger/src/admission"
	"tunneldigger/src/config"
)

// Limits is what is remembered to limit those who come often.
type Limits struct {
	Addresses, HeldAddresses int // IPv6: /64s
	UUIDs, HeldUUIDs         int
}

// Limits tells how many keys are remembered, and how many of them are held off
// at now. It looks at each one.
func (b *Broker) Limits(now time.Duration) Limits {
	return Limits{b.perIP.Len(), b.perIP.Held(now), b.perUUID.Len(), b.perUUID.Held(now)}
}

// withinLimits reports whether a newcomer is within the limits of its address and
// its UUID. If not, it is refused, and hooks may hear of it.
func (b *Broker) withinLimits(now time.Duration, r *request) bool {
	why, source := ReasonNone, admission.AddrKey(r.peer.Addr())
	switch b.perIP.Check(source, now) {
	case admission.TooMany:
		why = RefusedRate
	case admission.HeldOff:
		why = RefusedHeldOff
	default:
		switch b.perUUID.Check(r.uuid, now) {
		case admission.TooMany:
			why = RefusedUUIDRate
		case admission.HeldOff:
			why = RefusedHeldOff
		default:
			return true
		}
	}
	b.refuse(*r, why)
	if b.hooked.Allow(source, now) {
		e := b.effect(EffectHook)
		e.Hook, e.Facts = config.EventRateLimit, r.facts()
	}
	return false
}

// count is called when a newcomer gets what it came for, or a place in the queue.
func (b *Broker) count(now time.Duration, r *request) {
	b.perIP.Take(admission.AddrKey(r.peer.Addr()), now)
	b.perUUID.Take(r.uuid, now)
}

// enqueue lets a newcomer wait, if there is room.
func (b *Broker) enqueue(now time.Duration, r *request) {
	if b.push(r) {
		b.count(now, r)
		b.note(NoteQueued, r.facts(), ReasonNone)
	}
}

// push gives a newcomer a place in the queue, if need be that of one from an
// address that has more of them than others. Who gets none is refused.
func (b *Broker) push(r *request) bool {
	gone, moved, ok := b.queue.Push(r.pair, admission.AddrKey(r.peer.Addr()), *r)
	if moved {
		b.refuse(gone, RefusedQueue)
	}
	if !ok {
		b.refuse(*r, RefusedQueue)
	}
	return ok
}
