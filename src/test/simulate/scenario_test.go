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

// scene is a world with one broker and n clients on good links.
func scene(c config.Broker, n int) (*World, *Server, []*Node) {
	w := New(1)
	c.Name, c.TunnelIDBase = "wan", 100
	if c.TunnelTimeout == 0 {
		c.TunnelTimeout = 60 * s
	}
	sv := w.AddServer(c, ServerOptions{})
	var nodes []*Node
	for i := 0; i < n; i++ {
		nodes = append(nodes, w.AddNode(NodeOptions{
			Client: client.Options{UUID: fmt.Sprint("node", i), TunnelID: 1, Features: wire.UniqueSessionID},
			Link:   Link{Delay: 5*ms + w.upTo(50*ms), Jitter: 5 * ms, MTU: 1500},
			Addr:   netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}),
		}))
	}
	return w, sv, nodes
}

func connected(nodes []*Node) (n int) {
	for _, node := range nodes {
		if node.Connected() == nil {
			n++
		}
	}
	return n
}

func run(t *testing.T, w *World, d time.Duration) {
	t.Helper()
	if err := w.Run(d); err != nil {
		t.Fatal(err)
	}
}

// The broker comes back and a thousand clients arrive within a second. (That no
// client gets ERROR while the queue has room, is checked at every refusal.)
func TestStorm(t *testing.T) {
	const clients = 1000
	w, sv, nodes := scene(config.Broker{MaxTunnels: 1024, RateInterval: 50 * ms}, clients)
	for _, n := range nodes {
		w.After(w.upTo(s), n.Start)
	}
	// As many are connected as the rate allows, at all times.
	var late time.Duration
	for at := 5 * s; connected(nodes) < clients; at += 5 * s {
		run(t, w, 5*s)
		if at > 120*s {
			t.Fatalf("%d of %d clients are connected after %v", connected(nodes), clients, at)
		}
		if want := int((at - 2*s) / (50 * ms)); connected(nodes) < min(want, clients)*9/10 {
			t.Errorf("%d clients are connected after %v, want about %d", connected(nodes), at, want)
		}
		late = at
	}
	refused := sv.core.Stats().Reasons
	t.Logf("%d clients after %v, %d told to come back later", clients, late, refused[broker.RefusedQueue])
	for reason, n := range refused {
		if n > 0 && broker.Reason(reason) != broker.RefusedQueue {
			t.Errorf("%d clients refused: %v", n, broker.Reason(reason))
		}
	}
	if refused[broker.RefusedQueue] == 0 {
		t.Error("the queue was never full, so this shows nothing")
	}
}

// What the queue has room for is served in one go: no client is refused, and
// none gives up waiting.
func TestStormWithinTheQueue(t *testing.T) {
	w, sv, nodes := scene(config.Broker{MaxTunnels: 1024, RateInterval: 50 * ms}, 240)
	for _, n := range nodes {
		w.After(w.upTo(100*ms), n.Start)
	}
	run(t, w, 15*s)
	if n := connected(nodes); n != 240 {
		t.Errorf("%d of 240 clients are connected", n)
	}
	for _, n := range nodes {
		if st := n.machine.Stats(); st.Refused+st.NoAnswer != 0 {
			t.Errorf("%s was refused %d times and left without an answer %d times", n.Client.UUID, st.Refused, st.NoAnswer)
		}
	}
	if sv.core.Stats().Reasons != [broker.ReasonCount]uint64{} {
		t.Errorf("refused: %v", sv.core.Stats().Reasons)
	}
}

// Without a rate limit and without loss nobody needs to repeat anything.
func TestNoRetransmissions(t *testing.T) {
	w, sv, nodes := scene(config.Broker{MaxTunnels: 1024}, 1000)
	for i, n := range nodes {
		w.After(time.Duration(i/200)*s, n.Start)
	}
	run(t, w, 8*s)
	if n := connected(nodes); n != 1000 || sv.core.Tunnels() != 1000 {
		t.Errorf("%d clients are connected, %d tunnels", n, sv.core.Tunnels())
	}
	for _, n := range nodes {
		if r := n.machine.Stats().Repeats(); r != 0 {
			t.Errorf("%s repeated itself %d times", n.Client.UUID, r)
		}
	}
}

// A NAT forgets its clients: the broker does not know the new ports, says so, and they come
// back with their next word; the old tunnels go.
func TestRebinding(t *testing.T) {
	w, sv, nodes := scene(config.Broker{MaxTunnels: 100}, 20)
	for _, n := range nodes {
		n.Start()
	}
	run(t, w, 30*s)
	for _, n := range nodes {
		n.Rebind()
	}
	if n := connected(nodes); n != 0 {
		t.Fatalf("%d clients are connected through ports that are gone", n)
	}
	run(t, w, 6*s)
	if n := connected(nodes); n != 20 {
		t.Errorf("%d clients are connected again", n)
	}
	run(t, w, 65*s)
	if n := sv.core.Tunnels(); n != 20 {
		t.Errorf("%d tunnels for 20 clients", n)
	}
}

