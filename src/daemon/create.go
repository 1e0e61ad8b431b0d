package daemon

import (
	"errors"

	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
	"tunneldigger/src/poll"
	"tunneldigger/src/sock"
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
	case errors.Is(err, errTunnelExists):
		fault = broker.FaultExists
	case errors.Is(err, errSessionExists) && e.Session == 1:
		fault = broker.FaultOldSession
	}
	d.setupFailed(s, &e.Facts, err)
	d.later(s, broker.Event{Kind: broker.EventCreateFailed, Tunnel: e.Tunnel, Fault: fault})
}

func (d *Daemon) setupFailed(s *section, f *broker.Facts, err error) {
	if d.quiet.allow(d.now, "setup") {
		d.log.Error("can't make a tunnel", append(d.about(s, f), "error", err)...)
	}
}

func (d *Daemon) build(s *section, e *broker.Effect) (_ *port, err error) {
	fd, err := sock.Connect(e.Local, e.Peer, s.config.Interface)
	if err != nil {
		return nil, err
	}
	p := &port{
		id: e.Tunnel, section: s, listener: e.Listener, fd: fd,
		peer: sock.NewPeer(e.Peer), local: e.Local, name: e.Interface(),
	}
	defer func() {
		if err != nil {
			d.rescue(p)
			p.closeSocket()
		}
	}()
	if err := d.datapath.create(d, p, e); err != nil {
		return nil, err
	}
	if err := d.poller.Add(fd, tokenTunnel|uint64(e.Tunnel), poll.Read); err != nil {
		return nil, err
	}
	if e.Raise {
		if err := d.datapath.raise(d, p, e.MTU); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// maxStrays bounds rescue: more small datagrams than a socket can hold.
const maxStrays = 1024

// rescue takes out of a socket that is going to be closed what strangers sent
// between bind and connect, and what its peer sent at last, which may be the
// handshake for its next tunnel, and hands it in as a listener's.
func (d *Daemon) rescue(p *port) {
	for range maxStrays {
		n, own, from, err := sock.Receive(p.fd, d.buffer[:], &p.peer)
		if err == unix.EAGAIN {
			return
		}
		if own {
			from = p.peer.Addr()
		}
		if err == nil {
			if s, listener, ok := d.entrance(p.listener, p.local); ok {
				d.later(s, broker.Event{
					Kind: broker.EventDatagram, Listener: listener, Peer: from, Local: p.local,
					Data: append([]byte(nil), d.buffer[:n]...),
				})
			}
		}
	}
}
