package daemon

import (
	"errors"
	"slices"
	"strings"

	"tunneldigger/src/bridges"
	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/notify"
	"tunneldigger/src/phrase"
	"tunneldigger/src/reload"
	"tunneldigger/src/survive"
)

var errStopping = errors.New("the broker is stopping")

// reload reads the configuration again and applies what has changed. Tunnels of
// sections that have not changed notice nothing. The text says what was done, and
// what was not; with an error, which holds every fault, nothing was.
func (d *Daemon) reload(upgraded bool) (text string, err error) {
	if d.stopBy != 0 {
		return "", errStopping
	}
	d.tell(notify.Reloading())
	defer d.tell(notify.Ready)
	d.carriers.Again()
	d.createAll() // with the interface that its client came to
	now, sections := d.running()
	next, err := now.Read(d.read, upgraded)
	if err != nil {
		for _, fault := range reload.FaultsOf(err) {
			d.log.Error("the configuration is not taken", "error", fault)
		}
		return "", err
	}
	text = d.apply(next, sections)
	if !upgraded && survive.Superseded() {
		d.log.Info("another program is installed than the one that runs: upgrade has it take over", "running", d.version)
		text += "Another program is installed than the one that runs, " + d.version + ": upgrade has it take over.\n"
	}
	return text, nil
}

// running is what a reload finds, and the sections of its Sections.
func (d *Daemon) running() (r reload.Running, sections []*section) {
	r = reload.Running{
		Config: d.config, Confined: d.confined, Lists: d.lists.Faults,
		Carries: func(b *config.Broker) error { _, err := d.carriers.Choose(b); return err },
	}
	for _, s := range d.sections {
		switch {
		case s.leaving:
			r.Leaving++
		default:
			r.Sections = append(r.Sections, s.Config)
			sections = append(sections, s)
		}
	}
	return r, sections
}

// named finds a section that is in the configuration.
func (d *Daemon) named(name string) *section {
	for _, s := range d.sections {
		if !s.leaving && s.Config.Name == name {
			return s
		}
	}
	return nil
}

// apply brings a configuration into force; before are the sections that the plan was made
// for.
func (d *Daemon) apply(next *reload.Plan, before []*section) string {
	var said strings.Builder
	d.journal.Odd(next.Config)
	draining, rate := d.draining()
	d.use(next.Config)
	d.journal.Configure(d.config.Log)
	d.journal.Changed(next.Changes)
	for _, c := range next.Changes {
		phrase.Fprintln(&said, c)
	}
	for _, text := range append(next.Kept, d.bridges.Missing(d.now, d.links)...) {
		phrase.Fprintln(&said, text)
		d.log.Warn(text)
	}
	for i, s := range before {
		if !slices.Contains(next.Of, i) {
			d.leave(s)
		}
	}
	most := d.shares()
	for i, of := range next.Of {
		b := &d.config.Brokers[i]
		if most[i] < b.MaxTunnels && len(next.Changes) > 0 { // the log has more
			phrase.Fprintf(&said, "broker '%s': %d tunnels at most, as the process may not open more files\n", b.Name, most[i])
		}
		if of < 0 {
			s, _ := d.add(b, most[i])
			if s != nil && draining { // it could be done when it was planned
				d.effects = s.core.Drain(d.now, true, rate, d.effects[:0])
				d.carryOut(s)
			}
			continue
		}
		s := before[of]
		s.listen.Reconfigure(b)
		s.Config = b
		d.effects = s.core.Reconfigure(d.now, *b, d.coreOptions(s, most[i]), d.effects[:0])
		d.carryOut(s)
		d.settle()
	}
	// The new listeners open before the old ones close, so that nobody who asks
	// finds a port shut that has only changed hands.
	d.openListeners()
	for _, s := range d.sections {
		for _, number := range s.listen.Stale() {
			d.retire(s, number)
		}
		if s.leaving {
			continue
		}
		for _, why := range s.listen.Waits() {
			phrase.Fprintf(&said, "broker '%s' waits to listen: %s\n", s.Config.Name, why)
		}
	}
	d.hooks.Reload(&d.config.Hooks)
	d.followLists(true)
	if next.Moves() {
		d.links.Follow(d.now)
		d.interfacesChanged()
		d.judgeAll(true)
		d.tunnels.MoveAll()
	}
	if said.Len() == 0 {
		d.log.Info("reloaded, nothing has changed")
		return "Nothing has changed.\n"
	}
	d.log.Info("reloaded", "changes", len(next.Changes))
	return "Reloaded.\n" + said.String()
}

// use has a configuration in force from now on.
func (d *Daemon) use(c *config.Config) {
	d.config, d.bridges = c, bridges.New(c)
	d.tunnels.Follow(d.bridges)
}

// leave begins to take a section out: its tunnels are closed as when stopping.
func (d *Daemon) leave(s *section) {
	s.leaving = true
	s.listen.Leave()
	d.log.Info("closing the tunnels of a removed section", "broker", s.Config.Name, "tunnels", s.core.Tunnels())
	d.handle(s, &broker.Event{Kind: broker.EventRemove})
}

// vanish forgets the sections that are gone entirely.
func (d *Daemon) vanish() {
	for i := 0; i < len(d.sections); i++ {
		s := d.sections[i]
		if !s.leaving || s.core.Tunnels() > 0 {
			continue
		}
		d.serial = max(d.serial, s.core.Serial())
		d.log.Info("section gone", "broker", s.Config.Name)
		d.sections = append(d.sections[:i], d.sections[i+1:]...)
		d.relist()
		i--
	}
}
