//go:build !mips

// QEMU, under which the tests for mips run, hands through /proc/net/udp, with addresses in this machine's order of bytes.

package occupant

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	want := Occupant{Name: strings.TrimSpace(string(comm)), PID: os.Getpid()}
	for _, c := range []struct {
		network, has string
		wants        []string // with the same port
		free         []string
	}{
		{"udp4", "127.0.0.1", []string{"127.0.0.1", "0.0.0.0"}, []string{"127.0.0.2", "::1"}},
		{"udp4", "0.0.0.0", []string{"127.0.0.1", "0.0.0.0", "192.0.2.1"}, []string{"::"}},
		{"udp6", "::1", []string{"::1", "::"}, []string{"127.0.0.1", "2001:db8::1"}},
		{"udp", "::", []string{"::1", "::", "0.0.0.0", "192.0.2.1"}, nil}, // both families
	} {
		conn, err := net.ListenUDP(c.network, &net.UDPAddr{IP: net.ParseIP(c.has)})
		if err != nil {
			t.Fatal(err)
		}
		port := conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		var look Look
		for _, a := range c.wants {
			if got := look.Of(netip.AddrPortFrom(netip.MustParseAddr(a), port)); got != want {
				t.Errorf("%s is in the way of %s: got %+v, want %+v", c.has, a, got, want)
			}
		}
		for _, a := range c.free {
			if got := look.Of(netip.AddrPortFrom(netip.MustParseAddr(a), port)); got != (Occupant{}) {
				t.Errorf("%s is not in the way of %s: got %+v", c.has, a, got)
			}
		}
		conn.Close()
	}
}
