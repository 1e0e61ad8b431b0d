package daemon

import (
	"tunneldigger/src/config"
	"tunneldigger/src/datapath"
	"tunneldigger/src/survive"
)

// state is all that the next program is to know; the hooks are frozen. caller is the
// descriptor of who waits for the upgrade, -1: nobody.
func (d *Daemon) state(caller int) *survive.State {
	st := &survive.State{
		Version: d.version, Config: config.FormatUCI(d.config), Started: d.started, Key: d.jar.Key(), Serial: d.serial,
		Hooks: d.hooks.AppendState(nil), Ended: d.hooksRun.Ended, Failed: d.hooksRun.Failed, Unsent: d.unsent,
		Confined: d.confined, Moved: d.moved, Moving: d.moving,
		Control: d.control.Listener(), Path: d.control.Path(), Caller: caller,
	}
	d.store.Write(d.now, st, d.lookStored)
	for _, s := range d.sections {
		st.Sections = append(st.Sections, s.state())
	}
	if d.carriers.User != nil {
		st.Sockets = d.carriers.User.Lingering()
	}
	for _, p := range d.ports.byID {
		if p != nil {
			t := p.state(d.links.State(p.id), d.store.Stored(p.id))
			t.HookFailed = d.marks.Failed(p.id)
			st.Tunnels = append(st.Tunnels, t)
		}
	}
	return st
}

func (s *section) state() survive.Section {
	l := s.listen.State()
	return survive.Section{
		Number: s.number, Name: s.config.Name, Config: config.FormatUCI(&config.Config{Brokers: []config.Broker{*s.config}}),
		Leaving: s.leaving, Complete: l.Complete, Opened: l.Opened, Unattached: s.loosened, Device: uint32(l.Device),
		Listeners: s.listen.FDs(), User: s.user(), Core: s.core.AppendState(nil),
	}
}

func (p *port) state(is datapath.State, stored bool) survive.Tunnel {
	return survive.Tunnel{
		ID: p.id, Section: p.section.number, Listener: p.listener, FD: p.section.path.Keep(p.id), Peer: p.peer, Local: p.local,
		Interface: p.name, Master: is.Attached, Isolated: is.Isolated, Unsettled: is.Failed != "", Stored: stored,
	}
}
