package daemon

import (
	"tunneldigger/src/broker"
	"tunneldigger/src/datapath"
	"tunneldigger/src/poll"
)

// openDatapath opens what sections have, removes what a killed broker left, and finds
// the interfaces of the tunnels that are there.
func (d *Daemon) openDatapath() error {
	if d.none != nil {
		d.log.Warn("no datapath: tunnels are accepted, but no frame will pass")
		return nil
	}
	for _, s := range d.sections {
		if s != nil && s.path == datapath.Path(d.kernel) {
			if err := d.openKernel(); err != nil {
				return err
			}
		}
	}
	if err := d.poller.Add(d.links.FD(), tokenLinks, poll.Read); err != nil {
		return err
	}
	if d.kernelUp {
		if err := d.sweep(); err != nil {
			return err
		}
	}
	for _, s := range d.sections {
		if s != nil && s.device == 0 && s.config.Interface != "" { // version 1.0 did not hand it over
			s.device = d.links.Index(s.config.Interface)
		}
	}
	err := d.links.Adopt(d.now, d.isBridge)
	d.interfacesChanged()
	d.user.Open()
	return err
}

// sweep removes tunnels in the ID ranges of this daemon, and of nodes' own IDs, that belong to no
// process. One that belongs to somebody is left alone; its ID will be found
// taken and set aside.
func (d *Daemon) sweep() error {
	found, err := d.kernel.Sweep(func(id uint32) bool {
		if d.isNodes(id) {
			return d.ports.get(id) == nil
		}
		for _, s := range d.sections {
			if s != nil && id-s.config.TunnelIDBase < uint32(s.config.MaxTunnels) && d.ports.get(id) == nil {
				return true
			}
		}
		return false
	})
	for i := range found {
		switch t := &found[i]; {
		case t.Unknown != nil:
			d.log.Warn("tunnels in the ID range are left alone: can't tell whose they are", "count", len(found), "error", t.Unknown)
			return err
		case t.PID < 0:
			d.log.Warn("a tunnel in the ID range is not over UDP, and not ours: it is left alone", "tunnel", t.ID)
		case t.PID > 0:
			d.log.Warn("a tunnel in the ID range belongs to another process", "tunnel", t.ID, "pid", t.PID)
		case t.Removed:
			d.log.Info("removed a tunnel that belonged to nobody", "tunnel", t.ID)
		}
	}
	return err
}

// stray hands in what came to the socket of a tunnel that is being closed, as a
// listener's: what strangers sent between bind and connect, and what its peer sent
// at last, which may be the handshake for its next tunnel.
func (d *Daemon) stray(listener int, local, from netipAddrPort, data []byte) {
	if s, n, ok := d.entrance(listener, local); ok {
		d.later(s, broker.Event{
			Kind: broker.EventDatagram, Listener: n, Peer: from, Local: local, Data: append([]byte(nil), data...),
		})
	}
}

// wish tells the data path what a tunnel's interface is to be now.
func (d *Daemon) wish(p *port) {
	p.want.Bridge, p.want.Isolated = "", false
	if b := d.bridgeFor(p.section, p.uuid, p.want.MTU, p.local.Port()); b != nil {
		p.want.Bridge, p.want.Isolated = b.Device(p.want.MTU), b.Isolate
	}
	d.links.Set(d.now, p.id, p.want)
}

// interfacesChanged takes in what happened to interfaces.
func (d *Daemon) interfacesChanged() {
	events := d.links.Events()
	for i := range events {
		ev := &events[i]
		p := d.ports.get(ev.Tunnel)
		switch ev.Kind {
		case datapath.Lost, datapath.Destroyed:
			if p != nil {
				d.gone(p, ev.Kind)
			}
		case datapath.MTUFailed, datapath.AttachFailed, datapath.LimitFailed:
			if p != nil {
				d.wishFailed(p, ev)
			}
		case datapath.MasterAway:
			d.log.Warn("interface gone: tunnels can't be attached", "interface", ev.Link)
		case datapath.MasterBack:
			d.log.Info("interface is there again: tunnels are attached", "interface", ev.Link)
		case datapath.Misfit:
			d.log.Warn("the interface's MTU is larger than its tunnels': larger packets will be lost", "interface", ev.Link,
				"mtu", ev.MTU, "tunnel_mtu", ev.TunnelMTU)
		case datapath.NearlyFull:
			d.log.Warn("the bridge is nearly full", "interface", ev.Link, "tunnels", ev.Ports, "ports", datapath.Full)
		case datapath.BridgeMade, datapath.BridgeRemoved, datapath.BridgeStays, datapath.BridgeForeign, datapath.BridgeFailed:
			d.bridgeChanged(ev)
		case datapath.LinkGone:
			d.deviceGone(ev.Index)
		case datapath.Overrun:
			d.compareDevices()
		case datapath.WatchFailed:
			if d.quiet.allow(d.now, "watch") {
				d.log.Error("can't watch interfaces", "error", ev.Err)
			}
		}
	}
}

func (d *Daemon) gone(p *port, why datapath.EventKind) {
	kind := broker.EventLost
	if why == datapath.Destroyed {
		kind = broker.EventDestroyed
		d.ports.byID[p.id] = nil
	}
	d.later(p.section, broker.Event{Kind: kind, Tunnel: p.id})
}

func (d *Daemon) wishFailed(p *port, ev *datapath.Event) {
	about := d.aboutPort(p)
	switch {
	case ev.Kind == datapath.MTUFailed && d.quiet.allow(d.now, "mtu"):
		d.log.Error("can't change a tunnel's MTU", append(about, "mtu", ev.Want.MTU, "error", ev.Err)...)
	case ev.Kind == datapath.AttachFailed && d.quiet.allow(d.now, "move"):
		d.log.Error("can't bring a tunnel to its bridge", append(about, "master", ev.Want.Bridge, "error", ev.Err)...)
	case ev.Kind == datapath.LimitFailed && d.quiet.allow(d.now, "shape"):
		d.log.Error("can't limit a tunnel's bandwidth", append(about, "kbit", ev.Want.Kbit, "error", ev.Err)...)
	}
}
