//go:build vm || native

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tunneldigger/src/wire"
)

// gateway is the address of the broker's bridge in the tests whose clients ping it: link-local, so that one client host may
// have many tunnels to it.
const gateway = "fe80::1"

// addBridge makes the bridge br-mesh with the gateway's address.
func (h *Host) addBridge(mtu int) {
	h.World.T.Helper()
	h.IP(fmt.Sprintf("link add br-mesh mtu %d type bridge", mtu), "link set br-mesh up", "addr add "+gateway+"/64 dev br-mesh nodad")
}

// reach pings the gateway through the interface, once that is up at the other end, too.
func (h *Host) reach(through string) {
	h.World.T.Helper()
	h.World.Wait(soon, "two answers in a row through "+through, func() bool {
		return h.Ping(netip.MustParseAddr(gateway+"%"+through), "-c", "2", "-W", "1") == nil
	})
}

const bridged = "\nconfig bridge\n\toption interface 'br-mesh'\n"

// A client comes back on the same address and port, as itself and as somebody else.
func TestIdentity(t *testing.T) {
	w := New(t)
	server, router := w.Host("broker"), w.Host("client")
	server.addBridge(1446)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "say"), []byte("#!/bin/sh\necho $UUID\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	b := server.StartBroker("config broker 'wan'\n\tlist port '8942'\n\toption connection_rate_limit '0'\n"+bridged+
		"\nconfig hooks\n\toption directory '"+dir+"'\n", 8942)
	at := netip.AddrPortFrom(server.Addr4, 8942)
	const port = 40000

	p := router.peer(port, at)
	prepare := p.prepare("alice", 7, wire.UniqueSessionID)
	last := p.agree(prepare)
	p.carry("tun0", 7, last)
	router.reach("tun0")
	before := server.Links("l2tp")
	for _, repeat := range [][]byte{prepare, p.prepare("alice", 7, wire.UniqueSessionID)} {
		if again := p.agree(repeat); again != last {
			t.Errorf("a repeated PREPARE was answered by %+v, before by %+v", again, last)
		}
	}
	if after := server.Links("l2tp"); len(after) != 1 || after[0].Index != before[0].Index {
		t.Errorf("interfaces before a repeated PREPARE: %+v, after: %+v", before, after)
	}
	router.reach("tun0")

	for _, c := range []struct {
		what, uuid string
		id         uint32
		features   wire.Features
	}{
		{"another UUID", "bob", 7, wire.UniqueSessionID},
		{"another tunnel ID", "bob", 8, wire.UniqueSessionID},
		{"no feature flags", "bob", 8, 0},
		{"feature flags that nobody knows", "bob", 8, 0xfffffffe | wire.UniqueSessionID},
	} {
		// The program starts anew, and only the port stays: the kernel's tunnel goes with the old socket.
		p.close()
		router.waitGone("tun0")
		p = router.peer(port, at)
		got := p.connect(c.uuid, c.id, c.features)
		if got.id == last.id || got.features != c.features&wire.UniqueSessionID || len(got.payload) != map[bool]int{false: 8, true: 16}[got.features != 0] {
			t.Errorf("%s: agreed on %+v, before on %+v", c.what, got, last)
		}
		p.carry("tun0", c.id, got)
		router.reach("tun0")
		if names := server.LinkNames("l2tp"); len(names) != 1 || names[0] != got.iface() {
			t.Errorf("%s: interfaces %q, want %s alone", c.what, names, got.iface())
		}
		for _, event := range []string{"session.pre-down", "session.down"} {
			b.WaitLog(fmt.Sprintf(" event=%s tunnel=%d", event, last.id), soon)
		}
		last = got
	}
	if n := strings.Count(b.Log(), "came back with another identity"); n != 4 {
		t.Errorf("%d tunnels were replaced, want 4", n)
	}
	if t.Failed() {
		return
	}
	// The same client from another port is another tunnel.
	if got := router.peer(port+1, at).connect("bob", 8, wire.UniqueSessionID); got.id == last.id || len(server.LinkNames("l2tp")) != 2 {
		t.Errorf("another port: %+v, before %+v, interfaces %q", got, last, server.LinkNames("l2tp"))
	}
}

// Clients of every age at once: those without feature flags all have session 1, each in its tunnel.
func TestAges(t *testing.T) {
	w := New(t)
	server, router := w.Host("broker"), w.Host("client")
	server.addBridge(1446)
	server.StartBroker("config broker 'wan'\n\tlist port '8942'\n\toption connection_rate_limit '0'\n"+bridged, 8942)
	at := netip.AddrPortFrom(server.Addr4, 8942)

	// The oldest know no tunnel IDs, which are 1 then.
	p := router.peer(0, at)
	cookie := p.ask(wire.AppendCookieRequest(nil), wire.TypeCookie)
	a := p.agree(wire.AppendPrepareNoID(nil, cookie.Payload, []byte("oldest")))
	p.carry("tun1", 1, a)
	want := map[string]bool{a.iface(): true}
	for i := 2; i <= 6; i++ {
		tun := fmt.Sprintf("tun%d", i)
		args := []string{"-f", "-u", tun, "-b", at.String(), "-i", tun, "-t", fmt.Sprint(i)}
		if i < 5 {
			args = append(args, "--no-features")
		}
		router.StartClient(args...)
		router.WaitLink(tun, soon)
		features := wire.Features(0)
		if i >= 5 {
			features = wire.UniqueSessionID
		}
		want[agreed{id: uint32(98 + i + 1), features: features}.iface()] = true
	}
	names := server.LinkNames("l2tp")
	for _, name := range names {
		delete(want, name)
	}
	if len(names) != 6 || len(want) != 0 {
		t.Errorf("interfaces of the broker: %q, missing: %v", names, want)
	}
	for i := 1; i <= 6; i++ {
		router.reach(fmt.Sprintf("tun%d", i))
	}
}
