//go:build vm || native

package e2e

import (
	"fmt"
	"testing"
	"time"

	"tunneldigger/src/client"
	"tunneldigger/src/test/swarm"
)

// A thousand clients, two hundred at a time, on a path that loses nothing: nobody has to send anything twice. Where a machine
// is too slow for so many at a time, so that answers take as long as clients wait before they ask again, fewer have to do;
// but every request is answered there, too.
func TestLoadNothingLost(t *testing.T) {
	l := newLoad(t)
	clients, parallel := sized(1000, 200), sized(200, 100)
	b := l.broker.StartBroker(l.config("\toption max_tunnels '2000'\n\toption tunnel_timeout '300'"), loadPort)
	all := 0
	var swarms []*swarm.Swarm
	for {
		began, before := time.Now(), b.Usage()
		s := l.swarm(swarm.Options{Clients: clients, Parallel: parallel, Client: func(i int) client.Options { return swarm.Client(all + i) }})
		swarms = append(swarms, s)
		l.connect(s, clients, soon)
		took, after := time.Since(began), b.Usage()
		all += clients
		l.drain(s)
		l.figures(s, fmt.Sprintf("%d at a time", parallel))
		t.Logf("%.0f set-ups/s, broker %.0f %% of a processor, %d kB resident", float64(clients)/took.Seconds(),
			100*(after.CPU-before.CPU).Seconds()/took.Seconds(), after.RSS>>10)
		if now := s.Totals(); now.Connected != clients || now.Refusals+now.Closed+now.Unsent != 0 {
			t.Errorf("%+v\n%s", now, l.counters())
		}
		usage, cookie, prepare := s.Repeats()
		if usage+cookie+prepare == 0 {
			break
		}
		if parallel /= 2; parallel < 25 {
			t.Errorf("the last clients repeated %d USAGE, %d COOKIE, %d PREPARE\n%s", usage, cookie, prepare, l.counters())
			break
		}
		clients = 2 * parallel
		t.Log("this machine is too slow for so many at a time: once more with fewer")
	}
	if n := len(l.tunnels()); n != all {
		t.Errorf("%d tunnel interfaces for %d clients", n, all)
	}
	if n := l.match(swarms...); n != 0 {
		t.Errorf("%d tunnels belong to no client", n)
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
		l.connect(s, clients, soon)
		if n := len(l.tunnels()); n != clients {
			t.Errorf("%d tunnel interfaces for %d clients", n, clients)
		}
		l.drain(s)
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		l.waitTunnels(soon, 0)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Usage()
	}
	warm := round()
	last := warm
	began := time.Now()
	resident := make([]int, rounds)
	for i := range rounds {
		last = round()
		resident[i] = last.RSS >> 10
	}
	t.Log("resident after each round, kB:", resident)
	t.Logf("%d tunnels came and went in %.1f s; resident %d kB idle, %d kB after the first %d, %d kB after all; descriptors %d, %d, %d",
		rounds*clients, time.Since(began).Seconds(), idle.RSS>>10, warm.RSS>>10, clients, last.RSS>>10, idle.FDs, warm.FDs, last.FDs)
	if last.FDs != idle.FDs {
		t.Errorf("%d descriptors before, %d after", idle.FDs, last.FDs)
	}
	// A heap finds its size in the first rounds, more or less, depending on how often the processor is somebody else's.
	if middle := resident[rounds/2-1]; last.RSS>>10 > middle+1<<10 {
		t.Errorf("resident memory grew from %d to %d kB in the second half", middle, last.RSS>>10)
	}
	if n := len(l.tunnels()); n != 0 {
		t.Errorf("%d tunnel interfaces are left", n)
	}
}
