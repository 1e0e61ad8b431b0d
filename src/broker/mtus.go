package broker

import (
	"slices"

	"tunneldigger/src/config"
	"tunneldigger/src/pmtu"
)

// MTUs are the MTUs, in bytes, that tunnels of a broker section have, largest
// first: the fixed one, or what may be found for IPv4 and IPv6. A client may name
// a smaller one of its own; those in the field measure the same sizes.
func MTUs(c *config.Broker) []int {
	if c.PMTU != 0 {
		return []int{c.PMTU}
	}
	all := append(pmtu.TunnelMTUs(false), pmtu.TunnelMTUs(true)...)
	slices.Sort(all)
	slices.Reverse(all)
	return slices.Compact(all)
}
