package daemon

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
	"tunneldigger/src/poll"
	"tunneldigger/src/sock"
	"tunneldigger/src/wire"
)

// carryOut does what a core asked for, in order. It never calls the core: what
// comes of it is queued.
func (d *Daemon) carryOut(s *section) {
	for i := range d.effects {
		switch e := &d.effects[i]; e.Kind {
		case broker.EffectReply:
			d.reply(e)
		case broker.EffectSend:
			d.send(s, e)
		case broker.EffectCreate:
			d.create(s, e)
		case broker.EffectDestroy:
			d.destroy(s, e.Tunnel)
		case broker.EffectSetMTU:
			d.setMTU(s, e)
		case broker.EffectShape:
			d.shape(e)
		case broker.EffectHook:
			d.runHook(s, e)
		case broker.EffectNote:
			d.note(s, e)
			d.noteStored(e)
		}
	}
}

// send sends on a tunnel's socket. That a probe is too large is a result; other
// failures are counted, and the time-out deals with what lasts.
func (d *Daemon) send(s *section, e *broker.Effect) {
	p := d.ports.get(e.Tunnel)
	if p == nil || p.fd < 0 {
		return
	}
	message := e.Message()
	if e.Size > len(message) {
		n := copy(d.padded[:], message)
		clear(d.padded[n:e.Size])
		message = d.padded[:e.Size]
	}
	switch err := sock.Send(p.fd, message); err {
	case nil:
	case unix.EMSGSIZE:
		path := len(message) + wire.UDPOverhead(!p.local.Addr().Is4())
		d.later(s, broker.Event{Kind: broker.EventTooBig, Tunnel: p.id, Size: path - 1})
	default:
		d.sendFailed(s, err)
	}
}

// create makes a tunnel, or leaves nothing.
func (d *Daemon) create(s *section, e *broker.Effect) {
	p, err := d.build(s, e)
	if err == nil {
		d.ports.add(p)
		d.later(s, broker.Event{Kind: broker.EventCreated, Tunnel: p.id})
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
	if !s.careful {
		d.raiseLater(p, &e.Facts)
		return p, nil
	}
	if err := d.datapath.raise(d, p, e.MTU); err != nil {
		return nil, err
	}
	s.careful = false
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

// destroy closes a tunnel's socket; the kernel removes the interface in its own
// time and watch sees it go.
func (d *Daemon) destroy(s *section, id uint32) {
	p := d.ports.get(id)
	if p == nil {
		d.later(s, broker.Event{Kind: broker.EventDestroyed, Tunnel: id})
		return
	}
	if p.fd >= 0 {
		_ = d.poller.Remove(p.fd)
		d.rescue(p)
		d.release(p)
		p.closeSocket()
	}
	if p.index == 0 {
		d.gone(p)
	}
}

// gone is called when a port's interface is not there any more.
func (d *Daemon) gone(p *port) {
	delete(d.ports.byIndex, p.index)
	p.index = 0
	kind := broker.EventLost
	if p.fd < 0 {
		kind = broker.EventDestroyed
		d.ports.remove(p)
	}
	d.later(p.section, broker.Event{Kind: kind, Tunnel: p.id})
}

func (d *Daemon) setMTU(s *section, e *broker.Effect) {
	p := d.ports.get(e.Tunnel)
	if p == nil || p.index == 0 {
		return
	}
	if p.rise != nil {
		p.rise.mtu = e.MTU
		return
	}
	if err := d.datapath.setMTU(d, p, e.MTU); err != nil && d.quiet.allow(d.now, "mtu") {
		d.log.Error("can't change a tunnel's MTU", append(d.about(s, &e.Facts), "interface", p.name, "mtu", e.MTU, "error", err)...)
	}
}

func (d *Daemon) shape(e *broker.Effect) {
	p := d.ports.get(e.Tunnel)
	if p == nil || p.index == 0 {
		return
	}
	err := d.datapath.shape(p, e.Bandwidth)
	if errors.Is(err, unix.ENOENT) {
		err = fmt.Errorf("%w: the kernel lacks sch_htb or sch_fq_codel (OpenWrt: kmod-sched-core)", err)
	}
	if err != nil && d.quiet.allow(d.now, "shape") {
		d.log.Error("can't limit a tunnel's bandwidth", append(d.aboutPort(p), "kbit", e.Bandwidth, "error", err)...)
	}
}
