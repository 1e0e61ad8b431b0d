package daemon

import (
	"tunneldigger/src/broker"
	"tunneldigger/src/poll"
	"tunneldigger/src/sock"
)

// listenerReady takes in one batch of datagrams.
func (d *Daemon) listenerReady(index uint32) {
	s, l := d.listener(index)
	if l == nil {
		return
	}
	datagrams, _ := l.Receive()
	for i := range datagrams {
		dg := &datagrams[i]
		d.handshake(s, int(index), dg.Peer, dg.Local, dg.Data)
	}
}

// handshake hands in a datagram that came to a listener, or should have.
func (d *Daemon) handshake(s *section, listener int, peer, local netipAddrPort, data []byte) {
	d.promptly = d.now + prompt
	d.event = broker.Event{Kind: broker.EventDatagram, Listener: listener, Peer: peer, Local: local, Data: data}
	d.handle(s, &d.event)
}

// tunnelReady takes in one datagram of a tunnel's socket, or its errors.
func (d *Daemon) tunnelReady(ev *poll.Event) {
	p := d.ports.get(uint32(ev.Token))
	if p == nil || p.fd < 0 {
		return
	}
	if ev.Error || ev.Hup {
		d.socketErrors(p)
	}
	if !ev.Readable {
		return
	}
	n, own, from, err := sock.Receive(p.fd, d.buffer[:], &p.peer)
	switch {
	case err != nil: // a pending error, such as ECONNREFUSED, cleared by this
	case own:
		p.silentErrors = 0
		d.event = broker.Event{Kind: broker.EventTunnelDatagram, Tunnel: p.id, Data: d.buffer[:n]}
		d.handle(p.section, &d.event)
	default:
		d.handshake(p.section, p.listener, from, p.local, d.buffer[:n])
	}
}

// socketErrors empties the error queue of a tunnel's socket. A socket that
// reports errors but has none to read would keep the loop busy for ever.
func (d *Daemon) socketErrors(p *port) {
	mtu, count := sock.DrainErrors(p.fd)
	if count > 0 {
		p.silentErrors = 0
	} else if p.silentErrors++; p.silentErrors > 8 {
		_ = d.poller.Remove(p.fd)
		d.later(p.section, broker.Event{Kind: broker.EventLost, Tunnel: p.id})
	}
	if mtu > 0 {
		d.later(p.section, broker.Event{Kind: broker.EventTooBig, Tunnel: p.id, Size: mtu})
	}
	d.settle()
}
