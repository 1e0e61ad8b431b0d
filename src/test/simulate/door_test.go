package simulate

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/client"
	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// storm has all clients arrive within a second, and gives the time until all are
// connected, 0 if that takes longer than most.
func storm(t *testing.T, w *World, nodes []*Node, most time.Duration) time.Duration {
	t.Helper()
	for _, n := range nodes {
		w.After(w.upTo(s), n.Start)
	}
	for at := 5 * s; at <= most; at += 5 * s {
		run(t, w, 5*s)
		if connected(nodes) == len(nodes) {
			return at
		}
	}
	return 0
}

// Five thousand clients after a restart, of which some share an address, and of
// which each knows this broker only: it goes on trying, 5 s after every refusal.
// (One that knows others goes there, as it should; when it comes back is its own
// affair.) The queue never runs dry then, so that all of them are connected in
// the time that the rate takes, and a fifth more.
func TestStormOfThousands(t *testing.T) {
	const interval = 50 * ms
	clients := 5000
	if *seeds < 100 { // a quick turn, or in emulation
		clients = 500
	}
	w, sv, nodes := scene(config.Broker{MaxTunnels: 6000, RateInterval: interval}, clients)
	for i, n := range nodes {
		if i < clients/50 { // a provider's NAT
			n.Addr = netip.MustParseAddr("203.0.113.1")
		}
	}
	most := time.Duration(clients) * interval * 12 / 10
	took := storm(t, w, nodes, most)
	if took == 0 {
		t.Fatalf("%d of %d clients are connected after %v", connected(nodes), clients, most)
	}
	st := sv.core.Stats()
	t.Logf("%d clients after %v, %d times one was told to come back later", clients, took, st.Reasons[broker.RefusedQueue])
	for reason, n := range st.Reasons {
		if n > 0 && broker.Reason(reason) != broker.RefusedQueue {
			t.Errorf("%d times: %v", n, broker.Reason(reason))
		}
	}
	if st.Opened != uint64(clients) {
		t.Errorf("%d tunnels were made for %d clients", st.Opened, clients)
	}
}

// In a storm somebody with one address and any number of ports tries to have the
// queue for himself. He gets his share of it, as one of many.
func TestStormWithAGlutton(t *testing.T) {
	const clients, interval = 600, 50 * ms
	w, sv, nodes := scene(config.Broker{MaxTunnels: 2000, RateInterval: interval}, clients)
	var greed func()
	port := uint16(1000)
	greed = func() {
		for range 100 {
			port++
			p := pair{netip.AddrPortFrom(netip.MustParseAddr("203.0.113.1"), port%5000), sv.V4}
			sv.deliver(p, wire.AppendPrepare(nil, sv.Cookie(p.client), []byte(fmt.Sprint("glutton", port)), 1, wire.UniqueSessionID))
		}
		w.After(500*ms, greed)
	}
	greed()
	if storm(t, w, nodes, clients*interval*12/10+20*s) == 0 {
		t.Errorf("%d of %d clients are connected", connected(nodes), clients)
	}
}

// A storm through a session.verify program that takes up to four seconds.
func TestStormWithSlowHooks(t *testing.T) {
	const clients, interval = 300, 50 * ms
	w := New(1)
	sv := w.AddServer(config.Broker{Name: "wan", MaxTunnels: 1000, TunnelIDBase: 100, TunnelTimeout: 60 * s, RateInterval: interval}, ServerOptions{Verify: true})
	w.Trouble.Hooks = 4 * s
	nodes := people(w, clients)
	if storm(t, w, nodes, clients*interval*12/10+20*s) == 0 {
		t.Errorf("%d of %d clients are connected, %v", connected(nodes), clients, sv.core.Stats().Reasons)
	}
}

// people adds clients on good links.
func people(w *World, n int) (nodes []*Node) {
	for i := range n {
		nodes = append(nodes, w.AddNode(NodeOptions{
			Client: client.Options{UUID: fmt.Sprint("node", i), TunnelID: 1, Features: wire.UniqueSessionID},
			Link:   Link{Delay: 5*ms + w.upTo(50*ms), Jitter: 5 * ms, MTU: 1500},
			Addr:   netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}),
		}))
	}
	return nodes
}

