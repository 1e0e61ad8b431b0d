package daemon

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"tunneldigger/src/bridges"
	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/control"
	"tunneldigger/src/listen"
	"tunneldigger/src/notify"
	"tunneldigger/src/successor"
)

var (
	errNoReader = errors.New("this broker can't read its configuration again")
	errStopping = errors.New("the broker is stopping")
)

func (d *Daemon) commandReload(c *control.Conn, args []string) {
	if len(args) > 0 {
		c.Finish("", errors.New("reload takes no words"))
		return
	}
	text, err := d.reload(false)
	c.Finish(text, err)
}

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
	var next *reloading
	if d.read == nil {
		err = errNoReader
	} else {
		next, err = d.readStrictly(upgraded)
	}
	if err != nil {
		for _, fault := range faultsOf(err) {
			d.log.Error("the configuration is not taken", "error", fault)
		}
		return "", err
	}
	text = d.apply(next)
	if !upgraded && superseded() {
		d.log.Info("another program is installed than the one that runs: upgrade has it take over", "running", d.version)
		text += "Another program is installed than the one that runs, " + d.version + ": upgrade has it take over.\n"
	}
	return text, nil
}

// reloading is a reload that can be carried out.
type reloading struct {
	config   *config.Config // as it will be
	sections []*section     // of its brokers; nil: a new one
	changes  []config.Change
	kept     []string // what takes a restart
}

// plan checks what only the daemon can check, and matches the sections by name.
func (d *Daemon) plan(c *config.Config) (*reloading, error) {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(c.Brokers) == 0 {
		fault("no broker section is enabled: to serve nobody, stop the broker")
	}
	whole := *c
	whole.Brokers = slices.Clone(c.Brokers)
	next := &reloading{config: &whole}
	numbers := 0
	for _, s := range d.sections {
		if s != nil {
			numbers++
		}
	}
	for i := range whole.Brokers {
		b := &whole.Brokers[i]
		if err := listen.Few(b); err != nil {
			faults = append(faults, err)
		}
		s := d.named(b.Name)
		next.sections = append(next.sections, s)
		if s == nil {
			numbers++
			if _, err := d.carriers.Choose(b); err != nil {
				fault("broker '%s': %w", b.Name, err)
			}
		} else if now := s.config.TunnelIDBase; b.TunnelIDBase != now {
			next.kept = append(next.kept, fmt.Sprintf("broker '%s': tunnel_id_base stays %d until the broker is started anew; the file has %d",
				b.Name, now, b.TunnelIDBase))
			b.TunnelIDBase = now
		}
		if s != nil && b.Datapath != s.config.Datapath {
			next.kept = append(next.kept, fmt.Sprintf("broker '%s': datapath stays '%s' until the broker is started anew; the file has '%s'",
				b.Name, s.config.Datapath, b.Datapath))
			b.Datapath = s.config.Datapath
		}
		if last := int(b.TunnelIDBase) + b.MaxTunnels - 1; last > maxTunnelID {
			fault("broker '%s': tunnel_id_base, which stays %d, with max_tunnels %d ends at %d: want %d at most, or start the broker anew",
				b.Name, b.TunnelIDBase, b.MaxTunnels, last, maxTunnelID)
		}
		for j := range i {
			if o := &whole.Brokers[j]; int(b.TunnelIDBase) < int(o.TunnelIDBase)+o.MaxTunnels &&
				int(o.TunnelIDBase) < int(b.TunnelIDBase)+b.MaxTunnels {
				fault("broker '%s': tunnel_id_base %d with max_tunnels %d overlaps with broker '%s', which has %d and %d: "+
					"tunnel_id_base of a section can't change under way, start the broker anew",
					b.Name, b.TunnelIDBase, b.MaxTunnels, o.Name, o.TunnelIDBase, o.MaxTunnels)
			}
		}
	}
	if numbers > successor.MaxSections {
		fault("%d broker sections, those included that are still being removed: want %d at most", numbers, successor.MaxSections)
	}
	faults = append(faults, d.lists.Faults(&whole)...)
	faults = append(faults, bridges.TableFaults(&whole)...)
	faults = append(faults, bridges.IDFaults(&whole)...)
	d.keepRights(next)
	next.changes = config.Differences(d.config, &whole)
	return next, errors.Join(faults...)
}

