package daemon

import (
	"net/netip"
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/status"
)

// maxRefusals is how many of the last refusals a section remembers.
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

// noteRefusal remembers a refusal, the last one first.
func (s *section) noteRefusal(now time.Duration, e *broker.Effect) {
	if e.Note != broker.NoteRefused {
		return
	}
	is := refusal{e.UUID, e.Reason, e.Detail, e.Peer, now, 1}
	at := 0
	for at < len(s.refusals) && (s.refusals[at].uuid != is.uuid || s.refusals[at].reason != is.reason) {
		at++
	}
	switch {
	case at < len(s.refusals):
		is.count += s.refusals[at].count
	case at < maxRefusals:
		s.refusals = append(s.refusals, is)
	default:
		at = maxRefusals - 1
	}
	copy(s.refusals[1:at+1], s.refusals[:at])
	s.refusals[0] = is
}

// lastRefusals are what status shows of them, as far as the configuration lets it
// be seen.
func (d *Daemon) lastRefusals(s *section) (all []status.Refusal) {
	for i := range s.refusals {
		r := &s.refusals[i]
		shown := status.Refusal{UUID: r.uuid, Reason: r.reason, Detail: r.detail, Ago: d.now - r.last, Count: r.count}
		if r.uuid != "" {
			shown.UUID = d.uuid(r.uuid)
		}
		if d.config.Log.Addresses {
			shown.Peer = r.peer
		}
		all = append(all, shown)
	}
	return all
}
