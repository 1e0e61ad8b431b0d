package daemon

import (
	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
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
				d.raiseLater(p)
			}
		case broker.EffectDestroy:
			d.destroy(s, e.Tunnel)
		case broker.EffectSetMTU:
			if p := d.ports.get(e.Tunnel); p != nil {
				p.want.MTU = e.MTU
				d.wish(p)
			}
		case broker.EffectShape:
			if p := d.ports.get(e.Tunnel); p != nil {
				p.want.Kbit = e.Bandwidth
				d.wish(p)
			}
		case broker.EffectCount:
			d.count(s, e.Tunnel)
		case broker.EffectHook:
			d.runHook(s, e)
		case broker.EffectNote:
			d.journal.Note(d.now, s.config.Name, e)
			d.noteStored(e)
			switch e.Note {
			case broker.NoteUp, broker.NoteMTU:
				d.judge(s, &e.Facts, true)
			case broker.NoteClosed:
				d.marks.Forget(e.Tunnel)
			}
			s.refusals.Note(d.now, e)
		}
	}
}

// send sends on a tunnel's socket. That a probe is too large is a result; other
// failures are counted, and the time-out deals with what lasts.
func (d *Daemon) send(s *section, e *broker.Effect) {
	p := d.ports.get(e.Tunnel)
	if p == nil || p.closing {
		return
	}
	message := e.Message()
	if e.Size > len(message) {
		n := copy(d.padded[:], message)
		clear(d.padded[n:e.Size])
		message = d.padded[:e.Size]
	}
	switch err := s.path.Send(p.id, message); err {
	case nil:
	case unix.EMSGSIZE:
		path := len(message) + wire.UDPOverhead(!p.local.Addr().Is4())
		d.later(s, broker.Event{Kind: broker.EventTooBig, Tunnel: p.id, Size: path - 1})
	default:
		d.sendFailed(s, err)
	}
}

// sendFailed counts that a datagram could not be sent.
func (d *Daemon) sendFailed(s *section, err error) {
	d.unsent++
	d.journal.SendFailed(d.now, s.config.Name, err)
}

// count tells the core how many frames have come by a tunnel's interface. A failure is no
// reason to close a tunnel: the core hears nothing then.
func (d *Daemon) count(s *section, id uint32) {
	if frames, err := d.links.Received(id); err == nil {
		d.later(s, broker.Event{Kind: broker.EventCounted, Tunnel: id, Frames: frames})
	}
}

// destroy has the data path remove a tunnel, in its own time.
func (d *Daemon) destroy(s *section, id uint32) {
	p := d.ports.get(id)
	if p == nil {
		d.later(s, broker.Event{Kind: broker.EventDestroyed, Tunnel: id})
		return
	}
	p.raises = false
	if fd := s.path.FD(id); fd >= 0 {
		_ = d.poller.Remove(fd)
	}
	d.store.Release(id)
	p.closing = true
	s.path.Destroy(id)
	d.interfacesChanged()
}
