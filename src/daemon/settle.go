package daemon

import (
	"tunneldigger/src/broker"
	"tunneldigger/src/tunnels"
)

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
	if r.Event.Kind == 0 {
		return
	}
	s := d.section(r.Section.Number)
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

func (d *Daemon) settle() {
	for i := 0; i < len(d.queue); i++ {
		q := &d.queue[i]
		s := q.section
		switch q.event.Kind {
		case broker.EventCreated, broker.EventCreateFailed: // it took its time, which is counted
			d.now = d.clock.Now()
		}
		d.effects = s.core.Handle(d.now, &q.event, d.effects[:0])
		d.carryOut(s)
	}
	clear(d.queue)
	d.queue = d.queue[:0]
}
