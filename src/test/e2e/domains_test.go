//go:build vm || native

package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// A gateway of several domains: one section, one port and one bridge for each domain. What a client comes to decides
// where it is; a reload gives a port to another domain under way.
func TestBridgeByPort(t *testing.T) {
	w := New(t)
	server := w.Host("broker")
	domains := []struct {
		name    string
		port    uint16
		address string
	}{{"north", 10000, "198.51.100.1"}, {"east", 10001, "198.51.100.65"}, {"south", 10002, "198.51.100.129"}}
	config := func(ports ...uint16) string {
		text := "config broker 'wan'\n"
		for _, d := range domains {
			text += fmt.Sprintf("\tlist port '%d'\n", d.port)
		}
		for i, d := range domains {
			text += fmt.Sprintf("\nconfig bridge '%s'\n\toption interface 'br-%[1]s'\n\tlist port '%d'\n", d.name, ports[i])
		}
		return text
	}
	for _, d := range domains {
		bridge := "br-" + d.name
		server.IP("link add "+bridge+" mtu 1446 type bridge", "link set "+bridge+" up", "addr add "+d.address+"/26 dev "+bridge)
	}
	broker := server.StartBroker(config(10000, 10001, 10002), 10000, 10001, 10002)
	masters := func() string {
		var all []string
		for _, l := range server.Links("l2tp") {
			all = append(all, l.Master)
		}
		return strings.Join(all, " ")
	}
	var clients []*Host
	for i, d := range domains {
		router := w.Host(d.name)
		router.StartClient("-f", "-u", d.name, "-b", fmt.Sprintf("%v:%d", server.Addr4, d.port), "-i", "tun0")
		router.WaitLink("tun0", soon)
		clients = append(clients, router)
		w.Wait(soon, d.name+" attached", func() bool { return len(strings.Fields(masters())) == i+1 })
		address := netip.MustParseAddr(d.address)
		router.IP("addr add " + address.Next().String() + "/26 dev tun0")
		if err := router.Ping(address); err != nil {
			t.Errorf("%s: %v", d.name, err)
		}
	}
	if got, want := masters(), "br-north br-east br-south"; got != want {
		t.Fatalf("bridges %s, want %s", got, want)
	}
	broker.Write(w, config(10002, 10001, 10000))
	if said := broker.Call(w, "reload"); !strings.Contains(said, "bridge 'north': port '10000' → '10002'") {
		t.Errorf("reload said %q", said)
	}
	w.Wait(soon, "the tunnels moved", func() bool { return masters() == "br-south br-east br-north" })
	if err := clients[1].Ping(netip.MustParseAddr(domains[1].address)); err != nil {
		t.Errorf("the domain that kept its port: %v", err)
	}
}
