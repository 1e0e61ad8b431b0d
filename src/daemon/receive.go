package daemon

import (
	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
	"tunneldigger/src/listen"
	"tunneldigger/src/poll"
	"tunneldigger/src/sock"
)

const (
	// batches is how many of 32 datagrams a turn takes from listeners: with
	// many of them under a flood, tunnels would else wait for all of these.
	batches = 8
	// maxSilent is how often in a row a socket may say that it has errors and
	// show none, or nothing but errors, before it is given up.
	maxSilent = 8
)

// listenersReady takes in what came to listeners, a batch from each, and another
// one from those that had more. Where a turn has no room for all, the next one
// begins with those that were left out.
func (d *Daemon) listenersReady(events []poll.Event) {
	first := d.listenFirst
	d.listenFirst = 0
	var empty [batch]bool
	for served, more := 0, true; more; {
		more = false
		for i := range events {
			at := (first + i) % len(events)
			ev := &events[at]
			if ev.Token&tokenKind != tokenListener || empty[at] {
				continue
			}
			if served++; served > batches {
				d.listenFirst = at
				return
			}
			empty[at] = !d.listenerReady(ev)
			more = more || !empty[at]
		}
	}
}

// listenerReady takes in one batch of datagrams; it reports whether there may be
// more.
func (d *Daemon) listenerReady(ev *poll.Event) bool {
	index := uint32(ev.Token)
	s, place, _ := d.listener(index)
	l, ours := place.(*sock.Listener)
	if !ours {
		return false
	}
	datagrams, faults := l.Receive()
	for i := range datagrams {
		dg := &datagrams[i]
		d.handshake(s, int(index), dg.Peer, dg.Local, dg.Data)
	}
	if ev.Error || ev.Hup {
		_, count := sock.DrainErrors(l.FD())
		faults += count + 1
	}
	if faults == 0 || len(datagrams) > 0 {
		s.silentErrors = 0
	} else if s.silentErrors++; s.silentErrors > maxSilent {
		// What nobody can clear would keep the loop busy for ever.
		d.log.Error("a listening socket has nothing but errors: all of the section are opened anew", "broker", s.config.Name)
		s.silentErrors = 0
		s.listen.CloseAll()
		d.retry(listen.RetryGap)
	}
	return len(datagrams) == sock.Batch
}

// handshake hands in a datagram that came to a listener, or should have.
func (d *Daemon) handshake(s *section, listener int, peer, local netipAddrPort, data []byte) {
	d.promptly, d.rises.newcomer = d.now+prompt, d.now
	if d.moved {
		s = d.holder(s, peer, local, data)
	}
	d.event = broker.Event{Kind: broker.EventDatagram, Listener: listener, Peer: peer, Local: local, Data: data}
	d.handle(s, &d.event)
}

// tunnelReady takes in one datagram of a tunnel's socket, or its errors.
func (d *Daemon) tunnelReady(ev *poll.Event) {
	p := d.ports.get(uint32(ev.Token))
	if p == nil || p.closing {
		return
	}
	if ev.Error || ev.Hup {
		d.socketErrors(p)
	}
	if !ev.Readable {
		return
	}
	n, own, from, err := p.section.path.Receive(p.id, d.buffer[:])
	switch {
	case err == unix.EAGAIN:
	case err != nil: // a pending error, such as ECONNREFUSED, cleared by this
		d.silent(p)
	case own:
		p.silentErrors = 0
		d.event = broker.Event{Kind: broker.EventTunnelDatagram, Tunnel: p.id, Data: d.buffer[:n]}
		d.handle(p.section, &d.event)
	default:
		if s, listener, ok := d.entrance(p.listener, p.local); ok {
			d.handshake(s, listener, from, p.local, d.buffer[:n])
		}
	}
}

// socketErrors empties the error queue of a tunnel's socket. A socket that
// reports errors but has none to read would keep the loop busy for ever.
func (d *Daemon) socketErrors(p *port) {
	mtu, count := sock.DrainErrors(p.section.path.FD(p.id))
	if count > 0 {
		p.silentErrors = 0
	} else {
		d.silent(p)
	}
	if mtu > 0 {
		d.later(p.section, broker.Event{Kind: broker.EventTooBig, Tunnel: p.id, Size: mtu})
	}
	d.settle()
}

// silent gives a tunnel's socket up that has had nothing but errors for too long.
func (d *Daemon) silent(p *port) {
	if p.silentErrors++; p.silentErrors == maxSilent+1 {
		_ = d.poller.Remove(p.section.path.FD(p.id))
		d.later(p.section, broker.Event{Kind: broker.EventLost, Tunnel: p.id})
		d.settle()
	}
}

// maxLetters is how many pieces of mail a turn takes.
const maxLetters = batches * sock.Batch

// collectMail takes in what came to the sockets that a path reads itself.
func (d *Daemon) collectMail() {
	if d.carriers.User == nil {
		return
	}
	for n := 0; d.carriers.User.Next(&d.letter, n < maxLetters); n++ {
		m := &d.letter
		p := d.ports.get(m.Tunnel)
		switch {
		case !m.Own || p == nil || p.closing:
			if s, listener, ok := d.entrance(int(m.Tag), m.Local); ok {
				d.handshake(s, listener, m.Peer, m.Local, m.Data)
			}
		case m.PathMTU > 0:
			d.event = broker.Event{Kind: broker.EventTooBig, Tunnel: p.id, Size: m.PathMTU}
			d.handle(p.section, &d.event)
		default:
			d.event = broker.Event{Kind: broker.EventTunnelDatagram, Tunnel: p.id, Data: m.Data}
			d.handle(p.section, &d.event)
		}
		if n == 2*maxLetters { // the rest has its turn, as all others have
			d.wake.Notify()
			return
		}
	}
	if d.carriers.User.Waiting() {
		d.wake.Notify()
	}
}
