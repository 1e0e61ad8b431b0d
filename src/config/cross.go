package config

import (
	"net/netip"
	"slices"
)

// bridge checks a bridge section by itself.
func (b *builder) bridge(s *Section) {
	d := &bridgeDraft{}
	d.Name, d.label = b.name(s, len(b.bridges))
	b.bridges = append(b.bridges, d)
	before := len(b.faults)
	apply(b, s, d.label, bridgeOptions, d)
	if len(b.faults) > before {
		return
	}
	if d.Interface == "" {
		b.fault(s.Line, "%s: interface is missing: want a bridge or a batman-adv interface", d.label)
	}
	for _, e := range b.bridges[:len(b.bridges)-1] {
		if e.line > 0 && d.MTU == e.MTU && d.Broker == e.Broker && (len(d.Ports)+len(e.Ports) == 0 || common(d.Ports, e.Ports)) {
			b.fault(s.Line, "%s: the section on line %d takes the same tunnels: give one of them another mtu, port or broker", d.label, e.line)
			return
		}
	}
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
	if d.shareAddress(e) {
		for i, p := range d.Ports {
			if slices.Contains(e.Ports, p) {
				line := d.section.Line
				if d.portLine != nil {
					line = d.portLine[i]
				}
				b.fault(line, "%s: port '%d': %s on line %d listens there too: want another port, address or interface",
					d.label, p, e.label, e.section.Line)
			}
		}
	}
	if int(d.TunnelIDBase) < int(e.TunnelIDBase)+e.MaxTunnels && int(e.TunnelIDBase) < int(d.TunnelIDBase)+d.MaxTunnels {
		b.fault(d.section.line("tunnel_id_base", "max_tunnels"),
			"%s: tunnel IDs %d–%d: %s on line %d has %d–%d: want another tunnel_id_base or a smaller max_tunnels",
			d.label, d.TunnelIDBase, int(d.TunnelIDBase)+d.MaxTunnels-1,
			e.label, e.section.Line, e.TunnelIDBase, int(e.TunnelIDBase)+e.MaxTunnels-1)
	}
}

// shareAddress tells whether a datagram could be for both. A wildcard on one
// interface does not meet anything on another one. Two names may still stand
// for the same device (one netifd's, one the kernel's): that shows when the
// daemon binds.
func (d *draft) shareAddress(e *draft) bool {
	apart := d.Interface != "" && e.Interface != "" && d.Interface != e.Interface
	for _, x := range d.addresses() {
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
	if len(b.Addresses) == 0 {
		return []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	return b.Addresses
}
