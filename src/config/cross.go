package config

import (
	"net/netip"
	"slices"
)

// bridge checks a bridge section by itself.
func (b *builder) bridge(s *Section) {
	d := &bridgeDraft{}
	d.Priority = priority
	d.Name, d.label = b.name(s, len(b.bridges))
	b.bridges = append(b.bridges, d)
	before := len(b.faults)
	d.left = apply(b, s, d.label, bridgeOptions, d)
	if d.Interface == "" && !d.left {
		d.left = true
		b.bear(s.Line, leavesAll, "%s: interface is missing: want a bridge or a batman-adv interface", d.label)
	}
	if d.left || b.faults[before:].Stop() {
		return
	}
	for _, e := range b.bridges[:len(b.bridges)-1] {
		if e.line == 0 || e.left || d.MTU != e.MTU || d.Broker != e.Broker || len(d.Ports)+len(e.Ports) > 0 && !common(d.Ports, e.Ports) {
			continue
		}
		start := "takes this one alone" // as the scripts of the OpenWrt package did
		if len(d.Ports) > 0 {
			start = ""
		}
		b.bear(s.Line, start, "%s: the section on line %d takes the same tunnels: give one of them another mtu, port or broker", d.label, e.line)
		e.left = true
	}
	b.made(d, s)
	d.line = s.Line
}

// attach finds the brokers and ports of the bridge sections, which may come later in
// the file, and keeps those sections that attach something.
func (b *builder) attach() {
	var known []string
	for _, d := range b.brokers {
		known = append(known, d.Name)
	}
	for _, d := range b.bridges {
		if d.left {
			continue
		}
		at := slices.Index(known, d.Broker)
		if d.Broker != "" && at < 0 {
			b.fault(d.brokerLine, "%s: broker %s: want the name of a broker section%s", d.label, Quote(d.Broker), hint(d.Broker, known))
		} else if b.listened(d); d.Broker == "" || b.brokers[at].enabled {
			b.cfg.Bridges = append(b.cfg.Bridges, d.Bridge)
		}
	}
}

// listened finds ports of a bridge section to which no client can come.
func (b *builder) listened(d *bridgeDraft) {
	for i, p := range d.Ports {
		if !slices.ContainsFunc(b.brokers, func(e *draft) bool {
			return (d.Broker == "" || d.Broker == e.Name) && slices.Contains(e.Ports, p)
		}) {
			b.fault(d.portLine[i], "%s: port '%d': want a port of the broker sections that the bridge is for", d.label, p)
		}
	}
}

// overlaps compares the enabled brokers pairwise and keeps them.
func (b *builder) overlaps() {
	for i, d := range b.brokers[:min(len(b.brokers), maxBrokers)] {
		if !d.enabled {
			continue
		}
		for _, e := range b.brokers[:i] {
			if e.enabled {
				b.compare(d, e)
			}
		}
		b.cfg.Brokers = append(b.cfg.Brokers, d.Broker)
	}
}

// compare finds what broker d shares with the earlier broker e.
func (b *builder) compare(d, e *draft) {
	for i, p := range d.Ports {
		if d.meets(&e.Broker, p) {
			line := d.section.Line
			if d.portLine != nil {
				line = d.portLine[i]
			}
			b.fault(line, "%s: port '%d': %s on line %d listens there too: want another port, address or interface",
				d.label, p, e.label, e.section.Line)
		}
	}
	if int(d.TunnelIDBase) < int(e.TunnelIDBase)+e.MaxTunnels && int(e.TunnelIDBase) < int(d.TunnelIDBase)+d.MaxTunnels {
		b.fault(d.section.line("tunnel_id_base", "max_tunnels"),
			"%s: tunnel IDs %d–%d: %s on line %d has %d–%d: want another tunnel_id_base or a smaller max_tunnels",
			d.label, d.TunnelIDBase, int(d.TunnelIDBase)+d.MaxTunnels-1,
			e.label, e.section.Line, e.TunnelIDBase, int(e.TunnelIDBase)+e.MaxTunnels-1)
	}
}

// meets reports whether a datagram to this port could be for both. A wildcard on
// one interface does not meet anything on another one. Two names may still stand
// for the same device (one netifd's, one the kernel's): that shows when the
// daemon binds.
func (b *Broker) meets(e *Broker, port uint16) bool {
	if !slices.Contains(b.Ports, port) || !slices.Contains(e.Ports, port) {
		return false
	}
	apart := b.Interface != "" && e.Interface != "" && b.Interface != e.Interface
	for _, x := range b.addresses() {
		for _, y := range e.addresses() {
			wild := x.IsUnspecified() || y.IsUnspecified()
			if x == y && !wild || wild && x.Is4() == y.Is4() && !apart {
				return true
			}
		}
	}
	return false
}

func (b *Broker) addresses() []netip.Addr {
	if len(b.Addresses)+len(b.Names) == 0 {
		return []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	return b.Addresses
}

// served stops a start where the sections that it would leave out are all there are.
func (b *builder) served() {
	if len(b.cfg.Brokers) > 0 {
		return
	}
	for _, d := range b.brokers {
		for i := d.faults[0]; i < d.faults[1] && d.left; i++ {
			if b.faults[i].Start == leavesAll {
				b.faults[i].Start = ""
			}
		}
	}
}
