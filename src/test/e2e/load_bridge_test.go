//go:build vm || native

package e2e

import (
	"strings"
	"testing"
	"time"

	"tunneldigger/src/test/swarm"
)

// Everybody comes at once to a broker that makes their bridge, as fast as into one that is there: it is made once, and is there for the rest, and nothing of it stays. Both take
// turns in one run, and the best of each is shown; neither is held to it, as one datagram that a busy machine loses costs two seconds.
func TestLoadBridgeMade(t *testing.T) {
	l := newLoad(t)
	clients := sized(500, 100)
	l.broker.IP("link add br-mesh type bridge", "link set br-mesh up")
	best := map[string]time.Duration{}
	for range 2 {
		for _, master := range []string{thereMaster, madeMaster} {
			took := l.allAtOnce(clients, master)
			if was, ok := best[master]; !ok || took < was {
				best[master] = took
			}
			if names := l.broker.LinkNames("digger"); len(names) != 0 {
				t.Errorf("left are %q", names)
			}
		}
		there, made := best[thereMaster], best[madeMaster]
		t.Logf("%d clients attached: to a bridge that is there within %v, to one that is made within %v, %.2f times", clients, there.Round(time.Millisecond), made.Round(time.Millisecond),
			float64(made)/float64(there))
	}
}

// Sections for a bridge that is there, and for those that the broker makes.
const (
	thereMaster = "br-mesh'\n\toption isolate '1"
	madeMaster  = "digger%m'\n\toption isolate '1'\n\toption create '1'\n\tlist address '203.0.113.1/24"
)

// allAtOnce has so many clients come to a broker of their own, and tells after what time all are attached.
func (l *load) allAtOnce(clients int, master string) time.Duration {
	l.t.Helper()
	b := l.broker.StartBroker(l.config("", "config bridge\n\toption interface '"+master+"'"), loadPort)
	s := l.swarm(swarm.Options{Clients: clients})
	began := time.Now()
	l.connect(s, clients, soon)
	// Clients are answered before their tunnels are attached.
	l.Wait(soon, "all are attached", func() bool {
		attached := 0
		for _, link := range l.broker.Links("l2tp") {
			if link.Master != "" && strings.HasPrefix(master, strings.TrimRight(link.Master, "0123456789")) && link.LinkInfo.Port.Isolated && link.Up() {
				attached++
			}
		}
		return attached == clients
	})
	took := time.Since(began)
	l.figures(s, "all at once, with a bridge "+strings.SplitN(master, "'", 2)[0])
	if now := s.Totals(); now.Connected != clients || now.Refusals+now.Closed+now.Unsent != 0 {
		l.t.Errorf("%+v", now)
	}
	if !native { // else the kernel knows of no tunnels
		l.match(s)
	}
	b.Stop(soon) // one that is killed leaves a record, by which the next one makes its tunnels again
	l.waitTunnels(soon, 0)
	if err := s.Close(); err != nil {
		l.t.Error(err)
	}
	return took
}
