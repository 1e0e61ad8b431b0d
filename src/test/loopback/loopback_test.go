package loopback

import (
	"net"
	"net/netip"
	"testing"
)

// A port that is taken, on this address or on all, is passed over, and none is given twice.
func TestPort(t *testing.T) {
	for _, addr := range []net.IP{Host().AsSlice(), net.IPv4zero} {
		for {
			before := Port(t)
			c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: addr, Port: int(before) + 1})
			if err != nil { // another process has it on an address of its own
				continue
			}
			defer c.Close()
			if port := Port(t); port != before+2 {
				t.Errorf("after %d, with the next one taken on %v: %d", before, addr, port)
			}
			break
		}
	}
}

// Who dials the address comes from another one: a client never has one of its ports.
func TestHost(t *testing.T) {
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(Host(), Port(t))))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if from := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr(); from != netip.MustParseAddr("127.0.0.1") || Host() == from || !Host().IsLoopback() {
		t.Errorf("%v dials %v", from, Host())
	}
}
