//go:build vm

package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// A broker has a section on each data path, and clients on each come to each: they all are in one bridge, and full frames pass.
func TestKernelAndUserDatapath(t *testing.T) {
	w := New(t)
	w.run("modprobe", "tun")
	server, router := w.Host("broker"), w.Host("client")
	server.IP("link add br-mesh mtu 1446 type bridge", "link set br-mesh up", "addr add 198.51.100.129/25 dev br-mesh")
	b := server.StartBroker("config broker 'kernel'\n\tlist port '8942'\n\toption datapath 'kernel'\n\toption connection_rate_limit '0'\n\toption max_tunnels '10'\n\n"+
		"config broker 'user'\n\tlist port '53'\n\toption datapath 'user'\n\toption connection_rate_limit '0'\n\toption max_tunnels '10'\n\toption tunnel_id_base '200'\n\n"+
		"config bridge\n\toption interface 'br-mesh'\n", 8942, 53)
	n := 0
	for _, port := range []int{8942, 53} {
		for _, path := range []string{"kernel", "user"} {
			name := fmt.Sprintf("tun%d", n)
			router.StartClient("-f", "--datapath", path, "-u", name, "-t", fmt.Sprint(50+n), "-b", fmt.Sprintf("%s:%d", server.Addr4, port), "-i", name)
			router.WaitLink(name, soon)
			b.WaitLog("tunnel up broker="+map[int]string{8942: "kernel", 53: "user"}[port]+" ", soon)
			inside := netip.AddrFrom4([4]byte{198, 51, 100, byte(130 + n)})
			router.IP("addr add " + inside.String() + "/25 dev " + name)
			w.Wait(soon, name+" is reached", func() bool {
				return router.Ping(netip.MustParseAddr("198.51.100.129"), "-I", name, "-c", "1") == nil
			})
			if err := router.Ping(netip.MustParseAddr("198.51.100.129"), "-I", name, "-s", "1418", "-M", "do"); err != nil {
				t.Errorf("client on %s, port %d: %v", path, port, err)
			}
			n++
		}
	}
	if text := b.Call(w, "status"); !strings.Contains(text, "datapath: kernel") || !strings.Contains(text, "datapath: user") {
		t.Errorf("status does not say which is which:\n%s", text)
	}
	if status := b.Stop(soon); status != 0 {
		t.Errorf("exit status %d", status)
	}
	w.Wait(soon, "no tunnel left", func() bool { return len(server.LinkNames("l2tp"))+len(router.LinkNames("tun")) == 0 })
}
