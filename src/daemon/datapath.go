package daemon

import (
	"net/netip"

	"tunneldigger/src/broker"
	"tunneldigger/src/datapath"
	"tunneldigger/src/listen"
	"tunneldigger/src/poll"
	"tunneldigger/src/tunnels"
)

// openDatapath opens what sections have, removes what a killed broker left, and finds
// the interfaces of the tunnels that are there.
func (d *Daemon) openDatapath() error {
	if d.carriers.None != nil {
		d.log.Warn("no datapath: tunnels are accepted, but no frame will pass")
		return nil
	}
	for _, s := range d.sections {
		if s.Path == datapath.Path(d.carriers.Kernel) {
			if err := d.carriers.OpenKernel(); err != nil {
				return err
			}
		}
	}
	if err := d.poller.Add(d.links.FD(), tokenLinks, poll.Read); err != nil {
		return err
	}
	if d.carriers.KernelUp() {
		// One that belongs to somebody is left alone; its ID will be found taken and set aside.
		found, err := d.carriers.Kernel.Sweep(d.free)
		d.journal.Swept(found)
		if err != nil {
			return err
		}
	}
	// What a crash has left may be of a configuration with other IDs.
	removed, err := d.carriers.User.Sweep(func(id uint32) bool { return d.free(id) || d.store.Stored(id) })
	for _, name := range removed {
		d.log.Info("removed an interface that belonged to nobody", "interface", name)
	}
	if err != nil {
		return err
	}
	for _, s := range d.sections {
		s.listen.Locate(d.links.Index) // version 1.0 did not hand it over
	}
	err = d.links.Adopt(d.now, d.bridges.Is)
	d.interfacesChanged()
	d.carriers.User.Open()
	return err
}

// free reports whether an ID is in the ranges of this daemon, or a node's own, and
// no tunnel has it.
func (d *Daemon) free(id uint32) bool {
	if d.bridges.IsNodes(id) {
		return d.tunnels.Get(id) == nil
	}
	for _, s := range d.sections {
		if id-s.Config.TunnelIDBase < uint32(s.Config.MaxTunnels) && d.tunnels.Get(id) == nil {
			return true
		}
	}
	return false
}

// stray hands in what came to the socket of a tunnel that is being closed, as a
// listener's: what strangers sent between bind and connect, and what its peer sent
// at last, which may be the handshake for its next tunnel.
func (d *Daemon) stray(listener int, local, from netip.AddrPort, data []byte) {
	if s, n, ok := d.entrance(listener, local); ok {
		d.later(s, broker.Event{
			Kind: broker.EventDatagram, Listener: n, Peer: from, Local: local, Data: append([]byte(nil), data...),
		})
	}
}

// interfacesChanged takes in what happened to interfaces.
func (d *Daemon) interfacesChanged() {
	events := d.links.Events()
	for i := range events {
		ev := &events[i]
		switch ev.Kind {
		case datapath.Lost, datapath.Destroyed:
			d.took(d.tunnels.Gone(ev))
		case datapath.MTUFailed, datapath.AttachFailed, datapath.LimitFailed:
			if t := d.tunnels.Get(ev.Tunnel); t != nil {
				d.journal.Interface(d.now, ev, d.about(t)...)
			}
		case datapath.LinkGone:
			d.deafened(func(l *listen.Set) bool { return l.Gone(ev.Index) })
			for _, s := range d.sections {
				s.core.Freed(d.now, ev.Link)
			}
		case datapath.Overrun:
			d.deafened(func(l *listen.Set) bool { return l.Compare(d.links.Index) })
		default:
			d.journal.Interface(d.now, ev)
		}
	}
}

// about is what a line about a tunnel in the data path begins with.
func (d *Daemon) about(t *tunnels.Tunnel) []any {
	f := broker.Facts{Tunnel: t.ID, Peer: t.Peer}
	return append(d.journal.About(t.Section.Config.Name, &f), "interface", t.Interface)
}

// judge marks a tunnel that no bridge section fits, or takes the mark away. counts
// is whether such a tunnel counts, as one that was not counted before.
func (d *Daemon) judge(s *section, f *broker.Facts, counts bool) {
	fresh, say := d.marks.Loose(s.Number, f, !s.leaving && d.bridges.Loose(s.Config.Name, f), counts)
	if !fresh {
		return
	}
	s.loosened++
	if say {
		d.log.Warn("no bridge section fits tunnels like this one: they are attached to nothing; give one section no option mtu, or add one",
			"broker", s.Config.Name, "mtu", f.MTU, "port", f.Local.Port(), "tunnel", f.Tunnel)
	}
}

// judgeAll does it for all tunnels, when there are other bridge sections.
func (d *Daemon) judgeAll(counts bool) {
	d.marks.Anew()
	d.eachTunnel(func(s *section, t *broker.TunnelInfo) {
		if t.Stands() {
			d.judge(s, &t.Facts, counts)
		}
	})
}
