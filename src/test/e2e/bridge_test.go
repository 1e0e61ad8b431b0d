//go:build vm || native

package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// The example installation without a script: from a bare machine, one file has the broker make a bridge for each MTU, with address, rule and
// isolation. It follows paths, reloads, an upgrade and a crash, and leaves nothing.
func TestBridgesMade(t *testing.T) {
	w := New(t)
	server := w.Host("broker")
	if err := os.MkdirAll("/etc/iproute2/rt_tables.d", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/etc/iproute2/rt_tables.d/tunneldigger.conf", []byte("142 mesh\n143 other\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	server.IP("link add mesh0 type veth peer name mesh1", "link set mesh0 arp off up", "link set mesh1 up", "addr add 203.0.113.254/32 dev mesh0", "route add 203.0.113.0/24 dev mesh0 table 142")
	server.Run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	state := func() string {
		return server.Run("ip", "link") + server.Run("ip", "addr") + server.Run("ip", "rule") + server.Run("ip", "-6", "rule") +
			server.Run("ip", "route", "show", "table", "all") + server.Run("ip", "-6", "route")
	}
	w.Wait(soon, "the host's wire", func() bool { return !strings.Contains(server.Run("ip", "link"), "NO-CARRIER") })
	before := state()
	config := func(address, table string) string {
		return "config broker 'wan'\n\tlist port '8942'\n\toption connection_rate_limit '0'\n\nconfig bridge 'mesh'\n\toption interface 'digger%m'\n" +
			"\toption create '1'\n\toption isolate '1'\n\tlist address '" + address + "'\n\tlist address '2001:db8:99::1/64'\n\toption table '" + table + "'\n"
	}
	b := server.StartBroker(config("198.51.100.1/24", "mesh"), 8942)
	masters := func() string {
		var all []string
		for _, l := range server.Links("l2tp") {
			all = append(all, fmt.Sprint(l.Master, l.LinkInfo.Port.Isolated))
		}
		return strings.Join(all, " ")
	}
	bridges := func() string { return strings.Join(server.LinkNames("digger"), " ") }
	attached := func(want, what string) {
		t.Helper()
		w.Wait(soon, what, func() bool { return masters() == want })
	}
	narrow := w.Host("narrow")
	narrow.SetPath(Path{MTU: 1400})
	var clients []*Host
	for i, at := range []string{server.Addr4.String(), server.Addr4.String(), "[" + server.Addr6.String() + "]"} {
		host := narrow
		if i != 1 {
			host = w.Host([]string{"wide", "", "six"}[i])
		}
		host.StartClient("-f", "-u", host.Name, "-b", at+":8942", "-i", "tun0")
		host.WaitLink("tun0", soon)
		host.IP(fmt.Sprintf("addr add 198.51.100.%d/24 dev tun0", 10+i), "route add 203.0.113.0/24 via 198.51.100.1")
		clients = append(clients, host)
		w.Wait(soon, host.Name+" attached", func() bool { return len(strings.Fields(masters())) == i+1 })
	}
	attached("digger1446true digger1346true digger1426true", "a bridge for each MTU")
	w.Wait(soon, "the bridge of nobody's MTU to go", func() bool { return len(server.LinkNames("digger")) == 3 })
	shown := func(address, table, number string) {
		t.Helper()
		addresses, rules, rules6 := server.Run("ip", "-o", "addr"), server.Run("ip", "rule"), server.Run("ip", "-6", "rule")
		links := server.Run("ip", "-d", "link")
		for _, mtu := range []string{"1446", "1346", "1426"} {
			name := "digger" + mtu
			for what, in := range map[string]string{
				name + "    inet " + address: addresses, name + "    inet6 2001:db8:99::1/64": addresses, ": " + name + ": <BROADCAST,MULTICAST,UP,LOWER_UP> mtu " + mtu: links,
				"1000:	from all iif " + name + " lookup ": rules, "1000:	from all iif " + name + " lookup": rules6,
			} {
				if !strings.Contains(in, what) {
					t.Errorf("no %q in\n%s", what, in)
				}
			}
			for _, in := range []string{rules, rules6} {
				if !strings.Contains(in, "iif "+name+" lookup "+table) && !strings.Contains(in, "iif "+name+" lookup "+number) {
					t.Errorf("%s has no rule for %s in\n%s", name, table, in)
				}
			}
		}
		if n := strings.Count(rules, "iif digger") + strings.Count(rules6, "iif digger"); n != 6 {
			t.Errorf("%d rules:\n%s%s", n, rules, rules6)
		}
	}
	shown("198.51.100.1/24", "mesh", "142")
	sent := func() string { return server.Run("cat", "/sys/class/net/mesh0/statistics/tx_packets") }
	for _, c := range clients {
		at := sent()
		_, _ = c.Try("ping", "-n", "-c", "1", "-W", "1", "203.0.113.7")
		if sent() == at {
			t.Errorf("%s: nothing left by the table's route", c.Name)
		}
	}

	indices := func() string {
		var all []string
		for _, l := range append(server.Links("digger"), server.Links("l2tp")...) {
			all = append(all, fmt.Sprint(l.Name, l.Index, l.Master, l.Address))
		}
		return strings.Join(all, " ")
	}
	six := indices()
	b.Write(w, config("198.51.100.2/24", "other"))
	b.Call(w, "reload")
	shown("198.51.100.2/24", "other", "143")
	if text := server.Run("ip", "-o", "addr"); strings.Contains(text, "198.51.100.1/24") {
		t.Errorf("the address of before is there:\n%s", text)
	}
	b.Write(w, config("198.51.100.1/24", "mesh"))
	b.Call(w, "reload")
	b.Call(w, "upgrade")
	shown("198.51.100.1/24", "mesh", "142")
	if now := indices(); now != six {
		t.Errorf("interfaces are %s, were %s", now, six)
	}

	// The one that moves, and nothing else.
	clients[0].SetPath(Path{MTU: 1400})
	attached("digger1346true digger1346true digger1426true", "the tunnel to move")
	w.Wait(soon, "the empty bridge to go", func() bool { return len(server.LinkNames("digger")) == 2 })
	if rules := server.Run("ip", "rule"); strings.Contains(rules, "1446") {
		t.Errorf("rules are left:\n%s", rules)
	}
	clients[0].SetPath(Path{})
	attached("digger1446true digger1346true digger1426true", "the tunnel to move back")

	b.Signal(syscall.SIGKILL)
	b.Wait(soon)
	kept := server.Links("digger")
	again := server.Start("broker once more", w.Program("tunneldigger-broker"), "-c", b.Config, "--socket", b.socket())
	server.WaitBound(again, 8942)
	w.Wait(soon, "the tunnels to be back", func() bool { return len(strings.Fields(masters())) == 3 && !strings.Contains(masters(), "false") })
	shown("198.51.100.1/24", "mesh", "142")
	for i, l := range server.Links("digger") {
		if l.Index != kept[i].Index {
			t.Errorf("%s was made anew", l.Name)
		}
	}

	// Somebody else's port keeps a bridge.
	server.IP("link add other0 type veth peer name other1", "link set other0 master digger1426")
	again.Stop(soon)
	if !strings.Contains(again.Log(), "port other0") || bridges() != "digger1426" {
		t.Errorf("left are %q", bridges())
	}
	server.IP("link del other0", "link set digger1426 alias \"\"", "link del digger1426", "rule del iif digger1426")
	server.Run("ip", "-6", "rule", "del", "iif", "digger1426")
	if after := state(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}
