//go:build vm || native

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tunneldigger/src/test/swarm"
	"tunneldigger/src/wire"
)

// versions are the broker's program as it was built, and as one of another version of the same length.
func (w *World) versions() (one, other []byte, from, to string) {
	w.T.Helper()
	program := w.Program("tunneldigger-broker")
	one, err := os.ReadFile(program)
	if err != nil {
		w.T.Fatal(err)
	}
	from = strings.TrimSpace(strings.TrimPrefix(w.run(program, "--version"), "tunneldigger-broker "))
	to = "2" + from[1:]
	if from[0] == '2' {
		to = "3" + from[1:]
	}
	other = bytes.ReplaceAll(one, []byte(from), []byte(to))
	if bytes.Equal(one, other) {
		w.T.Fatalf("the program has no version %q in it", from)
	}
	return one, other, from, to
}

// install puts a program in the place of another, as package managers do.
func (w *World) install(path string, content []byte) {
	w.T.Helper()
	if err := os.WriteFile(path+".new", content, 0o755); err != nil {
		w.T.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		w.T.Fatal(err)
	}
}

// The program is replaced under standing tunnels with traffic in them, and nobody notices.
func TestUpgrade(t *testing.T) {
	l := newLoad(t)
	clients, pinged := sized(270, 30), sized(30, 6)
	folder, hooks := l.hook("echo $ACTION $UUID >>$LOG\n[ $ACTION.$UUID != session.up.slow ] || read line </tmp/go-on\n")
	ran := func() string { text, _ := os.ReadFile(hooks); return string(text) }
	fifo := filepath.Join(t.TempDir(), "go-on")
	script := filepath.Join(folder, "10-test")
	text, err := os.ReadFile(script)
	if err == nil {
		err = os.WriteFile(script, bytes.ReplaceAll(text, []byte("/tmp/go-on"), []byte(fifo)), 0o755)
	}
	if err == nil {
		err = syscall.Mkfifo(fifo, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.broker.IP("link add br-mesh mtu 1400 type bridge", "link set br-mesh up")
	config := l.config("\toption max_tunnels '1000'\n\toption tunnel_timeout '600'\n\toption pmtu '1400'\n") +
		"config broker 'mesh'\n\tlist port '53'\n\toption tunnel_id_base '3000'\n\toption max_tunnels '10'\n\toption connection_rate_limit '0'\n\toption tunnel_timeout '600'\n\toption pmtu '1400'\n" +
		"\nconfig bridge\n\toption broker 'mesh'\n\toption interface 'br-mesh'\n\toption isolate '1'\n" +
		"\nconfig hooks\n\toption directory '" + folder + "'\n\toption timeout '100'\n"
	one, other, from, to := l.versions()
	program := filepath.Join(t.TempDir(), "tunneldigger-broker")
	l.install(program, one)
	b := &Broker{Config: t.TempDir()}
	b.Write(l.World, config)
	b.Process = l.broker.Start("broker", program, "-c", b.Config, "--socket", b.socket())
	l.broker.WaitBound(b.Process, loadPort, 53)
	at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(l.broker.Addr4, port) }

	s := l.swarm(swarm.Options{Clients: clients})
	l.connect(s, clients, soon)
	l.drain(s)
	l.Wait(soon, "the swarm's hooks", func() bool { return strings.Count(ran(), "session.up") == clients })
	inside := l.standing(pinged)
	mesh := l.clients.peer(0, at(53))
	attached := mesh.connect("mesh", 100, wire.UniqueSessionID)
	mesh.ask(wire.AppendLimit(nil, 1, 3000), wire.TypeRelAck)
	l.waitPort(attached.iface(), "br-mesh", true)
	slow := l.clients.peer(0, at(53))
	held := slow.connect("slow", 101, wire.UniqueSessionID)
	l.Wait(soon, "the slow hook", func() bool { return strings.Contains(ran(), "session.up slow\n") })
	l.Wait(soon, "all hooks", func() bool { return strings.Count(ran(), "session.up") == clients+pinged+2 })
	begun := l.clients.peer(0, at(loadPort))
	cookie := begun.ask(wire.AppendCookieRequest(nil), wire.TypeCookie).Payload
	shaped := l.broker.Run("tc", "qdisc", "show", "dev", attached.iface())
	before, hooked, stood := l.indexes(), ran(), time.Now()
	if len(before) != clients+pinged+2 {
		t.Fatalf("%d interfaces", len(before))
	}

	pings := l.ping(inside)
	foreign := bytes.Clone(other)
	foreign[18], foreign[19] = 0xf3, 0 // e_machine of elf(5): RISC-V
	for _, bad := range []struct {
		program []byte
		says    string
	}{
		{nil, "no such file"},
		{foreign, "exec format error"},
		{[]byte("#!/run/busybox sh\nkill -SEGV $$\n"), "crashes: segmentation fault"},
		{[]byte("#!/run/busybox sh\necho the state is of version 9\nexit 1\n"), "can't take over, exit status 1: the state is of version 9"},
	} {
		if l.install(program, bad.program); bad.program == nil {
			_ = os.Remove(program)
		}
		out, err := l.try(l.Program("tunneldigger-broker"), "upgrade", "--socket", b.socket())
		if err == nil || !strings.Contains(err.Error(), "exit status 1") || !strings.Contains(out, "not upgraded, "+from+" goes on: ") ||
			!strings.Contains(out, bad.says) {
			t.Errorf("an upgrade that can't be: %v, %q, want %q", err, out, bad.says)
		}
		l.same(before, bad.says)
	}
	l.install(program, other)
	began := time.Now()
	answer := b.Call(l.World, "upgrade")
	t.Logf("%v: %s", time.Since(began).Round(time.Millisecond), answer)
	if want := fmt.Sprintf("Upgraded from %s to %s, %d tunnels stand.\n", from, to, len(before)); answer != want {
		t.Errorf("upgrade said %q, want %q", answer, want)
	}
	// The handshake that was under way.
	reply := begun.ask(wire.AppendPrepare(nil, cookie, []byte("begun"), 500, wire.UniqueSessionID), wire.TypeTunnel, wire.TypeError)
	if reply.Type != wire.TypeTunnel {
		t.Errorf("the handshake that was under way ended with %v", reply.Type)
	}
	pings.lossless()
	l.same(before, "after the upgrade")
	l.Wait(soon, "the newcomer's hook", func() bool { return strings.Contains(ran(), "session.up begun\n") })
	if now := strings.Replace(ran(), "session.up begun\n", "", 1); now != hooked {
		t.Errorf("hooks ran: %s", strings.TrimPrefix(now, hooked))
	}
	if now := l.broker.Run("tc", "qdisc", "show", "dev", attached.iface()); now != shaped {
		t.Errorf("the bandwidth limit is %s, was %s", now, shaped)
	}
	var status struct {
		Version string
		Tunnels []struct {
			UUID string
			Age  float64 `json:"age_seconds"`
		}
	}
	least, old := time.Since(stood).Seconds(), 0
	if err := json.Unmarshal([]byte(b.Call(l.World, "status", "--json")), &status); err != nil {
		t.Fatal(err)
	}
	for _, tunnel := range status.Tunnels {
		if tunnel.Age >= least {
			old++
		}
	}
	if status.Version != to || old != len(before) || len(status.Tunnels) != len(before)+1 {
		t.Errorf("status of %s: %d tunnels, %d of them older than %.1f s, want %d", status.Version, len(status.Tunnels), old, least, len(before))
	}
	if link, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", b.PID())); err != nil || link != program {
		t.Errorf("process %d runs %s (%v), want the new program", b.PID(), link, err)
	}
	if again := mesh.connect("mesh", 100, wire.UniqueSessionID); again != attached {
		t.Errorf("TUNNEL %+v, before %+v", again, attached)
	}

	// And back, with a hook that still runs; then life goes on.
	l.install(program, one)
	b.Signal(syscall.SIGUSR2)
	b.WaitLog("upgraded from="+to+" to="+from, soon)
	if err := os.WriteFile(fifo, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	slow.send(wire.AppendErrorReason(nil, wire.ReasonClientShutdown))
	l.Wait(soon, "the hooks of a tunnel across two upgrades", func() bool {
		return strings.HasSuffix(ran(), "session.pre-down slow\nsession.down slow\n")
	})
	l.broker.waitGone(held.iface())
	// The new program watches interfaces.
	if native {
		l.broker.IP("link del " + attached.iface())
	} else {
		l.broker.IP(fmt.Sprint("l2tp del tunnel tunnel_id ", attached.id))
	}
	b.WaitLog("tunnel closed broker=mesh tunnel="+fmt.Sprint(attached.id), soon)
	l.waitPort(l.clients.peer(0, at(53)).connect("late", 102, wire.UniqueSessionID).iface(), "br-mesh", true)
	if strings.Contains(b.Log(), "belongs to another process") || strings.Contains(b.Log(), "removed a tunnel") {
		t.Error("the sweep met tunnels that were handed over")
	}
	if zombies := l.World.run("sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null | awk '$3 == \"Z\" && $4 == "+fmt.Sprint(b.PID())+"'"); zombies != "" {
		t.Errorf("zombies: %s", zombies)
	}
	if status := b.Stop(soon); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if n := l.tunnels(); len(n) != 0 {
		t.Errorf("%d interfaces are left", len(n))
	}
	// The broker waits for hooks for ten seconds. A slow machine may not be through with some hundreds of them, and then it says so.
	late := strings.Contains(b.Log(), "killed, the broker stops")
	if up, down := strings.Count(ran(), "session.up"), strings.Count(ran(), "session.down"); up != down && !late {
		t.Errorf("session.up ran %d times, session.down %d times", up, down)
	}
}
