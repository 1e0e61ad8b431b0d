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

// Two sections with ports and ID ranges of their own, one on every address, one on some: each client is answered from
// the address that it asked, and frames pass.
func TestAddresses(t *testing.T) {
	w := New(t)
	server, router := w.Host("broker"), w.Host("client")
	second4, second6 := server.Addr4.Next(), server.Addr6.Next()
	server.IP("addr add "+second4.String()+"/29 dev eth0", "addr add "+second6.String()+"/48 dev eth0")
	server.addBridge(1446)
	b := server.StartBroker("config broker 'any'\n\tlist port '8942'\n\toption connection_rate_limit '0'\n\toption max_tunnels '100'\n\n"+
		"config broker 'some'\n\tlist address '"+second4.String()+"'\n\tlist address '"+server.Addr6.String()+"'\n\tlist port '53'\n\tlist port '123'\n"+
		"\toption connection_rate_limit '0'\n\toption max_tunnels '10'\n\toption tunnel_id_base '2000'\n"+bridged, 8942, 53, 123)
	b.WaitLog("listening broker=any addresses=2", soon)
	b.WaitLog("listening broker=some addresses=4", soon)
	next := map[uint16]uint32{8942: 100, 53: 2000}
	n := 0
	for _, c := range []struct {
		port  uint16
		addrs []netip.Addr
	}{
		{8942, []netip.Addr{server.Addr4, second4, server.Addr6, second6}},
		{53, []netip.Addr{second4, server.Addr6}},
		{123, []netip.Addr{second4, server.Addr6}},
	} {
		base := c.port
		if base == 123 {
			base = 53
		}
		for _, addr := range c.addrs {
			n++
			// The socket is connected: it takes answers from that address and port alone.
			p := router.peer(0, netip.AddrPortFrom(addr, c.port))
			a := p.connect(fmt.Sprintf("client-%d", n), uint32(n), wire.UniqueSessionID)
			if a.id != next[base] {
				t.Errorf("%s port %d: tunnel %d, want %d", addr, c.port, a.id, next[base])
			}
			next[base]++
			tun := fmt.Sprintf("tun%d", n)
			p.carry(tun, uint32(n), a)
			router.reach(tun)
		}
	}
	// Nobody listens on an address of the first section with a port of the second.
	p := router.peer(0, netip.AddrPortFrom(server.Addr4, 53))
	p.send(wire.AppendCookieRequest(nil))
	w.Wait(soon, "port 53 of the first address refused", func() bool { return p.refused.Load() })
}

// What tunnels depend on comes late, goes, and comes again.
func TestComeLate(t *testing.T) {
	w := New(t)
	server, router := w.Host("broker"), w.Host("client")
	wire0 := func() {
		t.Helper()
		server.IP("link add wan0 type veth peer name wan1 netns client", "addr add 198.51.100.129/30 dev wan0", "link set wan0 up")
		router.IP("addr add 198.51.100.130/30 dev wan1", "link set wan1 up")
	}
	at := netip.MustParseAddrPort("198.51.100.129:8942")
	b := server.StartBroker("config broker 'wan'\n\toption interface 'wan0'\n\tlist port '8942'\n\toption connection_rate_limit '0'\n" +
		"\toption tunnel_timeout '10'\n" + bridged + "\toption isolate '1'\n")
	b.WaitLog("warning: waiting to listen broker=wan error=\"interface br-mesh: ", soon)
	server.addBridge(1500)
	b.WaitLog("warning: waiting to listen broker=wan error=\"listen on 0.0.0.0:8942 on wan0: ", soon)
	wire0()
	b.WaitLog("listening broker=wan addresses=2 interface=wan0", soon)

	p := router.peer(0, at)
	a := p.connect("early", 1, wire.UniqueSessionID)
	p.carry("tun1", 1, a)
	attached := func(what string, mtu int) {
		t.Helper()
		w.Wait(soon, what+": the tunnel attached", func() bool {
			l := server.Links(a.iface())
			return len(l) == 1 && l[0].Master == "br-mesh" && l[0].LinkInfo.Port.Isolated
		})
		if l := server.Links("br-mesh"); l[0].MTU != mtu {
			t.Errorf("%s: the bridge has MTU %d, it was configured with %d", what, l[0].MTU, mtu)
		}
		router.reach("tun1")
	}
	attached("at first", 1500)
	p.send(wire.AppendPMTUNtfy(nil, 1300))
	b.WaitLog("tunnel MTU changed", soon)
	attached("with a small tunnel", 1500)

	// The bridge goes, and comes with another MTU.
	server.IP("link del br-mesh")
	b.WaitLog("interface gone: tunnels can't be attached interface=br-mesh", soon)
	server.addBridge(1480)
	attached("made anew", 1480)

	// So does the interface to listen on. Its clients have no way back, but new ones are served.
	server.IP("link del wan0")
	b.WaitLog("interface gone broker=wan interface=wan0", soon)
	wire0()
	b.waitLines(2, "listening broker=wan addresses=2 interface=wan0", soon)
	p.close()
	router.waitGone("tun1")
	p = router.peer(0, at)
	first := a
	a = p.connect("late", 1, wire.UniqueSessionID)
	p.carry("tun1", 1, a)
	attached("through the new interface", 1480)
	// The old tunnel ends when its time is over, without a word to anybody.
	w.Wait(soon, "the tunnel through the old interface gone", func() bool {
		return len(server.LinkNames(first.iface())) == 0
	})
	if names := server.LinkNames("l2tp"); len(names) != 1 || names[0] != a.iface() {
		t.Errorf("interfaces left: %q", names)
	}
}

