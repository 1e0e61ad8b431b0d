//go:build !mips

// What is here asks the machine about programs, threads and sockets, and emulation of another processor answers otherwise.

package daemon

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"tunneldigger/src/config"
)

// A port that somebody else has is waited for, and the rest goes on.
func TestReloadPortInUse(t *testing.T) {
	r := serve(t, nil)
	r.log.await(t, "listening")
	taken, err := net.ListenUDP("udp4", &net.UDPAddr{IP: host.AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	k := r.dial()
	k.connect("k")
	r.reload(func(c *config.Config) {
		c.Brokers[0].MaxTunnels = 20
		c.Brokers[0].Ports = append([]uint16{port}, c.Brokers[0].Ports...)
		c.Brokers = append(c.Brokers, config.Broker{Name: "b", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Ports: []uint16{port},
			MaxTunnels: 1, TunnelIDBase: 1, TunnelTimeout: time.Minute})
	}, "max_tunnels", "broker 'wan' waits to listen: UDP "+host.String()+":", " is in use by daemon.test (process ", "broker 'b' waits to listen")
	k.stands()
	r.dial().connect("two")
	taken.Close()
	r.log.await(t, "listening broker=wan addresses=2")
	r.port(port).dial().connect("three")
}
