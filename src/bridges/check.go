package bridges

import (
	"slices"
	"strconv"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/datapath"
	"tunneldigger/src/phrase"
	"tunneldigger/src/rttables"
)

// Check names the bridge sections that no tunnel can ever fit, as lines for
// an operator.
func Check(c *config.Config) (notices []string) {
	used := make(map[*config.Bridge]bool)
	for i := range c.Brokers {
		s := &c.Brokers[i]
		mtus := broker.MTUs(s)
		if s.PMTU == 0 {
			mtus = append(mtus, clientsOwn)
		}
		for _, mtu := range mtus {
			for _, port := range s.Ports {
				used[c.BridgeFor(s.Name, mtu, port)] = true
			}
		}
	}
	for i := range c.Bridges {
		b := &c.Bridges[i]
		if slices.ContainsFunc(c.Clients, func(k config.Client) bool { return k.Bridge == b.Name }) {
			continue
		}
		var mtus []int
		taken := false
		for j := range c.Brokers {
			if s := &c.Brokers[j]; b.Takes(s) {
				taken = true
				mtus = broker.Union(mtus, broker.MTUs(s))
			}
		}
		about := phrase.Sprintf("bridge '%s' (interface %s): no tunnel can ever fit it: ", b.Name, b.Interface)
		switch {
		case !taken:
			notices = append(notices, about+"no broker section that is enabled has its name and ports")
		case b.MTU != 0 && !slices.Contains(mtus, b.MTU):
			var texts []string
			for _, mtu := range mtus {
				texts = append(texts, strconv.Itoa(mtu))
			}
			notices = append(notices, phrase.Sprintf("%smtu %d is none of %s", about, b.MTU, texts))
		case !used[b]:
			notices = append(notices, about+"sections that name port, broker or mtu of the same tunnels go before it")
		}
	}
	return notices
}

// clientsOwn stands for the MTUs that only clients name.
const clientsOwn = 1281

// TableFaults names the routing tables of bridge sections that have no number.
func TableFaults(c *config.Config) (faults []error) {
	for i := range c.Bridges {
		if b := &c.Bridges[i]; b.Table != "" {
			if _, err := rttables.Number(b.Table); err != nil {
				faults = append(faults, phrase.Errorf("bridge '%s': %w", b.Name, err))
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
			notices = append(notices, phrase.Sprintf("bridge '%s': table '%s' has no route now: what comes in from the bridge goes on by the next rule", b.Name, b.Table))
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

// IDFaults are the nodes' own IDs that the ranges of a configuration have as well: the
// first ID of a section's range can't change under way.
func IDFaults(c *config.Config) (faults []error) {
	for i := range c.Clients {
		for j := range c.Brokers {
			k, b := &c.Clients[i], &c.Brokers[j]
			if k.TunnelID != 0 && k.TunnelID-b.TunnelIDBase < uint32(b.MaxTunnels) {
				faults = append(faults, phrase.Errorf("client '%s': tunnel_id %d is in the range of broker '%s', which begins at %d until the broker is started anew: want one outside of it",
					k.Name, k.TunnelID, b.Name, b.TunnelIDBase))
			}
		}
	}
	return faults
}
