package simulate

import (
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
)

// hook runs a hook after those of the same tunnel that were asked for before.
func (sv *Server) hook(e *broker.Effect) {
	if e.Serial == 0 {
		done := broker.Event{Kind: broker.EventHookDone, Hook: e.Hook}
		sv.after(sv.hookTime(), func() { sv.handle(done) })
		return
	}
	sv.hooks[e.Serial] = append(sv.hooks[e.Serial], *e)
	if len(sv.hooks[e.Serial]) == 1 {
		sv.runHook(e.Serial)
	}
	if n := len(sv.hooks[e.Serial]); n > 4 {
		sv.fail("has %d hooks waiting for one tunnel", n)
	}
}

func (sv *Server) runHook(serial uint64) {
	e := sv.hooks[serial][0]
	sv.checkHookRuns(&e)
	sv.after(sv.hookTime(), func() {
		if rest := sv.hooks[serial][1:]; len(rest) > 0 {
			sv.hooks[serial] = rest
			sv.runHook(serial)
		} else {
			delete(sv.hooks, serial)
		}
		sv.hookDone(&e)
	})
}

func (sv *Server) hookTime() time.Duration {
	return sv.world.upTo(10*ms) + sv.world.upTo(sv.world.Trouble.Hooks)
}

// checkHook: up → (mtu-changed)* → pre-down → down.
func (sv *Server) checkHook(e *broker.Effect) {
	sv.trace("hook %v %d", e.Hook, e.Tunnel)
	if e.Serial == 0 {
		return
	}
	r := sv.records[e.Serial]
	if e.Hook == config.EventVerify {
		if r != nil {
			sv.fail("verifies tunnel %d twice", e.Tunnel)
		}
		sv.unverified(e) // it came back with another identity
		sv.checkServed(&e.Facts)
		r = &record{Facts: e.Facts}
		sv.checkSame(e)
		sv.records[e.Serial], sv.verified = r, true
		sv.name(e.Tunnel, r)
		return
	}
	if sv.checkMourning(e, r) {
		return
	}
	ok := r != nil
	switch {
	case !ok:
	case e.Hook == config.EventSessionUp:
		ok = !r.hooked && r.stage == up
	case e.Hook == config.EventMTUChanged:
		ok = r.hooked && r.stage == up && e.OldMTU != e.MTU
	case e.Hook == config.EventSessionPreDown:
		ok = r.hooked && r.stage == closing && r.last != e.Hook
	case e.Hook == config.EventSessionDown:
		o := sv.ids[e.Tunnel]
		ok = r.stage == destroying && r.last == config.EventSessionPreDown && (o == nil || o.stuck)
		r.stage = down
	}
	if !ok {
		sv.fail("runs %v of tunnel %d out of order (%+v)", e.Hook, e.Tunnel, r)
		return
	}
	r.hooked, r.last = true, e.Hook
}

// checkHookRuns: while a hook but session.down runs, the interface is there,
// unless somebody has deleted it by hand.
func (sv *Server) checkHookRuns(e *broker.Effect) {
	o := sv.ids[e.Tunnel]
	exists := o != nil && o.Serial == e.Serial && (o.state == there || o.state == deleted)
	switch e.Hook {
	case config.EventSessionUp, config.EventMTUChanged, config.EventSessionPreDown:
		if !exists || !o.up {
			sv.fail("runs %v without the interface of tunnel %d", e.Hook, e.Tunnel)
		}
	case config.EventSessionDown:
		if r := sv.records[e.Serial]; exists && !(r != nil && r.mourning) {
			sv.fail("runs %v with the interface of tunnel %d", e.Hook, e.Tunnel)
		}
	}
}

func (sv *Server) hookDone(e *broker.Effect) {
	ev := broker.Event{Kind: broker.EventHookDone, Tunnel: e.Tunnel, Serial: e.Serial, Hook: e.Hook}
	r := sv.records[e.Serial]
	if r != nil {
		switch e.Hook {
		case config.EventVerify:
			ev.Refused = sv.world.chance(sv.world.Trouble.Refuse)
			sv.undecided(e.Serial)
		case config.EventSessionPreDown:
			r.preDown = true
		case config.EventSessionDown:
			if r.mourning = false; r.stage == down {
				sv.forget(r)
			}
		}
	}
	sv.handle(ev)
}
