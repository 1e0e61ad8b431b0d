package daemon

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"tunneldigger/src/config"
	"tunneldigger/src/link"
	"tunneldigger/src/wire"
)

// manyPorts is when a bridge, which takes link.MaxPorts, is worth a warning.
const manyPorts = 900

// master is an interface that tunnels are attached to.
type master struct {
	index  int // 0: it is not there
	bridge bool
	ports  int // ours
	warned bool
	misfit bool // it was said that its MTU is larger than its tunnels'
	mtu    int  // as configured; it is kept whatever joins
	away   bool // it has been gone: tunnels wait to be attached again
}

// ready wants the section's bridges to be there: a client is
// better off with another broker than with a tunnel to nowhere.
func (k *kernel) ready(d *Daemon, s *section) error {
	for i := range d.config.Bridges {
		b := &d.config.Bridges[i]
		if !b.Takes(s.config) {
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
	*m = master{index: index, bridge: bridge, mtu: mtu, away: m.away}
	return nil
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
	err := k.link.UpAttach(p.index, mtu, m.index)
	if errors.Is(err, unix.EXFULL) {
		return fmt.Errorf("attach to %s: %w: it has %d ports, and a bridge takes no more: use a second one, or batman-adv", b.Interface, err, link.MaxPorts)
	}
	if err != nil {
		return fmt.Errorf("attach to %s: %w", b.Interface, err)
	}
	if m.bridge && b.Isolate {
		if err := k.link.Isolate(p.index); err != nil {
			return fmt.Errorf("isolate on %s: %w", b.Interface, err)
		}
	}
	p.master, p.isolated = b.Interface, m.bridge && b.Isolate
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
	peer := p.peer.Addr().Addr()
	forgotten := k.link.ForgetPathMTU(peer, p.section.config.Interface, mtu+wire.TunnelOverhead(!peer.Is4()))
	b := d.config.BridgeFor(p.section.config.Name, mtu, p.local.Port())
	if b != nil && b.Interface == p.master {
		k.mind(d, p.master, k.masters[p.master], mtu)
		return forgotten
	}
	if p.master != "" {
		if err := k.link.Detach(p.index); err != nil {
			return errors.Join(forgotten, err)
		}
		k.detached(p)
	}
	if b == nil {
		return forgotten
	}
	return errors.Join(forgotten, k.attach(d, p, b, mtu))
}

func (k *kernel) detached(p *port) {
	if m := k.masters[p.master]; m != nil && m.ports > 0 {
		m.ports--
	}
	p.master, p.isolated = "", false
}

// retry gives masters that were made anew their tunnels back. The kernel could
// tell of new interfaces, but then of every tunnel's as well.
func (k *kernel) retry(d *Daemon) (missing bool) {
	for name, m := range k.masters {
		switch {
		case !m.away:
		case !k.wanted(d, name):
			m.away = false
		case k.find(name) != nil:
			missing = true
		default:
			m.away, m.ports = false, 0
			k.reattach(d, name)
		}
	}
	return missing
}

// wanted tells whether tunnels should be attached to a master.
func (k *kernel) wanted(d *Daemon, name string) bool {
	for _, p := range d.ports.byIndex {
		if p.master == name {
			return true
		}
	}
	return false
}

func (k *kernel) reattach(d *Daemon, name string) {
	for _, p := range d.ports.byIndex {
		if p.master != name {
			continue
		}
		p.master = "" // and its port of the bridge before has gone with that
		if err := k.move(d, p); err != nil {
			d.log.Error("can't attach a tunnel again", append(d.aboutPort(p), "master", name, "error", err)...)
		}
	}
}
