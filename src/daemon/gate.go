package daemon

import (
	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/gate"
	"tunneldigger/src/hook"
	"tunneldigger/src/poll"
	"tunneldigger/src/resources"
)

// openGate makes what decides who may come in. No list is read yet.
func (d *Daemon) openGate() error {
	d.verifier = gate.NewVerifier(resources.Hooks(d.config.Hooks.Parallel)/2, &d.config.Hooks)
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

// admit carries out what the verifier decided.
func (d *Daemon) admit(steps []gate.Step) {
	for i := range steps {
		st := &steps[i]
		e := &st.Effect
		s, _ := d.hookOwner(st.Key)
		switch {
		case s == nil: // it has gone, with its clients
		case st.Timeout > 0:
			// The directory's programs are run for every event, and one that does
			// not know this one may well fail: only the program that was
			// configured for it can refuse a client.
			r := hook.Request{
				Event: e.Hook.String(), Tunnel: e.Tunnel, Program: d.config.Hooks.Program[e.Hook], Timeout: st.Timeout, Asks: true,
				Tag: hookTag(e), Key: st.Key,
			}
			r.Args, r.Env = e.HookFacts(s.Config.Name)
			d.hooks.Run(r)
		default:
			if st.Late {
				d.journal.VerifyLate(d.now, s.Config.Name, &e.Facts, st.Refused)
			}
			d.hookEnded(s, e.Tunnel, e.Serial, e.Hook, st.Refused)
		}
	}
}

// resumeVerify has the verifier know of the clients for whom the program before
// this one has run the hook.
func (d *Daemon) resumeVerify() {
	d.eachTunnel(func(s *section, t *broker.TunnelInfo) {
		if t.State == "verifying" {
			e := broker.Effect{Kind: broker.EffectHook, Hook: config.EventVerify, Facts: t.Facts}
			d.verifier.Resume(d.now, s.hookKey(e.Serial), s.Number, &e)
		}
	})
}

// askAnew brings other hooks into force: how many there are places for, and
// session.verify is asked about everybody again, as it may say otherwise.
func (d *Daemon) askAnew() {
	most := resources.Hooks(d.config.Hooks.Parallel)
	d.hooks.SetLimit(most)
	for _, key := range d.verifier.Reload(most/2, &d.config.Hooks) {
		d.hooks.Cancel(key)
	}
}