// Clients that come and go all the time leave nothing behind.
func TestFlapping(t *testing.T) {
	w, sv, nodes := scene(config.Broker{MaxTunnels: 32}, 20)
	w.Trouble.Hooks = 2 * s
	for i, n := range nodes {
		var flap func()
		flap = func() {
			if w.Now() > boot+600*s {
				n.Start()
				return
			}
			n.Start()
			w.After(w.upTo(8*s), func() {
				if i%2 == 0 {
					n.Crash()
					w.After(w.upTo(2*s), flap)
				} else {
					n.Stop(func() { w.After(w.upTo(2*s), flap) })
				}
			})
		}
		w.After(w.upTo(2*s), flap)
	}
	run(t, w, 600*s)
	if opened := sv.core.Stats().Opened; opened < 400 {
		t.Errorf("%d tunnels were made, so this shows little", opened)
	}
	w.Calm()
	run(t, w, 150*s)
	if n := connected(nodes); n != 20 || sv.core.Tunnels() != 20 || len(sv.ids) != 20 || len(sv.hooks) != 0 {
		t.Errorf("%d clients connected, %d tunnels, %d in the kernel, %d with hooks", n, sv.core.Tunnels(), len(sv.ids), len(sv.hooks))
	}
}

// The path narrows and widens again: both ends follow, within a round of probes
// when routers say so, and no tunnel is closed by it.
func TestPathChanges(t *testing.T) {
	w, sv, nodes := scene(config.Broker{MaxTunnels: 100}, 4)
	for i, n := range nodes {
		n.Link.ICMP = i%2 == 0
		if i >= 2 {
			n.Addr = netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::1", i))
		}
		n.Start()
	}
	follow := func(mtu int, within time.Duration) {
		t.Helper()
		for _, n := range nodes {
			n.Link.MTU = mtu
		}
		run(t, w, within)
		for _, n := range nodes {
			if err := n.MTU(); err != nil {
				t.Errorf("path %d: %v", mtu, err)
			}
		}
	}
	follow(1500, 30*s)
	follow(1400, 650*s)
	follow(1500, 650*s)
	if st := sv.core.Stats(); st.Opened != 4 {
		t.Errorf("%d tunnels were made for 4 clients", st.Opened)
	}
}

// A client that leaves path MTU discovery to the broker gets to know it.
func TestNoProbes(t *testing.T) {
	w, _, nodes := scene(config.Broker{MaxTunnels: 4}, 1)
	n := nodes[0]
	n.Client.NoProbes, n.Link.MTU = true, 1400
	n.Start()
	run(t, w, 30*s)
	if err := n.MTU(); err != nil {
		t.Error(err)
	}
}

// One fifth of all datagrams is lost, others come twice or out of order: a
// hundred clients are connected all the same.
func TestLossyLinks(t *testing.T) {
	w, sv, nodes := scene(config.Broker{MaxTunnels: 1024}, 100)
	for _, n := range nodes {
		n.Link.Loss, n.Link.Duplicate, n.Link.Reorder = 0.2, 0.1, 0.2
		n.Start()
	}
	run(t, w, 40*s)
	if n := connected(nodes); n != 100 {
		t.Errorf("%d clients are connected", n)
	}
	run(t, w, 70*s) // what a client gave up before it heard of it has had its time
	if n := connected(nodes); n != 100 || sv.core.Tunnels() != 100 {
		t.Errorf("%d clients are connected, %d tunnels", n, sv.core.Tunnels())
	}
}

// A broker that stops tells its clients, and they are back when it is.
func TestRestart(t *testing.T) {
	w, sv, nodes := scene(config.Broker{MaxTunnels: 100}, 50)
	for _, n := range nodes {
		n.Start()
	}
	run(t, w, 20*s)
	stopped := false
	sv.Stopped = func() {
		stopped = true
		if len(sv.ids) != 0 || len(sv.hooks) != 0 {
			t.Errorf("%d in the kernel and %d with hooks after the end", len(sv.ids), len(sv.hooks))
		}
	}
	sv.Stop(5 * s)
	run(t, w, s)
	if !stopped || connected(nodes) != 0 {
		t.Errorf("stopped: %v, %d clients are connected", stopped, connected(nodes))
	}
	run(t, w, 30*s)
	if n := connected(nodes); n != 50 {
		t.Errorf("%d clients are connected again", n)
	}
	// Crashed, it has them again, and they notice nothing, also where the kernel still has the ones before.
	before := make(map[*Node]uint64)
	for _, n := range nodes {
		before[n] = n.machine.Stats().Established
	}
	for _, away := range []time.Duration{2 * s, ms} {
		sv.Crash(away)
		run(t, w, 10*s)
		if n := connected(nodes); n != 50 {
			t.Errorf("%d clients are connected %v after a crash", n, away)
		}
	}
	for _, n := range nodes {
		if now := n.machine.Stats().Established; now != before[n] {
			t.Errorf("client %q has set up %d tunnels, %d before the crash", n.Client.UUID, now, before[n])
		}
	}
	// Killed without a record, it tells nobody: they find out by its silence.
	sv.Kill(2 * s)
	run(t, w, 80*s)
	if n := connected(nodes); n != 50 {
		t.Errorf("%d clients are connected after a kill", n)
	}
}
