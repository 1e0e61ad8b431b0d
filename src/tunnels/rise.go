package tunnels

import (
	"time"

	"tunneldigger/src/broker"
)

const (
	lull    = 20 * time.Millisecond // without newcomers, until interfaces' turn
	overdue = time.Second           // that newcomers may keep an interface waiting
)

// Interfaces are raised in order, which takes the kernel two to six times as long as to make tunnel and
// session. In a storm answers go first, as clients repeat what is not answered and go away in the end; nothing
// is gained by having some interfaces up earlier while others wait for an answer.

// RaiseLater puts a tunnel, if it is there, behind those that are to be raised.
func (ts *Table) RaiseLater(now time.Duration, id uint32) {
	if t := ts.Get(id); t != nil {
		t.raises, t.since = true, now
		ts.rises = append(ts.rises, t)
	}
}

// Rising reports whether tunnels wait to be raised.
func (ts *Table) Rising() bool { return len(ts.rises) > 0 }

// Raise brings up the tunnel that has waited for the longest, unless newcomers go
// first; false: it did not, and there is no Result.
func (ts *Table) Raise(now time.Duration) (r Result, ok bool) {
	for len(ts.rises) > 0 {
		t := ts.rises[0]
		if t.raises && now-ts.Newcomer < lull && now-t.since < overdue {
			break
		}
		ts.rises[0] = nil
		ts.rises = ts.rises[1:]
		if t.raises { // it has not been closed meanwhile
			t.raises = false
			r = Result{t.Section, broker.Event{Kind: broker.EventRaised, Tunnel: t.ID}, ts.links.Raise(now, t.ID)}
			if r.Err != nil {
				r.Event.Kind = broker.EventRaiseFailed
			}
			return r, true
		}
	}
	return r, false
}
