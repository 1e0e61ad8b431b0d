package daemon

import (
	"errors"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/gate"
	"tunneldigger/src/hook"
	"tunneldigger/src/hook/events"
	"tunneldigger/src/poll"
)

// openGate makes what decides who may come in. No list is read yet.
func (d *Daemon) openGate() error {
	var err error
	if d.lists, err = gate.NewLists(d.log, d.wake.Notify); err != nil {
		d.journal.ListsLate(d.now, err)
		return nil
	}
	return d.poller.Add(d.lists.FD(), tokenLists, poll.Read)
}

// followLists brings the lists that the sections have now into force, anew: also
// those that were read before.
func (d *Daemon) followLists(anew bool) {
	var sections []*config.Broker
	for _, s := range d.sections {
		sections = append(sections, s.Config)
	}
	d.journal.ListsLate(d.now, d.lists.Follow(d.now, sections, anew))
	for _, s := range d.sections {
		d.enforce(s)
	}
}

// enforce puts the lists of a section into force.
func (d *Daemon) enforce(s *section) {
	allow, deny := d.lists.For(s.Config)
	d.effects = s.core.SetLists(d.now, allow, deny, d.effects[:0])
	d.carryOut(s)
	d.settle()
}

// collectLists puts into force what has been read.
func (d *Daemon) collectLists() {
	for _, path := range d.lists.Collect(d.now) {
		for _, s := range d.sections {
			if s.Config.AllowList == path || s.Config.DenyList == path {
				d.enforce(s)
			}
		}
	}
}

// runHook has the hooks of one event run. The next process need not run it again if it is the last one.
func (d *Daemon) runHook(s *section, e *broker.Effect) {
	if e.Hook == config.EventSessionDown {
		d.store.Keep(e.Tunnel)
	}
	d.heard(d.hooks.Run(d.now, s.Number, e))
}

// heard takes in what came of hooks.
func (d *Daemon) heard(results []events.Result) {
	for i := range results {
		r := &results[i]
		s := d.section(r.Section)
		if s == nil { // it has gone, with its clients
			continue
		}
		if r.Late != nil {
			d.journal.VerifyLate(d.now, s.Config.Name, r.Late, r.Event.Refused)
		}
		if r.Ran != nil {
			d.markHook(s, &r.Event, r.Ran)
		}
		d.later(s, r.Event)
	}
}

// markHook notes how the hook of a tunnel that stands has ended.
func (d *Daemon) markHook(s *section, ev *broker.Event, ran *hook.Result) {
	if ev.Hook == config.EventSessionUp {
		d.store.Keep(ev.Tunnel) // the next process need not run it again
	} else if ev.Hook != config.EventMTUChanged {
		return
	}
	info, ok := s.core.Next(ev.Tunnel)
	if ok && info.Tunnel == ev.Tunnel && info.Serial == ev.Serial && info.Stands() && !errors.Is(ran.Err, hook.ErrCancelled) {
		d.marks.Hook(s.Number, &info.Facts, ran.Event, ran.Err)
	}
}
