//go:build vm || native

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/l2tp"
	"tunneldigger/src/test/swarm"
)

const loadPort = 8942

// load is a world with a broker and a host full of clients that make no kernel tunnels.
type load struct {
	*World
	t               *testing.T
	broker, clients *Host
}

func newLoad(t *testing.T) *load {
	t.Helper()
	w := New(t)
	return &load{World: w, t: t, broker: w.Host("broker"), clients: w.Host("clients")}
}

// sized is full, or small under -short.
func sized(full, small int) int {
	if testing.Short() {
		return small
	}
	return full
}

// config is a broker section without rate limit, with more options of it, and then more sections.
func (l *load) config(options string, sections ...string) string {
	return fmt.Sprintf("config broker 'load'\n\toption enabled '1'\n\tlist address '%s'\n\tlist port '%d'\n"+
		"\toption connection_rate_limit '0'\n%s\n%s\n", l.broker.Addr4, loadPort, options, strings.Join(sections, "\n"))
}

// swarm makes clients of the broker; they end with the test.
func (l *load) swarm(o swarm.Options) *swarm.Swarm {
	l.t.Helper()
	o.Broker = netip.AddrPortFrom(l.broker.Addr4, loadPort)
	s, err := swarm.New(o)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { s.Close() })
	return s
}

// run lets the clients live on their host until done holds, and ends the test when it does not within the limit.
func (l *load) run(s *swarm.Swarm, limit time.Duration, what string, done func(swarm.Totals) bool) {
	l.t.Helper()
	ok := false
	err := l.clients.Do(func() (err error) {
		ok, err = s.Run(limit, done)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	if !ok {
		usage, cookie, prepare := s.Repeats()
		l.t.Fatalf("not within %v: %s: %+v, repeated %d USAGE, %d COOKIE, %d PREPARE\n%s", limit, what, s.Totals(), usage, cookie, prepare, l.counters())
	}
}

// connect lets the clients live until each has a tunnel.
func (l *load) connect(s *swarm.Swarm, clients int, limit time.Duration) {
	l.t.Helper()
	l.run(s, limit, fmt.Sprintf("%d clients connected", clients), func(now swarm.Totals) bool { return now.Connected == clients })
}

// drain waits until every request is answered. A PREPARE that was repeated and comes to its turn when the client has left already
// would make a tunnel for nobody.
func (l *load) drain(s *swarm.Swarm) {
	l.t.Helper()
	l.run(s, soon, "every request answered", func(now swarm.Totals) bool { return now.Asked == now.Answered })
}

// tunnels are the interfaces of the broker's tunnels.
func (l *load) tunnels() []string { return l.broker.LinkNames("l2tp") }

// waitTunnels waits until the broker's host has that many tunnel interfaces.
func (l *load) waitTunnels(limit time.Duration, count int) {
	l.t.Helper()
	last := 0
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		if last = len(l.tunnels()); last == count {
			return
		}
		if time.Now().After(end) {
			l.t.Fatalf("%d tunnel interfaces after %v, want %d", last, limit, count)
		}
	}
}

// match holds the sessions that are there against what the clients were told, and returns how many sessions belong to none of
// them: tunnels whose client never heard of them.
func (l *load) match(swarms ...*swarm.Swarm) (others int) {
	l.t.Helper()
	sessions := l.sessions()
	seen := make(map[uint32]bool)
	for _, s := range swarms {
		for i := range s.Clients() {
			r := s.Result(i)
			if !r.Connected {
				continue
			}
			t := r.Tunnel
			if seen[t.PeerID] {
				l.t.Errorf("client %d has tunnel %d, as another has", i, t.PeerID)
			}
			seen[t.PeerID] = true
			want := l2tp.SessionInfo{
				TunnelID: t.PeerID, PeerTunnelID: t.ID, ID: t.PeerSessionID, PeerID: t.SessionID,
				Ethernet: true, Interface: fmt.Sprintf("l2tp%d-%d", t.PeerID, t.PeerSessionID),
			}
			if native { // nobody else knows more of it than that it is there
				want = l2tp.SessionInfo{TunnelID: want.TunnelID, ID: want.ID, Interface: want.Interface}
			}
			if got := sessions[t.PeerID]; got != want {
				l.t.Errorf("client %d: there is %+v, want %+v", i, got, want)
			}
		}
	}
	return len(sessions) - len(seen)
}

// sessions are those of the kernel, by tunnel; natively what the names of interfaces say.
func (l *load) sessions() map[uint32]l2tp.SessionInfo {
	l.t.Helper()
	sessions := make(map[uint32]l2tp.SessionInfo)
	add := func(s l2tp.SessionInfo) {
		if _, twice := sessions[s.TunnelID]; twice {
			l.t.Errorf("tunnel %d has two sessions", s.TunnelID)
		}
		sessions[s.TunnelID] = s
	}
	if native {
		for _, name := range l.tunnels() {
			s := l2tp.SessionInfo{Interface: name}
			if _, err := fmt.Sscanf(name, "l2tp%d-%d", &s.TunnelID, &s.ID); err != nil {
				l.t.Errorf("interface %s: %v", name, err)
			}
			add(s)
		}
		return sessions
	}
	err := l.broker.Do(func() error {
		c, err := l2tp.Dial()
		if err != nil {
			return err
		}
		defer c.Close()
		all, err := c.Sessions()
		for _, s := range all {
			add(s)
		}
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return sessions
}

// counters are what the hosts' kernels dropped of UDP, for the log of a failed test.
func (l *load) counters() string {
	var text strings.Builder
	for _, h := range []*Host{l.broker, l.clients} {
		_ = h.Do(func() error {
			b, err := os.ReadFile("/proc/thread-self/net/snmp")
			for _, line := range strings.Split(string(b), "\n") {
				if strings.HasPrefix(line, "Udp:") {
					fmt.Fprintf(&text, "%s: %s\n", h.Name, line)
				}
			}
			return err
		})
	}
	return text.String()
}

// figures logs how a set-up went.
func (l *load) figures(s *swarm.Swarm, what string) {
	l.t.Helper()
	times := s.Times()
	if len(times) == 0 {
		l.t.Fatalf("%s: nobody has a tunnel", what)
	}
	usage, cookie, prepare := s.Repeats()
	at := func(percent int) time.Duration { return times[(len(times)-1)*percent/100].Round(time.Millisecond) }
	l.t.Logf("%s: %d clients, time to the tunnel: median %v, 90 %% %v, 99 %% %v, slowest %v; slowest answer %v; repeated: %d USAGE, %d COOKIE, %d PREPARE",
		what, len(times), at(50), at(90), at(99), at(100), s.Slowest().Round(time.Millisecond), usage, cookie, prepare)
}

// hook makes a folder with one hook that runs script, and returns it with the name of a file for the script's use, which
// it knows as $LOG.
func (l *load) hook(script string) (folder, log string) {
	l.t.Helper()
	folder, log = l.t.TempDir(), filepath.Join(l.t.TempDir(), "log")
	if err := os.WriteFile(filepath.Join(folder, "10-test"), []byte("#!/run/busybox sh\nLOG="+log+"\n"+script), 0o755); err != nil {
		l.t.Fatal(err)
	}
	return folder, log
}
