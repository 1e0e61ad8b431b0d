package config

import (
	"errors"
	"net/netip"
	"slices"

	"tunneldigger/src/phrase"
)

// Resolve puts addresses in the place of the names of hosts that broker sections
// listen by. find gives those of a name; where it gives none, or another section
// has them, the name is a fault, which a start bears: it leaves the name out, and
// the section if nothing else is left of it. IPv6 addresses are taken where there
// is no IPv4, which is all that the reference broker had. file is for messages.
// What it returns is as from [Build].
func (c *Config) Resolve(file string, find func(name string) ([]netip.Addr, error)) (*Config, error) {
	fault := func(start, text string) { c.Faults = append(c.Faults, Fault{File: file, Text: text, Start: start}) }
	var left []Broker
	for i, b := range c.Brokers {
		label := "broker " + Quote(b.Name)
		for _, name := range b.Names {
			found, err := find(name)
			if err == nil {
				err = b.listenBy(found, append(slices.Clone(left), c.Brokers[i+1:]...))
			}
			if err != nil {
				fault(leavesOut, label+": address "+Quote(name)+": "+err.Error())
			}
		}
		if b.Names != nil && b.Addresses == nil {
			fault(leavesAll+" until a reload finds an address", label+": no address is left: want one that is right")
			c.Bridges = slices.DeleteFunc(c.Bridges, func(e Bridge) bool { return e.Broker == b.Name })
			for j := range c.Clients {
				if k := &c.Clients[j]; !slices.ContainsFunc(c.Bridges, func(e Bridge) bool { return e.Name == k.Bridge }) {
					k.Bridge = ""
				}
			}
			continue
		}
		b.Names = nil
		left = append(left, b)
	}
	if len(left) == 0 && len(c.Brokers) > 0 {
		fault("", "nothing is left to serve: want a broker section with an address")
	}
	c.Brokers = left
	return c.checked()
}

// listenBy adds the addresses of a name, without those that others have.
func (b *Broker) listenBy(found []netip.Addr, others []Broker) error {
	found = slices.DeleteFunc(slices.Clone(found), func(a netip.Addr) bool {
		_, ok := parseAddress(a.Unmap().String())
		return !ok
	})
	if slices.ContainsFunc(found, func(a netip.Addr) bool { return a.Unmap().Is4() }) {
		found = slices.DeleteFunc(found, func(a netip.Addr) bool { return !a.Unmap().Is4() })
	}
	if len(found) == 0 {
		return errors.New("it has no address to listen on")
	}
	for _, a := range found {
		try := Broker{Interface: b.Interface, Ports: b.Ports, Addresses: []netip.Addr{a.Unmap()}}
		for i := range others {
			if slices.ContainsFunc(b.Ports, func(p uint16) bool { return try.meets(&others[i], p) }) {
				return phrase.Errorf("broker %s listens on %v, too: want another port or address", Quote(others[i].Name), a.Unmap())
			}
		}
		b.Listen(a.Unmap())
	}
	return nil
}

// BothFamilies has sections that listen on :: alone listen on any IPv4 address, too,
// as a socket for :: does where the system has net.ipv6.bindv6only 0; not those
// beside which another section has IPv4 on one of their ports.
func (c *Config) BothFamilies() {
	for i := range c.Brokers {
		b := &c.Brokers[i]
		if !slices.Contains(b.Addresses, netip.IPv6Unspecified()) || slices.ContainsFunc(b.Addresses, netip.Addr.Is4) {
			continue
		}
		any4 := Broker{Interface: b.Interface, Ports: b.Ports, Addresses: []netip.Addr{netip.IPv4Unspecified()}}
		if !slices.ContainsFunc(c.Brokers, func(e Broker) bool {
			return e.Name != b.Name && slices.ContainsFunc(b.Ports, func(p uint16) bool { return any4.meets(&e, p) })
		}) {
			b.Addresses = append(b.Addresses, netip.IPv4Unspecified())
		}
	}
}
