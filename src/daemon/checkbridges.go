package daemon

import (
	"fmt"
	"slices"
	"strings"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
)

// CheckBridges names the bridge sections that no tunnel can ever fit, as lines for
// an operator.
func CheckBridges(c *config.Config) (notices []string) {
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
		about := fmt.Sprintf("bridge '%s' (interface %s): no tunnel can ever fit it: ", b.Name, b.Interface)
		switch {
		case !taken:
			notices = append(notices, about+"no broker section that is enabled has its name and ports")
		case b.MTU != 0 && !slices.Contains(mtus, b.MTU):
			notices = append(notices, fmt.Sprintf("%smtu %d is none of %s", about, b.MTU, strings.Trim(fmt.Sprint(mtus), "[]")))
		case !used[b]:
			notices = append(notices, about+"sections that name port, broker or mtu of the same tunnels go before it")
		}
	}
	return notices
}

// clientsOwn stands for the MTUs that only clients name.
const clientsOwn = 1281
