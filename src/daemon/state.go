package daemon

import (
	"tunneldigger/src/config"
	"tunneldigger/src/survive"
)

// state is all that the next program is to know; the hooks are frozen. caller is the
// descriptor of who waits for the upgrade, -1: nobody.
func (d *Daemon) state(caller int) *survive.State {
	st := &survive.State{
		Version: d.version, Config: config.FormatUCI(d.config), Started: d.started, Key: d.jar.Key(), Serial: d.serial,
		Hooks: d.hooks.AppendState(nil), Ended: d.hooks.Counts.Ended, Failed: d.hooks.Counts.Failed, Unsent: d.unsent,
		Confined: d.confined, Moved: d.moved, Moving: d.tunnels.Moving(),
		Control: d.control.Listener(), Path: d.control.Path(), Caller: caller,
	}
	d.store.Write(d.now, st, d.lookStored)
	for _, s := range d.sections {
		st.Sections = append(st.Sections, s.state())
	}
	if d.carriers.User != nil {
		st.Sockets = d.carriers.User.Lingering()
	}
	for t := d.tunnels.Next(0); t != nil; t = d.tunnels.Next(t.ID + 1) {
		of := d.tunnels.State(t)
		of.Stored, of.HookFailed = d.store.Stored(t.ID), d.marks.Failed(t.ID)
		st.Tunnels = append(st.Tunnels, of)
	}
	return st
}

func (s *section) state() survive.Section {
	l := s.listen.State()
	return survive.Section{
		Number: s.Number, Name: s.Config.Name, Config: config.FormatUCI(&config.Config{Brokers: []config.Broker{*s.Config}}),
		Leaving: s.leaving, Complete: l.Complete, Opened: l.Opened, Unattached: s.loosened, Device: uint32(l.Device),
		Listeners: s.listen.FDs(), User: s.user(), Core: s.core.AppendState(nil),
	}
}
