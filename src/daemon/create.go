package daemon

import (
	"errors"

	"tunneldigger/src/broker"
	"tunneldigger/src/datapath"
	"tunneldigger/src/poll"
)

// createsPerTurn bounds how long standing tunnels wait for new ones.
const createsPerTurn = 32

// creation is a tunnel to be made.
type creation struct {
	section *section
	effect  broker.Effect
}

// createSome makes the tunnels that wait for it, one right after the other, and
// then tells their clients: the kernel makes many in a row a good deal faster
// than with all the rest that a handshake takes in between, whose code and data
// drive those for this one out of the processor's caches.
func (d *Daemon) createSome() {
	n := min(len(d.creates), createsPerTurn)
	if n == 0 {
		return
	}
	for i := range d.creates[:n] {
		d.create(d.creates[i].section, &d.creates[i].effect)
	}
	rest := copy(d.creates, d.creates[n:])
	clear(d.creates[rest:])
	d.creates = d.creates[:rest]
	d.settle()
	d.rises.newcomer = d.now // which has moved on by the time that it took
}

// createAll makes all that wait, where the next step needs the books in order.
func (d *Daemon) createAll() {
	for len(d.creates) > 0 {
		d.createSome()
	}
}

// create makes a tunnel, or leaves nothing.
func (d *Daemon) create(s *section, e *broker.Effect) {
	p, err := d.build(s, e)
	if err == nil {
		d.ports.add(p)
		d.later(s, broker.Event{Kind: broker.EventCreated, Tunnel: p.id, Up: e.Raise})
		return
	}
	fault := broker.FaultOther
	switch {
	case errors.Is(err, datapath.ErrTunnelExists), errors.Is(err, datapath.ErrInterfaceExists):
		fault = broker.FaultExists
	case errors.Is(err, datapath.ErrSessionExists) && e.Session == 1:
		fault = broker.FaultOldSession
	}
	d.journal.SetupFailed(d.now, s.config.Name, &e.Facts, err)
	d.later(s, broker.Event{Kind: broker.EventCreateFailed, Tunnel: e.Tunnel, Fault: fault})
}

func (d *Daemon) build(s *section, e *broker.Effect) (*port, error) {
	p := &port{id: e.Tunnel, section: s, listener: e.Listener, peer: e.Peer, local: e.Local, name: e.Interface(), uuid: e.UUID}
	r := p.request()
	r.PeerID, r.Session, r.PeerSession, r.Again = e.PeerTunnel, e.Session, e.PeerSession, e.Again
	if err := s.path.Create(r); err != nil {
		return nil, err
	}
	p.want.MTU = e.MTU
	d.wish(p)
	err := d.listen(p)
	if err == nil && e.Raise {
		err = d.links.Raise(d.now, p.id)
	}
	if err != nil {
		d.links.Forget(p.id)
		s.path.Destroy(p.id)
		return nil, err
	}
	return p, nil
}

// listen has the loop wait at a tunnel's socket, if it has one.
func (d *Daemon) listen(p *port) error {
	if fd := p.section.path.FD(p.id); fd >= 0 {
		return d.poller.Add(fd, tokenTunnel|uint64(p.id), poll.Read)
	}
	return nil
}
