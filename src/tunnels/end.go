package tunnels

import (
	"tunneldigger/src/broker"
	"tunneldigger/src/datapath"
)

// Destroy has the data path remove a tunnel, in its own time: datapath.Destroyed follows.
// Until it is forgotten its ID is taken.
func (ts *Table) Destroy(t *Tunnel) {
	t.raises = false
	if fd := t.Section.Path.FD(t.ID); fd >= 0 {
		_ = ts.poller.Remove(fd)
	}
	t.Closing = true
	t.Section.Path.Destroy(t.ID)
}

// Gone takes in that the interface of a tunnel, if that is there, has gone.
func (ts *Table) Gone(ev *datapath.Event) (r Result) {
	t := ts.Get(ev.Tunnel)
	switch {
	case t == nil:
		return r
	case ev.Kind == datapath.Destroyed:
		r.Event.Kind = broker.EventDestroyed
		ts.byID[t.ID] = nil
	default:
		r.Event.Kind = broker.EventLost
	}
	r.Section, r.Event.Tunnel = t.Section, t.ID
	return r
}
