package daemon

import (
	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
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
			d.tunnels.Add(&s.Section, e)
		case broker.EffectRaise:
			d.tunnels.RaiseLater(d.now, e.Tunnel)
		case broker.EffectDestroy:
			d.destroy(s, e.Tunnel)
		case broker.EffectSetMTU:
			d.tunnels.SetMTU(d.now, e.Tunnel, e.MTU)
		case broker.EffectShape:
			d.tunnels.Shape(d.now, e.Tunnel, e.Bandwidth)
		case broker.EffectCount:
			d.count(s, e.Tunnel)
		case broker.EffectHook:
			d.runHook(s, e)
		case broker.EffectNote:
			d.journal.Note(d.now, s.Config.Name, e)
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
	switch fits, err := d.tunnels.Send(e.Tunnel, e.Message(), e.Size); err {
	case nil:
	case unix.EMSGSIZE:
		d.later(s, broker.Event{Kind: broker.EventTooBig, Tunnel: e.Tunnel, Size: fits})
	default:
		d.sendFailed(s, err)
	}
}

// sendFailed counts that a datagram could not be sent.
func (d *Daemon) sendFailed(s *section, err error) {
	d.unsent++
	d.journal.SendFailed(d.now, s.Config.Name, err)
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
	t := d.tunnels.Get(id)
	if t == nil {
		d.later(s, broker.Event{Kind: broker.EventDestroyed, Tunnel: id})
		return
	}
	d.store.Release(id)
	d.tunnels.Destroy(t)
	d.interfacesChanged()
}