// The file of the Python broker, with a hook that attaches tunnels, as such installations have it.
func TestClassic(t *testing.T) {
	w := New(t)
	server, router := w.Host("broker"), w.Host("client")
	server.addBridge(1400)
	dir := t.TempDir()
	up := filepath.Join(dir, "up.sh")
	file := filepath.Join(dir, "l2tp_broker.cfg")
	for path, text := range map[string]string{
		up: "#!/bin/sh\n# tunnel session interface mtu endpoint port local_port uuid broker_port\nip link set dev \"$3\" master br-mesh mtu \"$4\"\n" +
			"echo \"$# $1 $2 $3 $4 $5 $7 $8 $9\"\n",
		file: "[broker]\naddress=" + server.Addr4.String() + "\nport=53,8942\ninterface=eth0\nmax_cookies=1024\nmax_tunnels=50\nport_base=20000\n" +
			"tunnel_id_base=300\nnamespace=default\nconnection_rate_limit=0.1\npmtu=1400\n\n[log]\nfilename=tunneldigger-broker.log\nverbosity=DEBUG\n" +
			"log_ip_addresses=false\n\n[hooks]\nsession.up=" + up + "\nsession.pre-down=\nsession.down=\nsession.mtu-changed=\nbroker.connection-rate-limit=\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b := &Broker{Process: server.Start("broker", w.Program("tunneldigger-broker"), file)}
	b.WaitLog("listening broker=broker addresses=2 interface=eth0", soon)
	for i, port := range []int{53, 8942} {
		tun := fmt.Sprintf("tun%d", i+1)
		router.StartClient("-f", "-u", tun, "-b", fmt.Sprintf("%s:%d", server.Addr4, port), "-i", tun, "-t", fmt.Sprint(i+1))
		iface := b.tunnelOf(tun)
		id := 300 + i
		if want := fmt.Sprintf("l2tp%d-%d", id, id); iface != want {
			t.Errorf("interface %s, want %s", iface, want)
		}
		b.WaitLog(fmt.Sprintf("line=\"9 %d %d %s 1400 %s %d %s %d\"", id, id, iface, router.Addr4, port, tun, port), soon)
		// The client is told the fixed MTU.
		mtu := router.mtuOf(tun)
		w.Wait(soon, tun+" with the broker's MTU", func() bool { return mtu() == 1400 })
		router.reach(tun)
	}
	if strings.Contains(b.Log(), router.Addr4.String()+":") || strings.Contains(b.Log(), "error:") {
		t.Error("the log has an error, or an address that it should not have")
	}
	if status := b.Stop(soon); status != 0 || len(server.LinkNames("l2tp")) != 0 {
		t.Errorf("ended with %d, interfaces left: %q", status, server.LinkNames("l2tp"))
	}
}
