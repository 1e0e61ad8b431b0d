package broker

import (
	"time"

	"tunneldigger/src/tlv"
)

// recentNodes is how many nodes' last IDs are remembered at least. They take 1 MB at
// most with UUIDs of 40 bytes.
const recentNodes = 4096

// recent remembers which ID a node had last, so that its interface has the same name
// again. Those whose tunnels ended last are kept.
type recent struct {
	byUUID map[string]remembered
	order  []turn // as they came; a UUID's last turn counts
	turns  uint64
}

type remembered struct {
	id   uint32
	turn uint64
}

type turn struct {
	uuid string
	turn uint64
}

// last is the ID that a node had last.
func (r *recent) last(uuid string) (id uint32, ok bool) {
	at, ok := r.byUUID[uuid]
	return at.id, ok
}

func (r *recent) remember(uuid string, id uint32) {
	if r.byUUID == nil {
		r.byUUID = make(map[string]remembered)
	}
	r.turns++
	r.byUUID[uuid] = remembered{id, r.turns}
	r.order = append(r.order, turn{uuid, r.turns})
	// What is too much goes at once, and seldom.
	if len(r.byUUID) > recentNodes+recentNodes/8 || len(r.order) > 2*recentNodes {
		r.shrink()
	}
}

func (r *recent) shrink() {
	surplus := len(r.byUUID) - recentNodes
	kept := make([]turn, 0, recentNodes)
	for _, t := range r.order {
		switch {
		case r.byUUID[t.uuid].turn != t.turn:
		case surplus > 0:
			surplus--
			delete(r.byUUID, t.uuid)
		default:
			kept = append(kept, t)
		}
	}
	r.order = kept
}

// each calls f for what is remembered, the oldest first.
func (r *recent) each(f func(uuid string, id uint32)) {
	for _, t := range r.order {
		if at := r.byUUID[t.uuid]; at.turn == t.turn {
			f(t.uuid, at.id)
		}
	}
}

// restore takes in one record of a state.
func (r *recent) restore(record []byte) error {
	var uuid string
	var id uint32
	f := tlv.Read(record)
	for f.Next() {
		switch f.Tag() {
		case tagKey:
			uuid = f.String()
		case tagRecentID:
			id = f.Uint32()
		}
	}
	if f.Err() == nil && uuid != "" {
		r.remember(uuid, id)
	}
	return f.Err()
}

// identity gives a node the ID that is its own, or the one that it had last, if that
// is free, or another one.
func (b *Broker) identity(now time.Duration, uuid string) (id uint32, ok, fixed bool) {
	if id = b.client(uuid).Tunnel; id != 0 {
		return id, true, true
	}
	if id, ok = b.recent.last(uuid); ok && b.ids.claim(id, b.options.Taken) {
		return id, true, false
	}
	id, ok = b.ids.take(now, b.options.Taken)
	return id, ok, false
}
