package daemon

import (
	"fmt"
	"slices"
	"strings"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/datapath"
	"tunneldigger/src/rttables"
)

// clients finds what holds for one node.
type clients struct {
	of     *config.Config // whose they are
	byUUID map[string]*config.Client
}

// client is what the configuration has for a node; nil: nothing.
func (d *Daemon) client(uuid string) *config.Client {
	if c := &d.clients; c.of != d.config {
		c.of, c.byUUID = d.config, make(map[string]*config.Client, len(d.config.Clients))
		for i := range d.config.Clients {
			c.byUUID[d.config.Clients[i].UUID] = &d.config.Clients[i]
		}
	}
	return d.clients.byUUID[uuid]
}

// holds is what a core is told of a node.
func (d *Daemon) holds(uuid string) broker.Client {
	if c := d.client(uuid); c != nil {
		return broker.Client{Tunnel: c.TunnelID, Bandwidth: c.BandwidthDown}
	}
	return broker.Client{}
}

// isNodes reports whether an ID is a node's own.
func (d *Daemon) isNodes(id uint32) bool {
	return slices.ContainsFunc(d.config.Clients, func(c config.Client) bool { return c.TunnelID == id })
}

// idFaults are the nodes' own IDs that the ranges of a configuration have as well: the
// first ID of a section's range can't change under way.
func idFaults(c *config.Config) (faults []error) {
	for i := range c.Clients {
		for j := range c.Brokers {
			k, b := &c.Clients[i], &c.Brokers[j]
			if k.TunnelID != 0 && k.TunnelID-b.TunnelIDBase < uint32(b.MaxTunnels) {
				faults = append(faults, fmt.Errorf("client '%s': tunnel_id %d is in the range of broker '%s', which begins at %d until the broker is started anew: want one outside of it",
					k.Name, k.TunnelID, b.Name, b.TunnelIDBase))
			}
		}
	}
	return faults
}

// bridgeFor gives the bridge section for a tunnel, nil where none fits it. That of
// its client goes first.
func (d *Daemon) bridgeFor(s *section, uuid string, mtu int, port uint16) *config.Bridge {
	if c := d.client(uuid); c != nil && c.Bridge != "" {
		for i := range d.config.Bridges {
			if d.config.Bridges[i].Name == c.Bridge {
				return &d.config.Bridges[i]
			}
		}
	}
	return d.config.BridgeFor(s.config.Name, mtu, port)
}

// own says how a bridge is to be made, nil where that is not the broker's.
func (d *Daemon) own(name string) *datapath.Own {
	for i := range d.config.Bridges {
		b := &d.config.Bridges[i]
		if mtu, ok := b.Has(name); ok && b.Create {
			return ownOf(b, mtu)
		}
	}
	return nil
}

func ownOf(b *config.Bridge, mtu int) *datapath.Own {
	return &datapath.Own{MTU: mtu, Addresses: b.Addresses, Table: b.Table, Priority: b.Priority}
}

// isBridge reports whether a bridge section has a bridge of this name.
func (d *Daemon) isBridge(name string) bool {
	for i := range d.config.Bridges {
		if _, ok := d.config.Bridges[i].Has(name); ok {
			return true
		}
	}
	return false
}

// wanting is an error while a bridge section's bridges are not there, or can't be
// made. Those that others make for each MTU come when they come.
func (d *Daemon) wanting(b *config.Bridge) error {
	switch {
	case !b.Create && b.Sized():
		return nil
	case !b.Create:
		return d.links.Ready(d.now, b.Interface)
	case !b.Sized():
		return d.links.Makeable(b.Interface, ownOf(b, 0))
	}
	for _, mtu := range d.mtus(b) {
		if err := d.links.Makeable(b.Device(mtu), ownOf(b, mtu)); err != nil {
			return err
		}
	}
	return nil
}

// mtus are the MTUs of the tunnels that a bridge section may get.
func (d *Daemon) mtus(b *config.Bridge) (mtus []int) {
	if b.MTU != 0 {
		return []int{b.MTU}
	}
	for i := range d.config.Brokers {
		if s := &d.config.Brokers[i]; b.Takes(s) {
			mtus = broker.Union(mtus, broker.MTUs(s))
		}
	}
	return mtus
}

// TableFaults names the routing tables of bridge sections that have no number.
func TableFaults(c *config.Config) (faults []error) {
	for i := range c.Bridges {
		if b := &c.Bridges[i]; b.Table != "" {
			if _, err := rttables.Number(b.Table); err != nil {
				faults = append(faults, fmt.Errorf("bridge '%s': %w", b.Name, err))
			}
		}
	}
	return faults
}

// CheckTables names the routing tables of bridge sections that have no route now, as lines
// for an operator.
func CheckTables(c *config.Config, routes func() (map[uint32]bool, error)) (notices []string) {
	var has map[uint32]bool
	for i := range c.Bridges {
		b := &c.Bridges[i]
		n, err := rttables.Number(b.Table)
		if b.Table == "" || err != nil {
			continue
		}
		if has == nil {
			if has, err = routes(); err != nil {
				return []string{"whether routing tables have routes could not be seen: " + err.Error()}
			}
		}
		if !has[n] {
			notices = append(notices, fmt.Sprintf("bridge '%s': table '%s' has no route now: what comes in from the bridge goes on by the next rule", b.Name, b.Table))
		}
	}
	return notices
}

// Routes lists the routing tables that have a route, for CheckTables.
func Routes() (map[uint32]bool, error) {
	links := datapath.New()
	defer links.Close()
	if err := links.Open(); err != nil {
		return nil, err
	}
	return links.Links().Tables()
}

// aliasOf is what the broker's bridges have as alias: one of its own for each broker
// that a machine may have, as two have two sockets.
func aliasOf(socket string) string {
	return strings.TrimSpace("tunneldigger-broker " + socket[:min(len(socket), 200)])
}