// keepRights names what can't change any more about the rights of hooks: those that
// were given up are gone, and those that were not are kept for them.
func (d *Daemon) keepRights(next *reloading) {
	h := &next.config.Hooks
	if now := d.config.Hooks.LeastPrivilege; h.LeastPrivilege != now {
		h.LeastPrivilege = now
		next.kept = append(next.kept, "hooks: least_privilege takes effect when the broker is started anew")
	} else if d.confined && !confined(h) {
		next.kept = append(next.kept, "hooks: there were none, so they run with no more rights than the broker until that is started anew")
	}
}

// confined reports whether hooks are to have no more than the broker: where it is
// asked for, and where there are none.
func confined(h *config.Hooks) bool {
	return h.LeastPrivilege || h.Directory == "" && h.Program == [config.EventCount]string{}
}

// named finds a section that is in the configuration.
func (d *Daemon) named(name string) *section {
	for _, s := range d.sections {
		if s != nil && !s.leaving && s.config.Name == name {
			return s
		}
	}
	return nil
}

// apply brings a configuration into force.
func (d *Daemon) apply(next *reloading) string {
	var said strings.Builder
	d.journal.Odd(next.config)
	others := slices.ContainsFunc(next.changes, func(c config.Change) bool {
		return strings.HasPrefix(c.Section, "bridge ") || strings.HasPrefix(c.Section, "client ")
	})
	draining, rate := d.draining()
	d.use(next.config)
	d.journal.Configure(d.config.Log)
	d.journal.Changed(next.changes)
	for _, c := range next.changes {
		fmt.Fprintln(&said, c)
	}
	for _, text := range next.kept {
		fmt.Fprintln(&said, text)
		d.log.Warn(text)
	}
	for _, text := range d.bridges.Missing(d.now, d.links) {
		fmt.Fprintln(&said, text)
		d.log.Warn(text)
	}
	for _, s := range d.sections {
		if s != nil && !s.leaving && !slices.Contains(next.sections, s) {
			d.leave(s)
		}
	}
	most := d.shares()
	for i, s := range next.sections {
		b := &d.config.Brokers[i]
		if most[i] < b.MaxTunnels && len(next.changes) > 0 { // the log has more
			fmt.Fprintf(&said, "broker '%s': %d tunnels at most, as the process may not open more files\n", b.Name, most[i])
		}
		if s == nil {
			if s, _ = d.add(b, most[i]); s == nil { // it could be done when it was planned
				continue
			}
			if draining {
				d.effects = s.core.Drain(d.now, true, rate, d.effects[:0])
				d.carryOut(s)
			}
			continue
		}
		s.listen.Reconfigure(b)
		s.config = b
		d.effects = s.core.Reconfigure(d.now, *b, d.coreOptions(s, most[i]), d.effects[:0])
		d.carryOut(s)
		d.settle()
	}
	// The new listeners open before the old ones close, so that nobody who asks
	// finds a port shut that has only changed hands.
	d.openListeners()
	for _, s := range d.sections {
		if s == nil {
			continue
		}
		for _, number := range s.listen.Stale() {
			d.retire(s, number)
		}
		if s.leaving {
			continue
		}
		for _, why := range s.listen.Waits() {
			fmt.Fprintf(&said, "broker '%s' waits to listen: %s\n", s.config.Name, why)
		}
	}
	d.askAnew()
	d.followLists(true)
	if others {
		d.links.Follow(d.now)
		d.interfacesChanged()
		d.judgeAll(true)
		d.moving, d.moveNext = true, 0
	}
	if said.Len() == 0 {
		d.log.Info("reloaded, nothing has changed")
		return "Nothing has changed.\n"
	}
	d.log.Info("reloaded", "changes", len(next.changes))
	return "Reloaded.\n" + said.String()
}

// use has a configuration in force from now on.
func (d *Daemon) use(c *config.Config) { d.config, d.bridges = c, bridges.New(c) }

// leave begins to take a section out: its tunnels are closed as when stopping.
func (d *Daemon) leave(s *section) {
	s.leaving = true
	s.listen.Leave()
	d.log.Info("closing the tunnels of a removed section", "broker", s.config.Name, "tunnels", s.core.Tunnels())
	d.handle(s, &broker.Event{Kind: broker.EventRemove})
}

// vanish forgets the sections that are gone entirely.
func (d *Daemon) vanish() {
	for n, s := range d.sections {
		if s != nil && s.leaving && s.core.Tunnels() == 0 {
			d.serial = max(d.serial, s.core.Serial())
			d.sections[n] = nil
			d.log.Info("section gone", "broker", s.config.Name)
		}
	}
}

const maxTunnelID = 65535 // see config.Broker
