package daemon

import (
	"errors"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/hook"
)

// maxWaiting is how many hooks may wait before connection-rate-limit hooks,
// which strangers can cause, are left out.
const maxWaiting = 1000

// runHook starts the hooks of one event, with arguments and environment as
// existing scripts expect them.
func (d *Daemon) runHook(s *section, e *broker.Effect) {
	if e.Hook == config.EventSessionDown {
		d.store.Keep(e.Tunnel) // the next process need not run it again
	}
	h := &d.config.Hooks
	r := hook.Request{
		Event: e.Hook.String(), Tunnel: e.Tunnel, Program: h.Program[e.Hook], Directory: h.Directory, Timeout: h.Timeout,
		Tag: hookTag(e), Key: s.hookKey(e.Serial),
	}
	switch e.Hook {
	case config.EventVerify:
		d.admit(d.verifier.Ask(d.now, r.Key, s.Number, e))
		return
	case config.EventRateLimit:
		if d.hooks.Waiting() > maxWaiting {
			return
		}
	}
	if r.Program == "" && r.Directory == "" {
		d.hookEnded(s, e.Tunnel, e.Serial, e.Hook, false)
		return
	}
	r.Args, r.Env = e.HookFacts(s.Config.Name)
	d.hooks.Run(r)
}

func hookTag(e *broker.Effect) uint64 { return uint64(e.Tunnel)<<8 | uint64(e.Hook) }

// collectHooks brings the results of hooks into the loop.
func (d *Daemon) collectHooks() {
	for _, r := range d.hooks.Done() {
		d.hooksRun.Add(&r, config.Event(r.Tag) == config.EventVerify)
		if config.Event(r.Tag) == config.EventVerify {
			d.admit(d.verifier.Ended(d.now, &r))
			continue
		}
		s, serial := d.hookOwner(r.Key)
		if s == nil { // it is of no tunnel, or its section has gone
			continue
		}
		d.markHook(s, uint32(r.Tag>>8), serial, &r)
		d.hookEnded(s, uint32(r.Tag>>8), serial, config.Event(r.Tag), r.Err != nil || r.Status != 0)
		if config.Event(r.Tag) == config.EventSessionUp {
			d.store.Keep(uint32(r.Tag >> 8)) // the next process need not run it again
		}
	}
	d.settle()
}

// markHook notes how a hook of a tunnel that stands has ended.
func (d *Daemon) markHook(s *section, id uint32, serial uint64, r *hook.Result) {
	event := config.Event(r.Tag)
	if event != config.EventSessionUp && event != config.EventMTUChanged || errors.Is(r.Err, hook.ErrCancelled) {
		return // the tunnel goes, or there is none
	}
	if info, ok := s.core.Next(id); ok && info.Tunnel == id && info.Serial == serial && info.Stands() {
		d.marks.Hook(s.Number, &info.Facts, r.Event, r.Err)
	}
}

func (d *Daemon) hookEnded(s *section, tunnel uint32, serial uint64, h config.Event, failed bool) {
	d.later(s, broker.Event{Kind: broker.EventHookDone, Tunnel: tunnel, Serial: serial, Hook: h, Refused: failed})
}

// hookKey makes the serial number of a section's tunnel unique in the process;
// 0, a hook without a tunnel, stays 0.
func (s *section) hookKey(serial uint64) uint64 {
	if serial == 0 {
		return 0
	}
	return serial<<8 | uint64(s.Number)
}

func (d *Daemon) hookOwner(key uint64) (*section, uint64) {
	if key == 0 {
		return nil, 0
	}
	return d.section(int(key & 0xff)), key >> 8
}
