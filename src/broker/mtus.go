package broker

import (
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
	return Union(pmtu.TunnelMTUs(false), pmtu.TunnelMTUs(true))
}

// Union gives the sizes of two lists, which have the largest first, as such a list.
func Union(a, b []int) (all []int) {
	for len(a) > 0 || len(b) > 0 {
		from := &a
		if len(a) == 0 || len(b) > 0 && b[0] > a[0] {
			from = &b
		}
		if n := len(all); n == 0 || all[n-1] != (*from)[0] {
			all = append(all, (*from)[0])
		}
		*from = (*from)[1:]
	}
	return all
}
