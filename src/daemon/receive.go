package daemon

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
	"tunneldigger/src/listen"
	"tunneldigger/src/poll"
	"tunneldigger/src/sock"
	"tunneldigger/src/tunnels"
	"tunneldigger/src/wire"
)

const (
	// batches is how many of 32 datagrams a turn takes from listeners: with
	// many of them under a flood, tunnels would else wait for all of these.
	batches = 8
	// maxSilent is how often in a row a listener may have nothing but errors
	// before it is given up.
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
	place, _ := d.places.Get(index)
	l, ours := place.(*sock.Listener)
	if !ours {
		return false
	}
	s := d.section(listen.Section(index))
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
		d.log.Error("a listening socket has nothing but errors: all of the section are opened anew", "broker", s.Config.Name)
		s.silentErrors = 0
		s.listen.CloseAll()
		d.retry(listen.RetryGap)
	}
	return len(datagrams) == sock.Batch
}

// handshake hands in a datagram that came to a listener, or should have.
func (d *Daemon) handshake(s *section, listener int, peer, local netip.AddrPort, data []byte) {
	d.promptly, d.tunnels.Newcomer = d.now+prompt, d.now
	if d.moved {
		s = d.holder(s, peer, local, data)
	}
	d.event = broker.Event{Kind: broker.EventDatagram, Listener: listener, Peer: peer, Local: local, Data: data}
	d.handle(s, &d.event)
}

// tunnel finds one that is not being closed, and its section; nil: there is none.
func (d *Daemon) tunnel(id uint32) (*tunnels.Tunnel, *section) {
	if t := d.tunnels.Get(id); t != nil && !t.Closing {
		return t, d.owner(t.Section)
	}
	return nil, nil
}

// tunnelReady takes in one datagram of a tunnel's socket, or its errors.
func (d *Daemon) tunnelReady(ev *poll.Event) {
	t, s := d.tunnel(uint32(ev.Token))
	if s == nil {
		return
	}
	if ev.Error || ev.Hup {
		d.took(d.tunnels.Errors(t))
		d.settle()
	}
	if !ev.Readable {
		return
	}
	n, own, from, err := d.tunnels.Receive(t, d.buffer[:])
	switch {
	case err == unix.EAGAIN:
	case err != nil: // a pending error, such as ECONNREFUSED, cleared by this
		d.took(d.tunnels.Silent(t))
		d.settle()
	case own:
		d.event = broker.Event{Kind: broker.EventTunnelDatagram, Tunnel: t.ID, Data: d.buffer[:n]}
		d.handle(s, &d.event)
	default:
		if s, listener, ok := d.entrance(t.Listener, t.Local); ok {
			d.handshake(s, listener, from, t.Local, d.buffer[:n])
		}
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
		t, s := d.tunnel(m.Tunnel)
		switch {
		case !m.Own || s == nil:
			if s, listener, ok := d.entrance(int(m.Tag), m.Local); ok {
				d.handshake(s, listener, m.Peer, m.Local, m.Data)
			}
		case m.PathMTU > 0:
			d.event = broker.Event{Kind: broker.EventTooBig, Tunnel: t.ID, Size: m.PathMTU}
			d.handle(s, &d.event)
		default:
			d.event = broker.Event{Kind: broker.EventTunnelDatagram, Tunnel: t.ID, Data: m.Data}
			d.handle(s, &d.event)
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

// entrance finds who gets what a newcomer sent to local, as [listen.All.Entrance] does; false: nobody,
// and it is counted as lost.
func (d *Daemon) entrance(number int, local netip.AddrPort) (*section, int, bool) {
	n, ok := d.places.Entrance(uint32(number), local)
	if !ok {
		d.unsent++
	}
	return d.section(listen.Section(n)), int(n), ok
}

// reply answers by the listener that was asked, or by another one that has its
// address. Without any the answer is lost, and counted.
func (d *Daemon) reply(e *broker.Effect) {
	if d.places.Reply(uint32(e.Listener), e.Local, e.Peer, e.Message()) {
		d.replied = true
	} else {
		d.unsent++
	}
}

// holder finds the section whose tunnel a datagram is about, which may be
// another one than the section that listens there now. Who only asks is answered
// by that one.
func (d *Daemon) holder(s *section, peer, local netip.AddrPort, data []byte) *section {
	m, err := wire.Parse(data)
	if _, frame := wire.ParseData(data); !frame && err != nil || err == nil && (m.Type == wire.TypeCookie || m.Type == wire.TypeUsage) {
		return s
	}
	for _, other := range d.sections {
		if other != s && other.core.Knows(peer, local) {
			return other
		}
	}
	return s
}
