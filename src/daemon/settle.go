package daemon

import "tunneldigger/src/broker"

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

func (d *Daemon) settle() {
	for i := 0; i < len(d.queue); i++ {
		q := &d.queue[i]
		s := q.section
		switch q.event.Kind {
		case broker.EventCreated, broker.EventCreateFailed: // it took its time, which is counted
			d.now = d.clock.now()
		}
		d.effects = s.core.Handle(d.now, &q.event, d.effects[:0])
		d.carryOut(s)
	}
	clear(d.queue)
	d.queue = d.queue[:0]
}
