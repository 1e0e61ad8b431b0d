package daemon

import (
	"fmt"

	"tunneldigger/src/link"
)

// movesATurn is how many tunnels a turn brings to other bridges: keepalives and
// handshakes go on between.
const movesATurn = 32

// moveSome goes on with bringing tunnels where the bridge sections want them.
func (d *Daemon) moveSome() {
	for range movesATurn {
		for d.moveNext < len(d.ports.byID) && d.ports.byID[d.moveNext] == nil {
			d.moveNext++
		}
		if d.moveNext >= len(d.ports.byID) {
			d.moving = false
			return
		}
		p := d.ports.byID[d.moveNext]
		d.moveNext++
		if p.index == 0 || p.fd < 0 || p.rise != nil { // gone, or not there yet
			continue
		}
		if err := d.datapath.move(d, p); err != nil && d.quiet.allow(d.now, "move") {
			d.log.Error("can't bring a tunnel to its bridge", append(d.aboutPort(p), "error", err)...)
		}
	}
}

// reload has masters for the bridge sections that there are now, and tells which
// are missing: their tunnels are attached when they come.
func (k *kernel) reload(d *Daemon) (missing []string) {
	used := make(map[string]bool)
	for i := range d.config.Bridges {
		name := d.config.Bridges[i].Interface
		used[name] = true
		if k.masters[name] == nil {
			k.masters[name] = new(master)
		}
		if err := k.find(name); err != nil {
			missing = append(missing, fmt.Sprintf("%v: its tunnels wait for it", err))
		}
	}
	for name, m := range k.masters {
		if !used[name] && m.ports == 0 {
			delete(k.masters, name)
		}
	}
	return missing
}

// move attaches a tunnel to the bridge that is configured for it now, and
// detaches it from any other. Where it is right already nothing happens.
func (k *kernel) move(d *Daemon, p *port) error {
	mtu, err := k.link.MTU(p.name)
	if err != nil {
		return err
	}
	b := d.config.BridgeFor(p.section.config.Name, mtu, p.local.Port())
	if b != nil && b.Interface == p.master {
		m := k.masters[p.master]
		if m.index == 0 || !m.bridge || p.isolated == b.Isolate {
			return nil
		}
		if err := k.link.SetIsolated(p.index, b.Isolate); err != nil {
			return err
		}
		p.isolated = b.Isolate
		return nil
	}
	if p.master != "" {
		if err := k.link.Detach(p.index); err != nil {
			return err
		}
		k.detached(p)
		if b == nil {
			return link.EnableIPv6(p.name)
		}
	}
	if b == nil {
		return nil
	}
	if k.find(b.Interface) != nil {
		p.master, k.masters[b.Interface].away = b.Interface, true // retry does it when the bridge comes
		d.retry(retryGap)
		return nil
	}
	return k.attach(d, p, b, mtu)
}
