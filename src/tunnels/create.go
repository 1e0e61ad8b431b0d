package tunnels

import (
	"errors"
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/datapath"
	"tunneldigger/src/poll"
)

// createsPerTurn bounds how long standing tunnels wait for new ones.
const createsPerTurn = 32

// creation is a tunnel to be made.
type creation struct {
	section *Section
	effect  broker.Effect
}

// Add puts a tunnel into the row of those to be made: e is the effect that asks for it.
func (ts *Table) Add(s *Section, e *broker.Effect) {
	ts.creates = append(ts.creates, creation{s, *e})
}

// Waiting is how many tunnels are to be made.
func (ts *Table) Waiting() int { return len(ts.creates) }

// Make makes the tunnels that wait for it, at most 32, one right after the other: the
// kernel makes many in a row a good deal faster than with all the rest that a handshake
// takes in between, whose code and data drive those for this one out of the processor's
// caches. The Results are good until the next call; who failed has left nothing.
func (ts *Table) Make(now time.Duration) []Result {
	n := min(len(ts.creates), createsPerTurn)
	ts.results = ts.results[:0]
	for i := range ts.creates[:n] {
		s, e := ts.creates[i].section, &ts.creates[i].effect
		r := Result{s, broker.Event{Kind: broker.EventCreated, Tunnel: e.Tunnel, Up: e.Raise}, ts.create(now, s, e)}
		if r.Err != nil {
			r.Event.Kind, r.Event.Fault = broker.EventCreateFailed, faultOf(r.Err, e)
		}
		ts.results = append(ts.results, r)
	}
	rest := copy(ts.creates, ts.creates[n:])
	clear(ts.creates[rest:])
	ts.creates = ts.creates[:rest]
	return ts.results
}

// faultOf is what the core is to make of an error.
func faultOf(err error, e *broker.Effect) broker.Fault {
	switch {
	case errors.Is(err, datapath.ErrTunnelExists), errors.Is(err, datapath.ErrInterfaceExists):
		return broker.FaultExists
	case errors.Is(err, datapath.ErrSessionExists) && e.Session == 1:
		return broker.FaultOldSession
	}
	return broker.FaultOther
}

// create makes a tunnel, or leaves nothing.
func (ts *Table) create(now time.Duration, s *Section, e *broker.Effect) error {
	t := &Tunnel{ID: e.Tunnel, Section: s, Listener: e.Listener, Peer: e.Peer, Local: e.Local, Interface: e.Interface(), uuid: e.UUID}
	r := t.request()
	r.PeerID, r.Session, r.PeerSession, r.Again = e.PeerTunnel, e.Session, e.PeerSession, e.Again
	if err := s.Path.Create(r); err != nil {
		return err
	}
	t.want.MTU = e.MTU
	ts.wish(now, t)
	err := ts.watch(t)
	if err == nil && e.Raise {
		err = ts.links.Raise(now, t.ID)
	}
	if err != nil {
		ts.links.Forget(t.ID)
		s.Path.Destroy(t.ID)
		return err
	}
	ts.add(t)
	return nil
}

// request is what the data path is told of a tunnel.
func (t *Tunnel) request() *datapath.Request {
	return &datapath.Request{
		ID: t.ID, Interface: t.Interface, Local: t.Local, Peer: t.Peer, Device: t.Section.Config.Interface, Listener: t.Listener,
	}
}

// watch has the loop wait at a tunnel's socket, if it has one.
func (ts *Table) watch(t *Tunnel) error {
	if fd := t.Section.Path.FD(t.ID); fd >= 0 {
		return ts.poller.Add(fd, ts.token|uint64(t.ID), poll.Read)
	}
	return nil
}