// Two living nodes with one UUID, for ten minutes, on links that lose some: the
// tunnel changes hands a handful of times at most, and the log has it once.
func TestTwins(t *testing.T) {
	for _, policy := range []config.UUIDPolicy{config.UUIDAny, config.UUIDReplace, config.UUIDRefuse} {
		for _, site := range []string{"elsewhere", "the same site"} {
			for _, loss := range []float64{0, 0.02, 0.1} {
				t.Run(fmt.Sprintf("%v, %s, %v lost", policy, site, loss), func(t *testing.T) {
					w, sv, nodes := scene(config.Broker{MaxTunnels: 10, UUIDPolicy: policy}, 3)
					for i, n := range nodes {
						n.Link.Loss = loss
						if i < 2 {
							n.Client.UUID = "twin"
						}
						if site != "elsewhere" {
							n.Addr = nodes[0].Addr
						}
						w.After(time.Duration(i)*3*s, n.Start)
					}
					run(t, w, 600*s)
					st := sv.core.Stats()
					switches := st.Reasons[broker.ClosedTwin]
					t.Logf("%d switches, %d refused, %d tunnels made", switches, st.Reasons[broker.RefusedTwin], st.Opened)
					if switches > 5 || policy != config.UUIDReplace && switches != 0 {
						t.Errorf("%d switches", switches)
					}
					if sv.noted[broker.NoteTwins] != 1 {
						t.Errorf("noted %d times", sv.noted[broker.NoteTwins])
					}
					want := 2
					if policy == config.UUIDAny {
						want = 3
					}
					if n := connected(nodes); loss < 0.1 && n != want {
						t.Errorf("%d are connected, want %d", n, want)
					}
					if policy != config.UUIDAny && st.Reasons[broker.RefusedTwin] == 0 {
						t.Error("the second one was never refused, so this shows nothing")
					}
				})
			}
		}
	}
}

// A node that builds and drops tunnels all the time is held to its limit, and
// then to a quarter of that; its neighbours do not notice.
func TestFlappersAreHeldOff(t *testing.T) {
	w, sv, nodes := scene(config.Broker{MaxTunnels: 64, RateInterval: 200 * ms,
		PerUUID: config.Rate{Count: 3, Time: 60 * s}, PerIP: config.Rate{Count: 6, Time: 60 * s}}, 20)
	var flap func(n *Node)
	flap = func(n *Node) {
		n.Crash()
		n.Start()
		w.After(2*s+w.upTo(4*s), func() { flap(n) })
	}
	for i, n := range nodes {
		if i < 4 {
			flap(n)
		} else {
			w.After(w.upTo(10*s), n.Start)
		}
	}
	run(t, w, 3600*s)
	st := sv.core.Stats()
	t.Logf("%d tunnels made, %d times over the limit, %d times held off",
		st.Opened, st.Reasons[broker.RefusedRate]+st.Reasons[broker.RefusedUUIDRate], st.Reasons[broker.RefusedHeldOff])
	// The limit alone would let each in 180 times.
	if st.Opened > 16+4*60 || st.Opened < 16+4*40 {
		t.Errorf("%d tunnels were made", st.Opened)
	}
	if n := connected(nodes[4:]); n != 16 {
		t.Errorf("%d of 16 neighbours are connected", n)
	}
	for _, n := range nodes[4:] {
		if s := n.machine.Stats(); s.Refused+s.NoAnswer > 0 {
			t.Errorf("%s was refused %d times", n.Client.UUID, s.Refused)
		}
	}
}

// Twenty thousand addresses and names with good cookies, each of which comes
// several times: what is remembered stays bounded, who kept coming is not
// forgotten for them, and well-behaved newcomers still get in.
func TestForgers(t *testing.T) {
	const keys = 500
	w := New(1)
	sv := w.AddServer(config.Broker{Name: "wan", MaxTunnels: 200, TunnelIDBase: 100, TunnelTimeout: 30 * s, RateInterval: 200 * ms,
		PerUUID: config.Rate{Count: 2, Time: 60 * s}, PerIP: config.Rate{Count: 2, Time: 60 * s}}, ServerOptions{Keys: keys})
	come := func(addr netip.Addr, uuid string) {
		p := pair{netip.AddrPortFrom(addr, uint16(1+w.Random.IntN(60000))), sv.V4}
		sv.deliver(p, wire.AppendPrepare(nil, sv.Cookie(p.client), []byte(uuid), 1, wire.UniqueSessionID))
	}
	nuisance, n := netip.MustParseAddr("203.0.113.1"), 0
	var flood func()
	flood = func() {
		come(nuisance, "nuisance")
		for range 20 {
			n++
			addr := netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)})
			come(addr, fmt.Sprint("forged", n))
		}
		if w.Now() < boot+200*s {
			w.After(200*ms, flood)
		}
	}
	flood()
	nodes := people(w, 10)
	w.After(60*s, func() {
		for _, n := range nodes {
			n.Start()
		}
	})
	got := 0
	for range 20 {
		run(t, w, 10*s)
		l := sv.core.Limits(w.Now())
		if l.Addresses > keys || l.UUIDs > keys {
			t.Fatalf("%+v are remembered", l)
		}
		got = max(got, connected(nodes))
	}
	st := sv.core.Stats()
	t.Logf("%d came, %d were let in, %d of 10 others at best; the nuisance was held off %d times", n, st.Opened, got, st.Reasons[broker.RefusedHeldOff])
	if got < 10 {
		t.Errorf("%d of 10 others got in", got)
	}
	if held := st.Reasons[broker.RefusedHeldOff]; held < 800 {
		t.Errorf("the nuisance was held off %d times of 1000", held)
	}
}
