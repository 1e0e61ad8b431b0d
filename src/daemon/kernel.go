package daemon

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/l2tp"
	"tunneldigger/src/link"
	"tunneldigger/src/nl"
	"tunneldigger/src/poll"
	"tunneldigger/src/shaper"
)

// manyPorts is when a bridge, which takes link.MaxPorts, is worth a warning.
const manyPorts = 900

// kernel makes tunnels in the kernel.
type kernel struct {
	l2tp    *l2tp.Conn
	link    *link.Conn
	shaper  *shaper.Conn
	monitor *link.Monitor
	masters map[string]*master
}

// master is an interface that tunnels are attached to.
type master struct {
	index  int // 0: it is not there
	bridge bool
	ports  int // ours
	warned bool
	misfit bool // it was said that its MTU is larger than its tunnels'
	mtu    int  // as configured; it is kept whatever joins
}

// openKernel connects to the kernel, proves that it can do what is needed, and
// removes what a killed broker left.
func openKernel(d *Daemon) (_ datapath, err error) {
	k := &kernel{masters: make(map[string]*master)}
	if k.l2tp, err = l2tp.Dial(); err == nil {
		err = k.l2tp.Prove()
	}
	if err != nil {
		return nil, explain(err)
	}
	if k.link, err = link.Open(); err != nil {
		return nil, err
	}
	if k.shaper, err = shaper.Open(); err != nil {
		return nil, err
	}
	if k.monitor, err = link.NewMonitor(); err != nil {
		return nil, err
	}
	for i := range d.config.Bridges {
		k.masters[d.config.Bridges[i].Interface] = new(master)
	}
	if err := k.sweep(d); err != nil {
		return nil, err
	}
	return k, d.poller.Add(k.monitor.FD(), tokenLinks, poll.Read)
}

// explain says what to do about an L2TP fault.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: run it as root or with CAP_NET_ADMIN", err)
	case errors.Is(err, l2tp.ErrNoL2TP), errors.Is(err, l2tp.ErrNoEthernet):
		return fmt.Errorf("%w: install it (OpenWrt: kmod-l2tp and kmod-l2tp-eth; Fedora, RHEL: kernel-modules-extra, and take "+
			"l2tp_netlink and l2tp_eth off the blacklists in /etc/modprobe.d; Debian has it in the kernel package), "+
			"or run on a host instead of in a container", err)
	}
	return err
}

// sweep removes tunnels in the ID ranges of this daemon that belong to no
// process. One that belongs to somebody is left alone; its ID will be found
// taken and set aside.
func (k *kernel) sweep(d *Daemon) error {
	all, err := k.l2tp.Tunnels()
	if err != nil {
		return err
	}
	var mine []l2tp.TunnelInfo
	for _, t := range all {
		for _, s := range d.sections {
			if first := s.config.TunnelIDBase; t.ID >= first && t.ID < first+uint32(s.config.MaxTunnels) {
				mine = append(mine, t)
			}
		}
	}
	if len(mine) == 0 {
		return nil
	}
	owners, err := l2tp.Owners(mine)
	if err != nil {
		d.log.Warn("tunnels in the ID range are left alone: can't tell whose they are", "count", len(mine), "error", err)
		return nil
	}
	for i, t := range mine {
		if owners[i] != 0 {
			d.log.Warn("a tunnel in the ID range belongs to another process", "tunnel", t.ID, "pid", owners[i])
			continue
		}
		if err := k.l2tp.DeleteTunnel(t.ID); err != nil && !errors.Is(err, unix.ENODEV) {
			return err
		}
		d.log.Info("removed a tunnel that belonged to nobody", "tunnel", t.ID)
	}
	return nil
}

func (k *kernel) close() {
	_ = k.monitor.Close()
	_ = k.shaper.Close()
	_ = k.link.Close()
	_ = k.l2tp.Close()
}

// ready wants the section's interface and its bridges to be there: a client is
// better off with another broker than with a tunnel to nowhere.
func (k *kernel) ready(d *Daemon, s *section) error {
	for i := range d.config.Bridges {
		b := &d.config.Bridges[i]
		if b.Broker != "" && b.Broker != s.config.Name {
			continue
		}
		if err := k.find(b.Interface); err != nil {
			return fmt.Errorf("%w: tunnels are to be attached to it", err)
		}
	}
	return nil
}

// find looks a master up by name.
func (k *kernel) find(name string) error {
	m := k.masters[name]
	if m.index != 0 {
		return nil
	}
	index, err := k.link.Index(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	bridge, err := k.link.IsBridge(name)
	if err != nil {
		return err
	}
	mtu, err := k.link.GuardMTU(name)
	if err != nil {
		return err
	}
	*m = master{index: index, bridge: bridge, mtu: mtu}
	return nil
}

func (k *kernel) create(d *Daemon, p *port, e *broker.Effect) error {
	err := k.l2tp.CreateTunnel(l2tp.Tunnel{ID: e.Tunnel, PeerID: e.PeerTunnel, FD: p.fd})
	if errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%w: %w", errTunnelExists, err)
	} else if err != nil {
		return err
	}
	err = k.l2tp.CreateSession(l2tp.Session{TunnelID: e.Tunnel, ID: e.Session, PeerID: e.PeerSession, Interface: p.name})
	if errors.Is(err, unix.EEXIST) {
		// It may be the interface name that is taken, and then by something of
		// this tunnel ID.
		if _, e := k.link.Index(p.name); e == nil {
			return fmt.Errorf("%w: %w", errTunnelExists, err)
		}
		return fmt.Errorf("%w: %w", errSessionExists, err)
	} else if err != nil {
		return err
	}
	if p.index, err = k.link.Index(p.name); err != nil {
		return err
	}
	b := d.config.BridgeFor(p.section.config.Name, e.MTU)
	if b == nil {
		return k.link.Up(p.index, e.MTU)
	}
	return k.attach(d, p, b, e.MTU)
}

