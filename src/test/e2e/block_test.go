//go:build vm

package e2e

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tunneldigger/src/wire"
)

// What matters of the table that OpenWrt's fw4 makes; it makes it anew whenever it is told to reload.
const fw4 = `table inet fw4
flush table inet fw4
table inet fw4 {
	chain input {
		type filter hook input priority filter; policy drop;
		iif "lo" accept
		ct state vmap { established : accept, related : accept }
		iifname "eth0" jump input_wan
	}
	chain input_wan {
		meta l4proto { icmp, ipv6-icmp } accept
		udp dport 8942 counter accept
		reject
	}
}
`

// The example hook that blocks, under OpenWrt's shell and beside its firewall, and on a Debian whose firewall was loaded again.
func TestBlock(t *testing.T) {
	w := New(t)
	server, router := w.Host("broker"), w.Host("client")
	script, err := os.ReadFile("../../../files/hooks/60-nft-block")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ash := strings.Replace(string(script), "#!/bin/sh", "#!/run/busybox ash", 1)
	if err := os.WriteFile(filepath.Join(dir, "60-nft-block"), []byte(ash), 0o755); err != nil {
		t.Fatal(err)
	}
	rules := filepath.Join(t.TempDir(), "fw4")
	if err := os.WriteFile(rules, []byte(fw4), 0o644); err != nil {
		t.Fatal(err)
	}
	server.Run("nft", "-f", rules)
	b := server.StartBroker("config broker 'wan'\n\tlist port '8942'\n\toption connection_rate_limit '0'\n\toption max_tunnels '10'\n"+
		"\toption connection_rate_limit_per_ip_count '2'\n\toption connection_rate_limit_per_ip_time '3600'\n"+
		"\nconfig hooks\n\toption directory '"+dir+"'\n", 8942)
	second4, second6, other6 := router.Addr4.Next(), router.Addr6.Next(), netip.MustParseAddr("2001:db8:1:7::9")
	router.IP("addr add "+second4.String()+"/29 dev eth0", "addr add "+second6.String()+"/48 dev eth0", "addr add "+other6.String()+"/48 dev eth0 nodad")

	// blocks has a client come too often, and wants it, and it alone, to be kept out.
	blocks := func(from, at netip.Addr, set, element string) *peer {
		t.Helper()
		local, broker := netip.AddrPortFrom(from, 0), netip.AddrPortFrom(at, 8942)
		standing := router.peerFrom(local, broker)
		standing.connect("stands", 1, wire.UniqueSessionID)
		router.peerFrom(local, broker).connect("second", 2, wire.UniqueSessionID)
		late := router.peerFrom(local, broker)
		late.ask(late.prepare("late", 3, wire.UniqueSessionID), wire.TypeError)
		w.Wait(soon, element+" in "+set, func() bool {
			out, err := server.Try("nft", "list", "set", "inet", "tunneldigger", set)
			return err == nil && strings.Contains(out, "elements = { "+element+" expires ")
		})
		return standing
	}
	// silent wants no answer to an address before those to another one that was asked later.
	silent := func(what string, from, to netip.Addr) {
		t.Helper()
		p := router.peerFrom(netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, 8942))
		p.send(wire.AppendCookieRequest(nil))
		p.send(wire.AppendUsageRequest(nil, 0))
		p.send(wire.AppendPrepare(nil, make([]byte, 8), []byte("x"), 1, 0))
		sure := router.peerFrom(netip.AddrPortFrom(second4, 0), netip.AddrPortFrom(server.Addr4, 8942))
		for range 3 {
			sure.ask(wire.AppendCookieRequest(nil), wire.TypeCookie)
		}
		if len(p.times(wire.TypeCookie))+len(p.times(wire.TypeUsage)) > 0 {
			t.Errorf("%s is answered", what)
		}
	}
	// answered wants one.
	answered := func(from, to netip.Addr) {
		t.Helper()
		router.peerFrom(netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, 8942)).ask(wire.AppendCookieRequest(nil), wire.TypeCookie)
	}

	standing := blocks(router.Addr4, server.Addr4, "block4", router.Addr4.String())
	silent("a blocked client", router.Addr4, server.Addr4)
	answered(second4, server.Addr4)
	standing.ask(wire.AppendPMTUD(nil, 1300), wire.TypePMTUDAck)
	standing6 := blocks(router.Addr6, server.Addr6, "block6", "2001:db8:1::/64")
	silent("another address of a blocked network", second6, server.Addr6)
	answered(other6, server.Addr6)
	standing6.ask(wire.AppendPMTUD(nil, 1300), wire.TypePMTUDAck)

	// Once more, and after the firewall was loaded again: the same rules, each once.
	table := func() string {
		var kept []string
		for _, line := range strings.Split(server.Run("nft", "list", "table", "inet", "tunneldigger"), "\n") {
			if !strings.Contains(line, "expires") {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "\n")
	}
	before := table()
	again := func() {
		t.Helper()
		for _, ip := range []string{router.Addr4.String(), router.Addr6.String()} {
			if out := server.Run("env", "ACTION=broker.connection-rate-limit", "ENDPOINT_IP="+ip, filepath.Join(dir, "60-nft-block")); out != "" {
				t.Errorf("it says %q", out)
			}
		}
		if after := table(); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	}
	again()
	server.Run("nft", "-f", rules) // fw4 reload
	silent("after fw4 reload the client", router.Addr4, server.Addr4)
	silent("after fw4 reload the client", router.Addr6, server.Addr6)
	server.Run("nft", "flush", "ruleset") // as Debian's nftables.conf begins
	answered(router.Addr4, server.Addr4)  // by now nothing blocks it
	again()
	silent("after the ruleset was flushed and the hook ran the client", router.Addr4, server.Addr4)
	silent("after the ruleset was flushed and the hook ran the client", router.Addr6, server.Addr6)
	if strings.Contains(b.Log(), "hook failed") || strings.Contains(b.Log(), "hook output") {
		t.Error("the hook had complaints")
	}
}
