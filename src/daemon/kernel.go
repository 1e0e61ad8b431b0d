package daemon

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
	"tunneldigger/src/l2tp"
	"tunneldigger/src/link"
	"tunneldigger/src/nl"
	"tunneldigger/src/poll"
	"tunneldigger/src/shaper"
)

// kernel makes tunnels in the kernel.
type kernel struct {
	l2tp    *l2tp.Conn
	link    *link.Conn
	shaper  *shaper.Conn
	monitor *link.Monitor
	masters map[string]*master
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

func (k *kernel) close() {
	_ = k.monitor.Close()
	_ = k.shaper.Close()
	_ = k.link.Close()
	_ = k.l2tp.Close()
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
	p.index, err = k.link.Index(p.name)
	return err
}

func (k *kernel) raise(d *Daemon, p *port, mtu int) error {
	b := d.config.BridgeFor(p.section.config.Name, mtu, p.local.Port())
	if b == nil {
		return k.link.Up(p.index, mtu)
	}
	return k.attach(d, p, b, mtu)
}

func (k *kernel) shape(p *port, kbit uint32) error {
	if kbit == 0 {
		return k.shaper.Clear(p.index)
	}
	return k.shaper.Set(p.index, kbit)
}

func (k *kernel) received(p *port) (uint64, error) { return k.link.Received(p.index) }

// watch takes in which interfaces have gone.
func (k *kernel) watch(d *Daemon) {
	err := k.monitor.Read(func(index int, name string) { k.lost(d, index, name) })
	if err != nil && !errors.Is(err, nl.ErrOverrun) {
		if d.quiet.allow(d.now, "watch") {
			d.log.Error("can't watch interfaces", "error", err)
		}
	}
	if err == nil {
		return
	}
	there, names := make(map[int]bool, len(d.ports.byIndex)), make(map[string]bool)
	if err := k.link.List(func(l link.Link) { there[l.Index], names[l.Name] = true, true }); err != nil {
		d.log.Error("can't list interfaces", "error", err)
		return
	}
	for index, p := range d.ports.byIndex {
		if !there[index] {
			k.lost(d, index, p.name)
		}
	}
	for name, m := range k.masters {
		if m.index != 0 && !there[m.index] {
			k.lost(d, m.index, name)
		}
	}
	for _, s := range d.sections {
		if s != nil && s.config.Interface != "" && !names[s.config.Interface] {
			d.linkGone(s.config.Interface)
		}
	}
}

func (k *kernel) lost(d *Daemon, index int, name string) {
	if p := d.ports.byIndex[index]; p != nil {
		k.detached(p)
		d.gone(p)
		return
	}
	if m := k.masters[name]; m != nil && m.index == index {
		d.log.Warn("interface gone: tunnels can't be attached", "interface", name)
		*m = master{away: true}
		d.retry(retryGap)
	}
	d.linkGone(name)
}