// attach makes p a port of a bridge or batman-adv interface and brings it up.
func (k *kernel) attach(d *Daemon, p *port, b *config.Bridge, mtu int) error {
	if err := k.find(b.Interface); err != nil {
		return err
	}
	m := k.masters[b.Interface]
	if err := link.DisableIPv6(p.name); err != nil {
		return err
	}
	if err := k.link.UpAttach(p.index, mtu, m.index); err != nil {
		return fmt.Errorf("attach to %s: %w", b.Interface, err)
	}
	if m.bridge && b.Isolate {
		if err := k.link.Isolate(p.index); err != nil {
			return fmt.Errorf("isolate on %s: %w", b.Interface, err)
		}
	}
	p.master = b.Interface
	m.ports++
	k.mind(d, b.Interface, m, mtu)
	return nil
}

// mind warns of what does not fit.
func (k *kernel) mind(d *Daemon, name string, m *master, mtu int) {
	if !m.misfit && mtu < m.mtu {
		m.misfit = true
		d.log.Warn("the interface's MTU is larger than its tunnels': larger packets will be lost", "interface", name,
			"mtu", m.mtu, "tunnel_mtu", mtu)
	}
	if !m.warned && m.bridge && m.ports >= manyPorts {
		m.warned = true
		d.log.Warn("the bridge is nearly full", "interface", name, "tunnels", m.ports, "ports", link.MaxPorts)
	}
}

func (k *kernel) setMTU(d *Daemon, p *port, mtu int) error {
	if err := k.link.SetMTU(p.index, mtu); err != nil {
		return err
	}
	b := d.config.BridgeFor(p.section.config.Name, mtu)
	if b != nil && b.Interface == p.master {
		k.mind(d, p.master, k.masters[p.master], mtu)
		return nil
	}
	if p.master != "" {
		if err := k.link.Detach(p.index); err != nil {
			return err
		}
		k.detached(p)
	}
	if b == nil {
		return nil
	}
	return k.attach(d, p, b, mtu)
}

func (k *kernel) detached(p *port) {
	if m := k.masters[p.master]; m != nil && m.ports > 0 {
		m.ports--
	}
	p.master = ""
}

func (k *kernel) shape(p *port, kbit uint32) error {
	if kbit == 0 {
		return k.shaper.Clear(p.index)
	}
	return k.shaper.Set(p.index, kbit)
}

// watch takes in what happened to interfaces: tunnels' that have gone, and
// masters that came or went.
func (k *kernel) watch(d *Daemon) {
	err := k.monitor.Read(func(ev link.Event) { k.seen(d, ev) })
	if err != nil && !errors.Is(err, nl.ErrOverrun) {
		if d.quiet.allow(d.now, "watch") {
			d.log.Error("can't watch interfaces", "error", err)
		}
	}
	if err == nil {
		return
	}
	there := make(map[int]bool, len(d.ports.byIndex))
	if err := k.link.List(func(ev link.Event) { there[ev.Index] = true; k.seen(d, ev) }); err != nil {
		d.log.Error("can't list interfaces", "error", err)
		return
	}
	for index, p := range d.ports.byIndex {
		if !there[index] {
			k.portGone(d, p)
		}
	}
}

func (k *kernel) seen(d *Daemon, ev link.Event) {
	if ev.Gone {
		if p := d.ports.byIndex[ev.Index]; p != nil {
			k.portGone(d, p)
			return
		}
		for name, m := range k.masters {
			if m.index == ev.Index {
				d.log.Warn("interface gone: tunnels can't be attached", "interface", name)
				*m = master{}
			}
		}
		d.linkGone(ev.Name)
		return
	}
	if m := k.masters[ev.Name]; m != nil && m.index == 0 {
		k.reattach(d, ev.Name)
	}
}

func (k *kernel) portGone(d *Daemon, p *port) {
	k.detached(p)
	d.gone(p)
}

// reattach gives a master that was made anew its tunnels back.
func (k *kernel) reattach(d *Daemon, name string) {
	if k.find(name) != nil {
		return
	}
	for _, p := range d.ports.byIndex {
		if p.master != name {
			continue
		}
		mtu, err := k.link.MTU(p.name)
		if err == nil {
			err = k.attach(d, p, d.config.BridgeFor(p.section.config.Name, mtu), mtu)
		}
		if err != nil {
			d.log.Error("can't attach a tunnel again", "interface", name, "tunnel", p.id, "error", err)
		}
	}
}
