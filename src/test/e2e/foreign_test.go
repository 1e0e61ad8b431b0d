//go:build vm

package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// Others have tunnels on the machine, with IDs of all 32 bits: the broker starts, serves and reloads beside them, and lets them be.
func TestForeign(t *testing.T) {
	w := New(t)
	server, router := w.Host("broker"), w.Host("client")
	server.addBridge(1446)
	foreign := []uint32{99, 1124, 1 << 16, 1<<31 - 1, 1 << 31, 3000000000, 1<<32 - 1}
	var lines []string
	for i, id := range foreign {
		lines = append(lines,
			fmt.Sprintf("l2tp add tunnel tunnel_id %d peer_tunnel_id %[1]d encap udp local %v remote %v udp_sport %d udp_dport %[4]d", id, server.Addr4, router.Addr4, 5000+i),
			fmt.Sprintf("l2tp add session tunnel_id %d session_id %[1]d peer_session_id %[1]d name foreign%d", id, i))
	}
	server.IP(lines...)
	b := server.StartBroker(anyone+bridged, 8942)
	router.StartClient("-f", "-u", "alice", "-b", server.Addr4.String()+":8942", "-i", "tun0")
	router.WaitLink("tun0", soon)
	router.reach("tun0")
	b.Signal(syscall.SIGHUP)
	b.WaitLog("reloaded, nothing has changed", soon)
	// One of them comes and one goes while the broker watches.
	server.IP("l2tp del session tunnel_id 3000000000 session_id 3000000000", lines[len(lines)-3])
	if r := b.status(w); len(r.Tunnels) != 1 {
		t.Errorf("its tunnels: %+v", r.Tunnels)
	}
	router.reach("tun0")
	if status := b.Stop(soon); status != 0 {
		t.Errorf("the broker ended with %d", status)
	}
	text := server.Run("ip", "l2tp", "show", "tunnel")
	for _, id := range foreign {
		if !strings.Contains(text, fmt.Sprintf("Tunnel %d,", id)) {
			t.Errorf("tunnel %d is gone", id)
		}
	}
	if n := len(server.LinkNames("foreign")); n != len(foreign) {
		t.Errorf("%d interfaces of others are left", n)
	}
}
