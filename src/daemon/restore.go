package daemon

import (
	"slices"

	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/datapath"
	"tunneldigger/src/hook"
	"tunneldigger/src/hook/events"
	"tunneldigger/src/listen"
	"tunneldigger/src/phrase"
	"tunneldigger/src/successor"
	"tunneldigger/src/survive"
	"tunneldigger/src/tunnels"
)

// restore takes the place of makeSections: it makes the sections and ports that
// the program before had. record is where that of the tunnels is, "": nowhere.
func (d *Daemon) restore(c *successor.Past, record string) error {
	d.serial, d.started = c.Serial, c.Started
	d.setJar(c.Key)
	d.store = survive.ResumeStore(d.log, c.State, record)
	d.carriers.Last(d.store.Recorded())
	d.hooks.Counts, d.unsent = hook.Counts{Ended: c.Ended, Failed: c.Failed}, c.Unsent
	d.moved, d.confined = c.Moved, c.Confined
	if c.Moving {
		d.tunnels.MoveAll()
	}
	most := d.shares()
	for i := range c.Sections {
		if c.Configs[i] == nil {
			d.log.Warn("a section that this program can't read is dropped, with its tunnels", "broker", c.Sections[i].Name)
			for _, fds := range c.Sections[i].Listeners {
				for _, fd := range fds {
					_ = unix.Close(fd)
				}
			}
			continue
		}
		if err := d.restoreSection(&c.Sections[i], c.Configs[i], most); err != nil {
			return err
		}
	}
	for i := range d.config.Brokers {
		if b := &d.config.Brokers[i]; d.named(b.Name) == nil {
			if _, err := d.add(b, most[i]); err != nil {
				return err
			}
		}
	}
	for _, fd := range c.Sockets {
		unix.CloseOnExec(fd)
		d.carriers.User.AdoptLingering(fd)
	}
	d.restoreUnborn(c.Unborn)
	for i := range c.Tunnels {
		d.restorePort(&c.Tunnels[i])
	}
	d.miss()
	d.eachTunnel(func(s *section, t *broker.TunnelInfo) {
		if t.State == "verifying" {
			d.hooks.Asked(d.now, s.Number, &t.Facts)
		}
	})
	return d.hooks.Restore(c.Hooks)
}

func (d *Daemon) restoreSection(c *survive.Section, b *config.Broker, most []int) (err error) {
	s := d.newSection(c.Number, b, d.carriers.Of(c.User))
	s.leaving, s.loosened = c.Leaving, c.Unattached
	s.listen.Restore(listen.State{Opened: c.Opened, Complete: c.Complete, Device: int(c.Device)})
	limit := b.MaxTunnels
	for i := range d.config.Brokers {
		if &d.config.Brokers[i] == b {
			limit = most[i]
		}
	}
	if s.core, err = broker.Restore(*b, d.coreOptions(s, limit), c.Core); err != nil {
		return phrase.Errorf("broker '%s': %w", c.Name, err)
	}
	d.place(s)
	for number, fds := range c.Listeners {
		l, err := d.carriers.AdoptListener(s.Path, fds, number)
		if err != nil {
			return phrase.Errorf("broker '%s': listener: %w", c.Name, err)
		}
		s.listen.Adopt(number, l)
	}
	return nil
}

// restoreUnborn tells the cores which tunnels end before they were up, where that
// was version 1.0's to know and not theirs.
func (d *Daemon) restoreUnborn(keys []uint64) {
	d.eachTunnel(func(s *section, t *broker.TunnelInfo) {
		if slices.Contains(keys, events.Key(s.Number, t.Serial)) {
			s.core.NeverUp(t.Tunnel)
		}
	})
}

// restorePort takes over one tunnel, or closes its socket if nobody has the
// tunnel.
func (d *Daemon) restorePort(c *survive.Tunnel) {
	s := d.section(c.Section)
	if s == nil || !s.core.Holds(c.ID) || d.tunnels.Get(c.ID) != nil {
		d.store.Release(c.ID)
		if c.FD >= 0 {
			_ = unix.Close(c.FD)
		}
		return
	}
	if c.FD >= 0 {
		unix.CloseOnExec(c.FD)
	}
	if c.NeverUp {
		s.core.NeverUp(c.ID)
	}
	info, _ := s.core.Next(c.ID)
	if c.HookFailed != "" {
		d.marks.Restore(c.Section, &info.Facts, c.HookFailed)
	}
	t := &tunnels.Tunnel{ID: c.ID, Section: &s.Section, Listener: c.Listener, Peer: c.Peer, Local: c.Local, Interface: c.Interface}
	known := datapath.Known{Is: datapath.Want{Bridge: c.Master, Isolated: c.Isolated}, Sure: true, Failed: c.Unsettled}
	if err := d.tunnels.Inherit(d.now, t, &info, c.FD, known); err != nil {
		d.log.Error("a tunnel's socket was lost", append(d.about(t), "error", err)...)
		d.later(s, broker.Event{Kind: broker.EventLost, Tunnel: c.ID})
	}
	if !d.store.Stored(c.ID) {
		d.store.Keep(c.ID)
	}
}

// miss tells the cores of tunnels that no socket came for.
func (d *Daemon) miss() {
	d.eachTunnel(func(s *section, t *broker.TunnelInfo) {
		if end := d.tunnels.Get(t.Tunnel); end != nil && end.Section == &s.Section {
			return
		}
		// Which of them counts depends on the state.
		for _, kind := range []broker.EventKind{broker.EventCreateFailed, broker.EventLost, broker.EventDestroyed} {
			d.later(s, broker.Event{Kind: kind, Tunnel: t.Tunnel})
		}
	})
}

// resume is called when everything is in its place again.
func (d *Daemon) resume(c *successor.Past) {
	d.hooks.Resume()
	d.settle()
	tunnels := 0
	for _, s := range d.sections {
		tunnels += s.core.Tunnels()
	}
	d.log.Info("upgraded", "from", c.Version, "to", d.version, "tunnels", tunnels)
	if c.Caller >= 0 {
		d.control.Adopt(c.Caller).Finish(phrase.Sprintf("Upgraded from %s to %s, %d tunnels stand.\n", c.Version, d.version, tunnels), nil)
	}
	if d.read != nil { // the file may have changed
		_, _ = d.reload(true)
	}
}
