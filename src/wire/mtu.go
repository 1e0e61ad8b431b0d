package wire

const (
	// MinTunnelMTU is the least MTU of a tunnel in bytes: IPv6 needs it.
	MinTunnelMTU = 1280
	// DefaultTunnelMTU is the MTU of a tunnel in bytes while nothing is measured:
	// a path of 1500 over IPv4.
	DefaultTunnelMTU = 1446
)

// UDPOverhead is the difference in bytes between a path's MTU and the UDP
// payload that fits: the IP and the UDP header.
func UDPOverhead(v6 bool) int {
	if v6 {
		return 40 + 8
	}
	return 20 + 8
}

// TunnelOverhead is the difference in bytes between a path's MTU and the
// tunnel's: IP, UDP, three words of L2TPv3 and the Ethernet header. That is 4
// more than a frame takes, but every client in the field counts so.
func TunnelOverhead(v6 bool) int {
	return UDPOverhead(v6) + 4 + 4 + 4 + 14
}
