//go:build vm

package e2e

import (
	"fmt"
	"os"
	"testing"
	"time"

	"tunneldigger/src/client"
	"tunneldigger/src/swarm"
)

// A thousand clients, two hundred at a time, on a path that loses nothing: nobody has to send anything twice.
func TestLoadNothingLost(t *testing.T) {
	l := newLoad(t)
	clients, parallel := sized(1000, 200), sized(200, 100)
	b := l.broker.StartBroker(l.config(""), loadPort)
	s := l.swarm(swarm.Options{Clients: clients, Parallel: parallel})
	began, idle := time.Now(), b.Usage()
	l.connect(s, clients, 45*time.Second)
	took, used := time.Since(began), b.Usage()
	l.figures(s, fmt.Sprintf("%d at a time", parallel))
	t.Logf("%.0f set-ups/s, broker %.0f %% of a processor, %d kB resident", float64(clients)/took.Seconds(),
		100*(used.CPU-idle.CPU).Seconds()/took.Seconds(), used.RSS>>10)
	self, _ := usage(os.Getpid())
	t.Logf("self %v, broker %v of %v", self.CPU, used.CPU-idle.CPU, took)
	if n := len(l.tunnels()); n != clients {
		t.Errorf("%d tunnel interfaces for %d clients", n, clients)
	}
	if n := l.match(clients, s); n != 0 {
		t.Errorf("%d tunnels belong to no client", n)
	}
	usage, cookie, prepare := s.Repeats()
	if usage+cookie+prepare != 0 || s.Totals() != (swarm.Totals{Connected: clients}) {
		t.Errorf("repeated %d USAGE, %d COOKIE, %d PREPARE; %+v\n%s", usage, cookie, prepare, s.Totals(), l.counters())
	}
}

// Clients of every age on a bad path: all are connected in the end, and both sides mean the same sessions.
func TestLoadBadPath(t *testing.T) {
	l := newLoad(t)
	clients := sized(100, 40)
	l.broker.StartBroker(l.config(""), loadPort)
	l.clients.SetPath(Path{Delay: 10 * time.Millisecond, Loss: 20, Duplicate: 10, Reorder: 25})
	s := l.swarm(swarm.Options{Clients: clients, Client: func(i int) client.Options {
		o := swarm.Client(i)
		switch i % 3 {
		case 1:
			o.Features = 0
		case 2:
			o.NoTunnelID = true
		}
		return o
	}})
	l.connect(s, clients, 40*time.Second)
	l.figures(s, "20 % loss, duplicates, disorder")
	others := l.match(clients, s)
	t.Logf("tunnels without a client: %d", others)
	usage, cookie, prepare := s.Repeats()
	if usage+cookie+prepare == 0 {
		t.Error("nothing was sent twice: the path is not bad")
	}
	for i := range clients {
		tunnel := s.Result(i).Tunnel
		if old := tunnel.PeerSessionID == 1 && tunnel.SessionID == 1; old != (i%3 != 0) {
			t.Errorf("client %d has the wrong kind of session: %+v", i, tunnel)
		}
	}
}

// Tunnels that come and go leave nothing behind.
func TestLoadComeAndGo(t *testing.T) {
	l := newLoad(t)
	rounds, clients := 10, sized(200, 40)
	b := l.broker.StartBroker(l.config(""), loadPort)
	idle := b.Usage()
	round := func() Usage {
		s := l.swarm(swarm.Options{Clients: clients})
		l.connect(s, clients, 20*time.Second)
		if n := len(l.tunnels()); n != clients {
			t.Errorf("%d tunnel interfaces for %d clients", n, clients)
		}
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		l.waitTunnels(20*time.Second, 0)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Usage()
	}
	warm := round()
	last := warm
	began := time.Now()
	for range rounds {
		last = round()
	}
	t.Logf("%d tunnels came and went in %.1f s; resident %d kB idle, %d kB after the first %d, %d kB after all; descriptors %d, %d, %d",
		rounds*clients, time.Since(began).Seconds(), idle.RSS>>10, warm.RSS>>10, clients, last.RSS>>10, idle.FDs, warm.FDs, last.FDs)
	if last.FDs != idle.FDs {
		t.Errorf("%d descriptors before, %d after", idle.FDs, last.FDs)
	}
	if last.RSS > warm.RSS+2<<20 {
		t.Errorf("resident memory grew from %d to %d kB", warm.RSS>>10, last.RSS>>10)
	}
	if n := len(l.tunnels()); n != 0 {
		t.Errorf("%d tunnel interfaces are left", n)
	}
}

// Everybody comes at once, and every tunnel goes to a bridge.
func TestLoadAllAtOnce(t *testing.T) {
	l := newLoad(t)
	clients := sized(500, 100)
	l.broker.IP("link add br-mesh type bridge", "link set br-mesh up")
	l.broker.StartBroker(l.config("", "config bridge\n\toption interface 'br-mesh'\n\toption isolate '1'"), loadPort)
	s := l.swarm(swarm.Options{Clients: clients})
	l.connect(s, clients, 30*time.Second)
	l.figures(s, "all at once, with a bridge")
	// TUNNEL is sent when the interface is attached.
	times := s.Times()
	slowest := times[len(times)-1]
	t.Logf("%d clients attached within %v of the first datagram", clients, slowest.Round(time.Millisecond))
	if slowest > 6*time.Second {
		t.Errorf("attaching %d clients took %v, want 6 s at the most", clients, slowest)
	}
	if s.Totals() != (swarm.Totals{Connected: clients}) {
		t.Errorf("%+v", s.Totals())
	}
	attached := 0
	for _, link := range l.broker.Links("l2tp") {
		if link.Master == "br-mesh" && link.LinkInfo.Port.Isolated && link.Up() {
			attached++
		}
	}
	if attached != clients {
		t.Errorf("%d tunnels are up, attached and isolated, want %d", attached, clients)
	}
	l.match(clients, s)
}
