//go:build vm || native

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/client"
	"tunneldigger/src/test/swarm"
	"tunneldigger/src/wire"
)

// numbered are the clients of one of several swarms.
func numbered(swarmNumber int) func(i int) client.Options {
	return func(i int) client.Options { return swarm.Client(1000*swarmNumber + i) }
}

// impatient ones come back soon after an ERROR.
func impatient(swarmNumber int) func(i int) client.Options {
	return func(i int) client.Options {
		o := swarm.Client(1000*swarmNumber + i)
		o.Timers.Pause = 300 * time.Millisecond
		return o
	}
}

// What happens to one tunnel, or to the process, hurts nobody longer than it must.
func TestLoadFaults(t *testing.T) {
	l := newLoad(t)
	clients := l.hookable(sized(100, 50))
	b := l.broker.StartBroker(l.config(""), loadPort)
	standing := l.swarm(swarm.Options{Clients: clients, Client: impatient(0)})
	l.connect(standing, clients, soon)

	// Interfaces are deleted by hand, one with its session and one with its tunnel.
	session, tunnel := standing.Result(0).Tunnel, standing.Result(1).Tunnel
	if native {
		l.broker.IP(fmt.Sprintf("link del l2tp%d-%[1]d", session.PeerID), fmt.Sprintf("link del l2tp%d-%[1]d", tunnel.PeerID))
	} else {
		l.broker.IP(fmt.Sprintf("l2tp del session tunnel_id %d session_id %d", session.PeerID, session.PeerSessionID),
			fmt.Sprintf("l2tp del tunnel tunnel_id %d", tunnel.PeerID))
	}
	l.run(standing, soon, "ERROR for the two whose interface went", func(now swarm.Totals) bool { return now.Closed >= 2 })
	l.connect(standing, clients, soon)
	if a, b := standing.Result(0), standing.Result(1); a.Closed != 1 || b.Closed != 1 || standing.Totals().Closed != 2 {
		t.Errorf("two interfaces were deleted, their clients' tunnels were closed %d and %d times, of %d together",
			a.Closed, b.Closed, standing.Totals().Closed)
	}
	l.waitTunnels(soon, clients)
	if n := l.match(standing); n != 0 {
		t.Errorf("%d tunnels belong to no client", n)
	}

	// The process may not open files any more: newcomers are refused, the others notice nothing.
	const newcomers, room = 10, 2
	limit := func(files string) { l.World.run("prlimit", fmt.Sprintf("--pid=%d", b.PID()), "--nofile="+files+":") }
	limit(fmt.Sprint(b.Usage().FDs + room))
	late := l.swarm(swarm.Options{Clients: newcomers, Client: impatient(1)})
	l.run(late, soon, "newcomers refused", func(now swarm.Totals) bool { return now.Refusals >= newcomers })
	most := room
	if native { // 3 were seen there; a descriptor of the broker's that was open when it was counted would do that
		most = 2 * room
	}
	if n := late.Totals().Connected; n > most {
		t.Errorf("%d newcomers are connected, there were descriptors for %d", n, room)
	}
	limit("4096")
	l.connect(late, newcomers, soon)
	if standing.Totals().Closed != 2 || b.Ended() {
		t.Errorf("others were hurt, too: %+v, broker ended %v", standing.Totals(), b.Ended())
	}

	// The process is killed and starts again.
	b.Kill()
	hooks, log := l.hook("echo $ACTION $TUNNEL_ID >>$LOG\n")
	before, began := len(l.tunnels()), time.Now()
	b = l.broker.StartBroker(l.config("", "config hooks\n\toption directory '"+hooks+"'"), loadPort)
	const early = 10
	first := l.swarm(swarm.Options{Clients: early, Client: numbered(2)})
	l.connect(first, early, soon)
	t.Logf("killed with %d tunnels, %d still there when it starts again; %d clients are served %v later",
		clients+newcomers, before, early, time.Since(began).Round(time.Millisecond))
	l.waitTunnels(soon, early)
	t.Logf("the last old interface is gone after %v", time.Since(began).Round(time.Millisecond))
	served := l.swarm(swarm.Options{Clients: clients - early, Client: numbered(3)})
	l.connect(served, clients-early, soon)
	if n := first.Totals().Refusals + served.Totals().Refusals; n != 0 {
		t.Errorf("%d clients were refused after the restart", n)
	}
	l.waitTunnels(soon, clients)
	if n := l.match(first, served); n != 0 {
		t.Errorf("%d tunnels belong to no client", n)
	}

	// The process is told to stop.
	l.Wait(soon, "session.up of every tunnel", func() bool { return strings.Count(readFile(t, log), "session.up") == clients })
	began = time.Now()
	b.Signal(os.Interrupt)
	l.run(served, soon, "ERROR for everybody", func(now swarm.Totals) bool { return now.Closed == clients-early })
	l.run(first, soon, "ERROR for the others", func(now swarm.Totals) bool { return now.Closed == early })
	told := time.Since(began)
	if status := b.Wait(soon); status != 0 {
		t.Errorf("the broker ended with %d", status)
	}
	ended := time.Since(began)
	l.waitTunnels(soon, 0)
	t.Logf("stopped with %d tunnels: clients told after %v, ended after %v, no interface after %v",
		clients, told.Round(time.Millisecond), ended.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	order := make(map[string]string)
	for _, line := range strings.Split(strings.TrimSpace(readFile(t, log)), "\n") {
		action, id, _ := strings.Cut(line, " ")
		order[id] += action + " "
	}
	for i := range clients {
		r := first.Result(min(i, early-1))
		if i >= early {
			r = served.Result(i - early)
		}
		if r.Reason != wire.ReasonBrokerShutdown {
			t.Errorf("client %d was told %v", i, r.Reason)
		}
		if got := order[fmt.Sprint(r.Tunnel.PeerID)]; got != "session.up session.pre-down session.down " {
			t.Errorf("client %d: hooks %q", i, got)
		}
	}
}

// hookable is how many clients there may be, most at the most, so that stopping, which has ten seconds, is long enough on this machine for two hooks each.
func (l *load) hookable(most int) int {
	l.t.Helper()
	const tries = 10
	began := time.Now()
	for range tries {
		l.World.run("/run/busybox", "sh", "-c", "echo $ACTION $TUNNEL_ID >>/dev/null")
	}
	each := time.Since(began) / tries
	fit := min(most, max(20, int(5*time.Second/(2*each))))
	l.t.Logf("a hook takes %v here: %d clients", each.Round(time.Millisecond), fit)
	return fit
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(text)
}

// A bridge takes 1023 ports; the client that comes after goes without, and nobody else.
func TestLoadFullBridge(t *testing.T) {
	const ports, clients = 1023, 2
	l := newLoad(t)
	lines := []string{"link add br-mesh type bridge", "link set br-mesh up"}
	for i := range (ports - clients) / 2 { // both ends of a pair; a machine need not have dummies
		lines = append(lines, fmt.Sprintf("link add port%d master br-mesh type veth peer name end%[1]d", i), fmt.Sprintf("link set end%d master br-mesh", i))
	}
	lines = append(lines, "link add port master br-mesh type veth peer name end")
	l.broker.IP(lines...)
	l.broker.StartBroker(l.config("", "config bridge\n\toption interface 'br-mesh'\n\toption isolate '1'"), loadPort)
	in := l.swarm(swarm.Options{Clients: clients})
	l.connect(in, clients, soon)
	out := l.swarm(swarm.Options{Clients: 1, Client: impatient(1)})
	l.run(out, soon, "ERROR twice", func(now swarm.Totals) bool { return now.Refusals >= 2 })
	l.waitTunnels(soon, clients)
	if now := in.Totals(); now.Connected != clients || now.Closed != 0 {
		t.Errorf("others were hurt: %+v", now)
	}
	if n := l.match(in); n != 0 {
		t.Errorf("%d tunnels belong to no client", n)
	}
	if err := in.Stop(); err != nil {
		t.Fatal(err)
	}
	l.connect(out, 1, soon)
}

// With few descriptors to be had, the broker refuses in time.
func TestLoadFewFiles(t *testing.T) {
	const files, clients = 200, 80
	l := newLoad(t)
	b := &Broker{Config: t.TempDir()}
	b.Write(l.World, l.config(""))
	// Without the capability the process can't raise its own limit.
	b.Process = l.broker.Start("broker with few files", "setpriv", "--bounding-set=-sys_resource", "prlimit", fmt.Sprintf("--nofile=%d:%d", files, files),
		l.Program("tunneldigger-broker"), "-c", b.Config)
	l.broker.WaitBound(b.Process, loadPort)
	s := l.swarm(swarm.Options{Clients: clients, Client: func(i int) client.Options {
		o := swarm.Client(i)
		o.Timers.Pause = time.Hour
		return o
	}})
	l.run(s, soon, "everybody has an answer", func(now swarm.Totals) bool { return now.Connected+now.Refusals == clients })
	now, used := s.Totals(), b.Usage()
	t.Logf("with %d files: %d tunnels, %d refused, %d descriptors in use", files, now.Connected, now.Refusals, used.FDs)
	if now.Connected < files/4 || used.FDs >= files || b.Ended() {
		t.Errorf("%d tunnels with %d descriptors", now.Connected, used.FDs)
	}
	if line := b.WaitLog("fewer tunnels than max_tunnels", soon); !strings.Contains(line, fmt.Sprintf("tunnels=%d ", now.Connected)) {
		t.Errorf("%d tunnels, announced: %s", now.Connected, line)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	l.waitTunnels(soon, 0)
	again := l.swarm(swarm.Options{Clients: now.Connected, Client: impatient(1)})
	l.connect(again, now.Connected, soon)
}
