//go:build vm || native

package e2e

import (
	"net/netip"
	"testing"
)

// One client, one tunnel: frames pass, and when the broker stops nothing is left on either side.
func TestOneTunnel(t *testing.T) {
	w := New(t)
	server, router := w.Host("broker"), w.Host("client")
	server.IP("link add br-mesh mtu 1446 type bridge", "link set br-mesh up", "addr add 198.51.100.129/25 dev br-mesh")

	broker := server.StartBroker("config broker 'wan'\n\tlist port '8942'\n\nconfig bridge\n\toption interface 'br-mesh'\n", 8942)
	client := router.StartClient("-f", "-u", "alice", "-b", server.Addr4.String()+":8942", "-i", "tun0")
	tunnel := router.WaitLink("tun0", soon)
	if tunnel.MTU != 1446 {
		t.Errorf("the client's tunnel has MTU %d, want 1446", tunnel.MTU)
	}
	router.IP("addr add 198.51.100.130/25 dev tun0")
	w.Wait(soon, "the broker's end attached", func() bool {
		ports := server.Links("l2tp")
		return len(ports) == 1 && ports[0].Master == "br-mesh" && ports[0].MTU == 1446
	})
	if err := router.Ping(netip.MustParseAddr("198.51.100.129"), "-s", "1418", "-M", "do"); err != nil {
		t.Error(err)
	}

	if status := broker.Stop(soon); status != 0 {
		t.Errorf("the broker ended with status %d", status)
	}
	w.Wait(soon, "no tunnel left", func() bool {
		return len(server.LinkNames("l2tp"))+len(router.LinkNames("tun")) == 0
	})
	if status := client.Stop(soon); status != 0 {
		t.Errorf("the client ended with status %d", status)
	}
}
