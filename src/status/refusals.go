package status

import (
	"net/netip"
	"time"

	"tunneldigger/src/broker"
)

// maxRefusals is how many of the last refusals are remembered.
const maxRefusals = 8

// refusal is why a client was refused; those of one UUID for one reason are one.
type refusal struct {
	uuid   string // as the core gave it: escaped where it is not acceptable
	reason broker.Reason
	detail string
	peer   netip.AddrPort
	last   time.Duration
	count  uint64
}

// Refusals remembers the last refusals of a section. The zero value has none.
type Refusals struct{ last []refusal }

// Note takes in what a core notes, the refusals of which are remembered.
func (r *Refusals) Note(now time.Duration, e *broker.Effect) {
	if e.Note != broker.NoteRefused {
		return
	}
	is := refusal{e.UUID, e.Reason, e.Detail, e.Peer, now, 1}
	at := 0
	for at < len(r.last) && (r.last[at].uuid != is.uuid || r.last[at].reason != is.reason) {
		at++
	}
	switch {
	case at < len(r.last):
		is.count += r.last[at].count
	case at < maxRefusals:
		r.last = append(r.last, is)
	default:
		at = maxRefusals - 1
	}
	copy(r.last[1:at+1], r.last[:at])
	r.last[0] = is
}

// Shown are the refusals, the last one first, with UUIDs as the function has them, and
// addresses if they may be seen.
func (r *Refusals) Shown(now time.Duration, uuid func(string) string, addresses bool) (all []Refusal) {
	for i := range r.last {
		is := &r.last[i]
		shown := Refusal{UUID: is.uuid, Reason: is.reason, Detail: is.detail, Ago: now - is.last, Count: is.count}
		if is.uuid != "" {
			shown.UUID = uuid(is.uuid)
		}
		if addresses {
			shown.Peer = is.peer
		}
		all = append(all, shown)
	}
	return all
}
