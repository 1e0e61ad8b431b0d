//go:build vm || native

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"tunneldigger/src/test/swarm"
	"tunneldigger/src/wire"
)

// waitPort waits until an interface of the broker is attached as wanted.
func (l *load) waitPort(name, master string, isolated bool) {
	l.t.Helper()
	l.Wait(soon, fmt.Sprintf("%s at %q, isolated %v", name, master, isolated), func() bool {
		for _, link := range l.broker.Links(name) {
			if link.Name == name {
				return link.Master == master && link.LinkInfo.Port.Isolated == isolated
			}
		}
		return false
	})
}

// The configuration changes under standing tunnels with traffic in them.
func TestReload(t *testing.T) {
	l := newLoad(t)
	clients, pinged := sized(270, 30), sized(30, 6)
	folder, hooks := l.hook("[ $ACTION = session.up ] || echo $ACTION $INTERFACE >>$LOG\n")
	ran := func() string { text, _ := os.ReadFile(hooks); return string(text) }
	const extra = "config broker 'extra'\n\tlist port '53'\n\toption tunnel_id_base '3000'\n\toption max_tunnels '10'\n\toption tunnel_timeout '600'\n"
	common := fmt.Sprintf("\nconfig hooks\n\toption session_pre_down '%s/10-test'\n\toption session_down '%[1]s/10-test'\n"+
		"\toption session_mtu_changed '%[1]s/10-test'\n", folder)
	load := l.config("\toption max_tunnels '1000'\n\toption tunnel_timeout '600'\n\toption pmtu '1400'\n")
	b := l.broker.StartBroker(load+extra+common, loadPort, 53)
	at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(l.broker.Addr4, port) }

	s := l.swarm(swarm.Options{Clients: clients})
	l.connect(s, clients, soon)
	l.drain(s)
	inside := l.standing(pinged)
	other := l.clients.peer(0, at(53))
	a := other.connect("extra", 100, wire.UniqueSessionID)
	iface := a.iface()
	l.broker.WaitLink(iface, soon)
	before := l.indexes()
	if len(before) != clients+pinged+1 {
		t.Fatalf("%d interfaces", len(before))
	}

	// A limit, a port, the log level.
	pings := l.ping(inside)
	steps := []struct{ from, to, says string }{
		{"max_tunnels '1000'", "max_tunnels '900'", "broker 'load': max_tunnels '1000' → '900'"},
		{"list port '8942'", "list port '8942'\n\tlist port '9000'", "broker 'load': port '8942' → '8942' '9000'"},
		{"config hooks", "config log\n\toption verbosity 'DEBUG'\n\nconfig hooks", "log: verbosity 'INFO' → 'DEBUG'"},
	}
	text := load + extra + common
	for _, step := range steps {
		pings.flow()
		text = strings.Replace(text, step.from, step.to, 1)
		b.Write(l.World, text)
		began := time.Now()
		if answer := b.Call(l.World, "reload"); !strings.Contains(answer, step.says) {
			t.Errorf("reload said %q, want %q", answer, step.says)
		}
		t.Logf("%s: %v", step.says, time.Since(began).Round(time.Millisecond))
	}
	newcomer := l.clients.peer(0, at(9000))
	newcomer.connect("newcomer", 1000, wire.UniqueSessionID)
	pings.lossless()
	l.same(before, "after three reloads")
	if ran() != "" {
		t.Errorf("hooks ran:\n%s", ran())
	}

	// A wrong file changes nothing.
	b.Write(l.World, text+"\nconfig broker 'bad'\n\tlist port '70000'\n\toption max_tunnel '1'\n")
	out, err := l.try(l.Program("tunneldigger-broker"), "reload", "--socket", b.socket())
	if err == nil || !strings.Contains(out, "port '70000': want 1–65535") || !strings.Contains(out, "did you mean 'max_tunnels'") {
		t.Errorf("reload of a wrong file: %v %q", err, out)
	}
	b.Signal(syscall.SIGHUP)
	b.waitLines(4, "the configuration is not taken", soon)
	l.same(before, "after a wrong file")
	l.clients.peer(0, at(9000)).connect("still", 1001, wire.UniqueSessionID)

	// Bridges: one that comes later, isolation, another one, none.
	l.broker.IP("link add br-one type bridge", "link set br-one up")
	bridge := func(options string) {
		t.Helper()
		change := ""
		if options != "" {
			change = "\nconfig bridge\n\toption broker 'extra'\n" + options
		}
		b.Write(l.World, text+change)
		t.Log(b.Call(l.World, "reload"))
	}
	bridge("\toption interface 'br-one'\n")
	l.waitPort(iface, "br-one", false)
	bridge("\toption interface 'br-one'\n\toption isolate '1'\n")
	l.waitPort(iface, "br-one", true)
	bridge("\toption interface 'br-two'\n")
	l.waitPort(iface, "", false)
	l.broker.IP("link add br-two type bridge", "link set br-two up")
	l.waitPort(iface, "br-two", false)
	bridge("")
	l.waitPort(iface, "", false)
	l.same(before, "after other bridges")

	// A fixed MTU for one section.
	text = strings.Replace(text, "option tunnel_id_base '3000'", "option tunnel_id_base '3000'\n\toption pmtu '1300'", 1)
	b.Write(l.World, text)
	b.Signal(syscall.SIGHUP)
	mtu := l.broker.mtuOf(iface)
	l.Wait(soon, "the fixed MTU", func() bool { return mtu() == 1300 })
	l.Wait(soon, "the MTU hook", func() bool { return ran() == "session.mtu-changed "+iface+"\n" })

	// A section goes.
	b.Write(l.World, strings.Replace(text, "config broker 'extra'\n", "config broker 'extra'\n\toption enabled '0'\n", 1))
	if answer := b.Call(l.World, "reload"); !strings.Contains(answer, "broker 'extra': removed") {
		t.Errorf("reload said %q", answer)
	}
	b.WaitLog("section gone broker=extra", soon)
	l.broker.waitGone(iface)
	if told := other.times(wire.TypeError); len(told) != 1 {
		t.Errorf("the client got ERROR %d times", len(told))
	}
	if want := fmt.Sprintf("session.mtu-changed %s\nsession.pre-down %[1]s\nsession.down %[1]s\n", iface); ran() != want {
		t.Errorf("hooks\n%s\nwant\n%s", ran(), want)
	}
	delete(before, iface)
	l.same(before, "after all")
	if strings.Contains(b.Log(), "tunnel closed broker=load") {
		t.Error("a tunnel was closed")
	}
}
