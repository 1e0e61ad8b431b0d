//go:build vm || native

package e2e

import (
	"net/netip"
	"strings"
	"testing"

	"tunneldigger/src/wire"
)

// A NAT gives a client another port: its UUID takes the place of its own tunnel at once. Somebody elsewhere with that UUID
// does not, while it lives, and the log tells of both once.
func TestUUIDPolicy(t *testing.T) {
	w := New(t)
	server, router, stranger := w.Host("broker"), w.Host("client"), w.Host("stranger")
	server.addBridge(1446)
	b := server.StartBroker("config broker 'wan'\n\tlist port '8942'\n\toption connection_rate_limit '0'\n\toption uuid_policy 'replace'\n"+bridged, 8942)
	at := netip.AddrPortFrom(server.Addr4, 8942)

	before := router.peer(40000, at)
	old := before.connect("alice", 7, wire.UniqueSessionID)
	before.carry("tun0", 7, old)
	router.reach("tun0")

	p := router.peer(40001, at)
	now := p.connect("alice", 8, wire.UniqueSessionID)
	p.carry("tun1", 8, now)
	router.reach("tun1")
	server.waitGone(old.iface())
	if names := server.LinkNames("l2tp"); len(names) != 1 || names[0] != now.iface() {
		t.Errorf("interfaces %q, want %s alone", names, now.iface())
	}
	b.WaitLog("a new client with its UUID took its place", soon)

	// While the client says something now and then, the twin is refused, and changes nothing. As a node in the field, it asks again until it
	// hears something, which is when the other one has said something after the twin's first word was taken in.
	twin := stranger.peer(40002, at)
	for n := range 3 {
		w.Wait(soon, "the twin is refused", func() bool {
			p.ask(wire.AppendPMTUD(nil, 1300), wire.TypePMTUDAck)
			twin.send(twin.prepare("alice", 9, wire.UniqueSessionID))
			return len(twin.times(wire.TypeError)) > n
		})
	}
	if len(twin.times(wire.TypeTunnel)) != 0 {
		t.Error("the twin got a tunnel")
	}
	router.reach("tun1")
	if names := server.LinkNames("l2tp"); len(names) != 1 || names[0] != now.iface() {
		t.Errorf("interfaces %q after the twin, want %s alone", names, now.iface())
	}
	if n := strings.Count(b.Log(), "two nodes have the same UUID"); n != 1 {
		t.Errorf("the log tells of the twin %d times", n)
	}
}
