//go:build vm

package e2e

import (
	"strconv"
	"strings"
	"testing"
)

// A batman-adv interface takes tunnels as a bridge does.
func TestBatman(t *testing.T) {
	w := New(t)
	server, router := w.Host("broker"), w.Host("client")
	for _, h := range []*Host{server, router} {
		h.IP("link add bat0 type batadv", "link set bat0 up")
	}
	mtu := server.Links("bat0")[0].MTU
	server.StartBroker("config broker 'wan'\n\tlist port '8942'\n\nconfig bridge\n\toption interface 'bat0'\n\toption isolate '1'\n", 8942)
	router.StartClient("-f", "-u", "node", "-b", server.Addr4.String()+":8942", "-i", "tun0")
	router.WaitLink("tun0", soon)
	router.IP("link set tun0 master bat0")
	if l := server.Links("l2tp"); len(l) != 1 || l[0].Master != "bat0" || !l[0].Up() {
		t.Errorf("the tunnel is not attached: %+v", l)
	}
	if now := server.Links("bat0")[0].MTU; now != mtu {
		t.Errorf("bat0 has MTU %d now, before %d", now, mtu)
	}
	// IPv6 is off on the broker's end, so what comes from there is batman-adv's. (A ping through bat0 would have to wait for half a
	// minute, until batman-adv knows that there is no loop.)
	w.Wait(soon, "batman-adv heard through the tunnel", func() bool {
		n, err := strconv.Atoi(strings.TrimSpace(router.Run("cat", "/sys/class/net/tun0/statistics/rx_packets")))
		return err == nil && n > 2
	})
}
