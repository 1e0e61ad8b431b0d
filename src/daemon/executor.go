package daemon

import (
	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
	"tunneldigger/src/clock"
	"tunneldigger/src/tunnels"
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
			switch e.Note {
			case broker.NoteUp, broker.NoteMTU:
				d.store.Keep(e.Tunnel)
				d.judge(s, &e.Facts, true)
			case broker.NoteLimit:
				d.store.Keep(e.Tunnel)
			case broker.NoteClosed:
				d.store.Keep(e.Tunnel)
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

// queued is an event that came up while effects were carried out.
type queued struct {
	section *section
	event   broker.Event
}

// handle gives one event to a core and carries out what follows from it.
func (d *Daemon) handle(s *section, ev *broker.Event) {
	d.effects = s.core.Handle(d.now, ev, d.effects[:0])
	d.carryOut(s)
	d.settle()
}

// later queues an event that came up while effects are carried out; settle
// hands it in.
func (d *Daemon) later(s *section, ev broker.Event) {
	d.queue = append(d.queue, queued{s, ev})
}

// took takes in what came of a tunnel.
func (d *Daemon) took(r tunnels.Result) {
	s := d.owner(r.Section)
	if s == nil || r.Event.Kind == 0 {
		return
	}
	if r.Err != nil {
		info, _ := s.core.Next(r.Event.Tunnel)
		d.journal.SetupFailed(d.now, s.Config.Name, &info.Facts, r.Err)
	}
	d.later(s, r.Event)
}

// createSome makes some of the tunnels that wait for it, and then tells their clients.
func (d *Daemon) createSome() {
	made := d.tunnels.Make(d.now)
	for i := range made {
		d.took(made[i])
	}
	if d.settle(); len(made) > 0 {
		d.tunnels.Newcomer = d.now // which has moved on by the time that it took
	}
}

// createAll makes all that wait, where the next step needs the books in order.
func (d *Daemon) createAll() {
	for d.tunnels.Waiting() > 0 {
		d.createSome()
	}
}

// raiseNext brings up the interface of the tunnel that has waited for the longest, unless
// newcomers go first; it reports whether it did.
func (d *Daemon) raiseNext() bool {
	r, ok := d.tunnels.Raise(d.now)
	d.took(r)
	d.settle()
	return ok
}

// settle hands in what is queued, until nothing more comes of it.
func (d *Daemon) settle() {
	for i := 0; i < len(d.queue); i++ {
		q := &d.queue[i]
		s := q.section
		switch q.event.Kind {
		case broker.EventCreated, broker.EventCreateFailed: // it took its time, which is counted
			d.now = clock.Now()
		}
		d.effects = s.core.Handle(d.now, &q.event, d.effects[:0])
		d.carryOut(s)
	}
	clear(d.queue)
	d.queue = d.queue[:0]
}
