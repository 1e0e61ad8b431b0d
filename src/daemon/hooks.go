package daemon

import (
	"errors"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/hook"
	"tunneldigger/src/hook/events"
)

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
