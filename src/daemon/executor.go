package daemon

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
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
			d.creates = append(d.creates, creation{s, *e})
		case broker.EffectRaise:
			if p := d.ports.get(e.Tunnel); p != nil {
				d.raiseLater(p, &e.Facts)
			}
		case broker.EffectDestroy:
			d.destroy(s, e.Tunnel)
		case broker.EffectSetMTU:
			d.setMTU(s, e)
		case broker.EffectShape:
			d.shape(e)
		case broker.EffectCount:
			d.count(s, e)
		case broker.EffectHook:
			d.runHook(s, e)
		case broker.EffectNote:
			d.note(s, e)
			d.noteStored(e)
			d.noteMark(s, e)
			s.noteRefusal(d.now, e)
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

// destroy closes a tunnel's socket; the kernel removes the interface in its own
// time and watch sees it go.
func (d *Daemon) destroy(s *section, id uint32) {
	p := d.ports.get(id)
	if p == nil {
		d.later(s, broker.Event{Kind: broker.EventDestroyed, Tunnel: id})
		return
	}
	p.rise = nil
	if p.fd >= 0 {
		_ = d.poller.Remove(p.fd)
		d.rescue(p)
		d.store.Release(p.id)
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

// count tells the core how many frames have come by a tunnel's interface. A failure is no
// reason to close a tunnel: the core hears nothing then.
func (d *Daemon) count(s *section, e *broker.Effect) {
	p := d.ports.get(e.Tunnel)
	if p == nil || p.index == 0 {
		return
	}
	if frames, err := d.datapath.received(p); err == nil {
		d.later(s, broker.Event{Kind: broker.EventCounted, Tunnel: p.id, Frames: frames})
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
