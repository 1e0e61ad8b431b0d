package swarm

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"tunneldigger/src/client"
	"tunneldigger/src/wire"
)

// broker answers on loopback as its test wants.
type broker struct {
	*net.UDPConn
	peers  map[netip.AddrPort]int // PREPAREs of each
	acks   atomic.Int64           // PMTUD_ACKs
	errors atomic.Int64           // ERRORs
}

// agree is the answer of a broker that takes everybody.
func agree(b *broker, from netip.AddrPort, m wire.Message) {
	switch m.Type {
	case wire.TypeUsage:
		b.send(from, wire.AppendUsage(nil, 0))
	case wire.TypeCookie:
		b.send(from, wire.AppendCookie(nil, [8]byte{1}))
	case wire.TypePrepare:
		p, err := wire.ParsePrepare(m.Payload)
		if err != nil {
			return
		}
		if b.peers[from]++; b.peers[from] > 0 {
			b.send(from, wire.AppendTunnel(nil, p.TunnelID+1, p.Features))
		}
	case wire.TypePMTUDAck:
		b.acks.Add(1)
	case wire.TypeError:
		b.errors.Add(1)
	}
}

func (b *broker) send(to netip.AddrPort, data []byte) { _, _ = b.WriteToUDPAddrPort(data, to) }

func serve(t *testing.T, at string, answer func(b *broker, from netip.AddrPort, m wire.Message)) (*broker, netip.AddrPort) {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at)))
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{UDPConn: c, peers: make(map[netip.AddrPort]int)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for buffer := make([]byte, 2048); ; {
			n, from, err := c.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			if m, err := wire.Parse(buffer[:n]); err == nil {
				answer(b, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), m)
			}
		}
	}()
	t.Cleanup(func() { c.Close(); <-ended })
	return b, c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func start(t *testing.T, o Options) *Swarm {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (s *Swarm) await(t *testing.T, what string, done func(Totals) bool) {
	t.Helper()
	if ok, err := s.Run(2*time.Minute, done); !ok || err != nil {
		t.Fatalf("%s: not with %+v, %v", what, s.Totals(), err)
	}
}

func TestConnect(t *testing.T) {
	const clients, parallel = 50, 5
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		b, to := serve(t, at, agree)
		s := start(t, Options{Broker: to, Clients: clients, Parallel: parallel})
		s.await(t, "connected", func(now Totals) bool {
			if s.started-now.Connected > parallel {
				t.Fatalf("%d clients began and %d are connected", s.started, now.Connected)
			}
			return now.Connected == clients
		})
		if s.Totals() != (Totals{Connected: clients, Asked: 3 * clients, Answered: 3 * clients}) || len(s.Times()) != clients {
			t.Errorf("%+v, %d times", s.Totals(), len(s.Times()))
		}
		for i := range clients {
			id := uint32(10000 + i)
			want := client.Tunnel{ID: id, PeerID: id + 1, SessionID: id, PeerSessionID: id + 1}
			if r := s.Result(i); !r.Connected || r.Tunnel != want || r.Took <= 0 || r.Over || r.Stats.Established != 1 || r.Stats.Repeats() != 0 {
				t.Errorf("client %d: %+v", i, r)
			}
		}
		if err := s.Stop(); err != nil || s.Totals().Over != clients || s.Totals().Connected != 0 {
			t.Errorf("stopped: %+v, %v", s.Totals(), err)
		}
		await(t, "ERRORs", func() bool { return b.errors.Load() == clients })
	}
}

func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s", what)
		}
	}
}

// Repetitions are counted where an answer is lost.
func TestRepeats(t *testing.T) {
	const clients = 10
	_, to := serve(t, "127.0.0.1:0", func(b *broker, from netip.AddrPort, m wire.Message) {
		if _, known := b.peers[from]; !known {
			b.peers[from] = -2 // the first two PREPAREs
		}
		agree(b, from, m)
	})
	s := start(t, Options{Broker: to, Clients: clients, Client: func(i int) client.Options {
		o := Client(i)
		o.Timers.Repeat = 50 * time.Millisecond
		return o
	}})
	s.await(t, "connected", func(now Totals) bool { return now.Connected == clients })
	if _, _, prepare := s.Repeats(); prepare < 2*clients {
		t.Errorf("%d repetitions of PREPARE were counted, want at least %d", prepare, 2*clients)
	}
	if lost := s.Totals().Asked - s.Totals().Answered; lost < 2*clients {
		t.Errorf("%d requests were not answered, want at least %d", lost, 2*clients)
	}
	if slowest := s.Slowest(); slowest < 100*time.Millisecond {
		t.Errorf("the slowest answer took %v", slowest)
	}
}

func TestLeave(t *testing.T) {
	b, to := serve(t, "127.0.0.1:0", agree)
	s := start(t, Options{Broker: to, Clients: 30, Parallel: 3, Leave: true})
	s.await(t, "over", func(now Totals) bool { return now.Over == 30 })
	if s.Totals() != (Totals{Over: 30, Asked: 90, Answered: 90}) || len(s.Times()) != 30 {
		t.Errorf("%+v, %d times", s.Totals(), len(s.Times()))
	}
	await(t, "ERRORs", func() bool { return b.errors.Load() == 30 })
}

// What the broker says instead of TUNNEL, and after it.
func TestErrors(t *testing.T) {
	_, to := serve(t, "127.0.0.1:0", func(b *broker, from netip.AddrPort, m wire.Message) {
		if m.Type == wire.TypePrepare && b.peers[from] == 0 && len(b.peers) < 2 {
			b.peers[from] = 1
			b.send(from, wire.AppendErrorReason(nil, wire.ReasonBrokerFailure))
			return
		}
		agree(b, from, m)
		if m.Type == wire.TypePrepare {
			b.send(from, wire.AppendErrorReason(nil, wire.ReasonBrokerShutdown))
		}
	})
	s := start(t, Options{Broker: to, Clients: 3})
	s.await(t, "ERRORs", func(now Totals) bool { return now.Closed == 1 && now.Refusals == 2 })
	closed, refused := 0, 0
	for i := range 3 {
		switch r := s.Result(i); {
		case r.Connected:
			t.Errorf("client %d: %+v", i, r)
		case r.Closed == 1 && r.Reason == wire.ReasonBrokerShutdown:
			closed++
		case r.Stats.Refused == 1 && r.Reason == wire.ReasonBrokerFailure:
			refused++
		}
	}
	if closed != 1 || refused != 2 {
		t.Errorf("%d closed, %d refused", closed, refused)
	}
}

func TestProbes(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		b, to := serve(t, "127.0.0.1:0", func(b *broker, from netip.AddrPort, m wire.Message) {
			agree(b, from, m)
			if m.Type == wire.TypePrepare {
				b.send(from, wire.AppendPMTUD(nil, 1300))
				b.send(from, wire.AppendErrorReason(nil, wire.ReasonBrokerShutdown))
			}
		})
		s := start(t, Options{Broker: to, Clients: 1, Deaf: deaf})
		s.await(t, "the end", func(now Totals) bool { return now.Closed == 1 })
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		await(t, "ERROR, which is sent after", func() bool { return b.errors.Load() == 1 })
		if n := b.acks.Load(); (n == 1) == deaf {
			t.Errorf("deaf %v: %d probes were acknowledged", deaf, n)
		}
	}
}
