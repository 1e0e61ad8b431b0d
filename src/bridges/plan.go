// Package bridges is what bridge and client sections say of tunnels: to which bridge one
// is attached, how that is made, what a node has of its own; and what is wrong with it.
package bridges

import (
	"slices"
	"strings"
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/datapath"
	"tunneldigger/src/phrase"
)

// Plan is what one configuration says.
type Plan struct {
	config  *config.Config
	clients map[string]*config.Client // by UUID
}

// New makes a Plan of a configuration, which is not to change.
func New(c *config.Config) *Plan {
	p := &Plan{config: c, clients: make(map[string]*config.Client, len(c.Clients))}
	for i := range c.Clients {
		p.clients[c.Clients[i].UUID] = &c.Clients[i]
	}
	return p
}

// Client is what a core is told of a node.
func (p *Plan) Client(uuid string) broker.Client {
	if c := p.clients[uuid]; c != nil {
		return broker.Client{Tunnel: c.TunnelID, Bandwidth: c.BandwidthDown}
	}
	return broker.Client{}
}

// IsNodes reports whether an ID is a node's own.
func (p *Plan) IsNodes(id uint32) bool {
	return slices.ContainsFunc(p.config.Clients, func(c config.Client) bool { return c.TunnelID == id })
}

// section is the bridge section for a tunnel, nil where none fits it. That of
// its client goes first.
func (p *Plan) section(broker, uuid string, mtu int, port uint16) *config.Bridge {
	if c := p.clients[uuid]; c != nil && c.Bridge != "" {
		for i := range p.config.Bridges {
			if p.config.Bridges[i].Name == c.Bridge {
				return &p.config.Bridges[i]
			}
		}
	}
	return p.config.BridgeFor(broker, mtu, port)
}

// Fill completes what is wanted of a tunnel of a broker section: where it belongs with
// its MTU.
func (p *Plan) Fill(want *datapath.Want, broker, uuid string, port uint16) {
	want.Bridge, want.Isolated = "", false
	if b := p.section(broker, uuid, want.MTU, port); b != nil {
		want.Bridge, want.Isolated = b.Device(want.MTU), b.Isolate
	}
}

// Loose reports whether there are bridge sections, and none fits a tunnel.
func (p *Plan) Loose(broker string, f *broker.Facts) bool {
	return len(p.config.Bridges) > 0 && p.section(broker, f.UUID, f.MTU, f.Local.Port()) == nil
}

// Own says how a bridge is to be made, nil where that is not the broker's.
func (p *Plan) Own(name string) *datapath.Own {
	for i := range p.config.Bridges {
		b := &p.config.Bridges[i]
		if mtu, ok := b.Has(name); ok && b.Create {
			return ownOf(b, mtu)
		}
	}
	return nil
}

func ownOf(b *config.Bridge, mtu int) *datapath.Own {
	return &datapath.Own{MTU: mtu, Addresses: b.Addresses, Table: b.Table, Priority: b.Priority}
}

// Is reports whether a bridge section has a bridge of this name.
func (p *Plan) Is(name string) bool {
	for i := range p.config.Bridges {
		if _, ok := p.config.Bridges[i].Has(name); ok {
			return true
		}
	}
	return false
}

// Missing says which of the bridge sections' interfaces are not there, or can't be made:
// their tunnels are attached when they come.
func (p *Plan) Missing(now time.Duration, links *datapath.Interfaces) (texts []string) {
	for i := range p.config.Bridges {
		if err := p.wanting(now, links, &p.config.Bridges[i]); err != nil {
			texts = append(texts, phrase.Sprintf("%v: its tunnels wait for it", err))
		}
	}
	return texts
}

// Ready wants the bridges of a broker section to be there: a client is better off with
// another broker than with a tunnel to nowhere.
func (p *Plan) Ready(now time.Duration, links *datapath.Interfaces, broker string) error {
	for i := range p.config.Bridges {
		b := &p.config.Bridges[i]
		if b.Broker != "" && b.Broker != broker {
			continue
		}
		if err := p.wanting(now, links, b); err != nil {
			return phrase.Errorf("%w: tunnels are to be attached to it", err)
		}
	}
	return nil
}

// wanting is an error while a bridge section's bridges are not there, or can't be
// made. Those that others make for each MTU come when they come.
func (p *Plan) wanting(now time.Duration, links *datapath.Interfaces, b *config.Bridge) error {
	switch {
	case !b.Create && b.Sized():
		return nil
	case !b.Create:
		return links.Ready(now, b.Interface)
	case !b.Sized():
		return links.Makeable(b.Interface, ownOf(b, 0))
	}
	for _, mtu := range p.mtus(b) {
		if err := links.Makeable(b.Device(mtu), ownOf(b, mtu)); err != nil {
			return err
		}
	}
	return nil
}

// mtus are the MTUs of the tunnels that a bridge section may get.
func (p *Plan) mtus(b *config.Bridge) (mtus []int) {
	if b.MTU != 0 {
		return []int{b.MTU}
	}
	for i := range p.config.Brokers {
		if s := &p.config.Brokers[i]; b.Takes(s) {
			mtus = broker.Union(mtus, broker.MTUs(s))
		}
	}
	return mtus
}

// Alias is what the bridges of a broker with this socket for commands have as alias: one
// of its own for each broker that a machine may have, as two have two sockets.
func Alias(socket string) string {
	return strings.TrimSpace("tunneldigger-broker " + socket[:min(len(socket), 200)])
}
