package broker

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// A node that comes back has the ID that it had, whoever came in between, and over an upgrade; if that is taken, another one.
func TestSameIDAgain(t *testing.T) {
	r := newRig(t, quiet, Options{})
	ends := func(id uint32) {
		r.socket(id, wire.AppendError(nil))
		r.gone(id)
	}
	for i := range 20 {
		a, b := r.up(alice, "a", uint32(1+i), unique), r.up(bob, "b", 1, unique)
		if a != 100 || b != 101 {
			t.Fatalf("time %d: the IDs are %d and %d", i, a, b)
		}
		ends(b)
		ends(a)
		other := r.up(carol, fmt.Sprint("c", i), 1, unique)
		if other == a || other == b && i > 0 {
			t.Errorf("time %d: another node has ID %d", i, other)
		}
		ends(other)
		check(t, r.Broker)
		r.Broker = handOver(t, r.Broker)
	}
	for i, from := range []pair{carol, dave, bob} { // until only the two last are free
		r.up(from, fmt.Sprint("new", i), 1, unique)
	}
	if id := r.up(alice, "a", 1, unique); !r.Holds(id) || r.Tunnels() != 4 {
		t.Errorf("%d tunnels, the last is %d", r.Tunnels(), id)
	}
}

// Of 5000 others the last 4096 are remembered, in the memory that is stated.
func TestRecentNodes(t *testing.T) {
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	var r recent
	name := func(i int) string { return fmt.Sprintf("%040d", i) }
	for i := range 5000 {
		r.remember(name(i), uint32(i))
		r.remember(name(i-i%3), uint32(i)) // some come again
	}
	for i := 5000 - recentNodes + 2; i < 5000; i++ {
		if _, ok := r.last(name(i)); !ok {
			t.Fatalf("%d of the last %d is not remembered", i, recentNodes)
		}
	}
	if n := len(r.byUUID); n > recentNodes+recentNodes/8 || len(r.order) > 2*recentNodes {
		t.Errorf("%d are remembered, %d turns", n, len(r.order))
	}
	if got := heap() - before; got > 1<<20 {
		t.Errorf("%d kB", got>>10)
	} else {
		t.Logf("%d kB", got>>10)
	}
	var again recent
	r.each(func(uuid string, id uint32) { again.remember(uuid, id) })
	if len(again.byUUID) != len(r.byUUID) || again.byUUID[name(4999)].id != 4999 {
		t.Errorf("%d of %d come through", len(again.byUUID), len(r.byUUID))
	}
	runtime.KeepAlive(r)
}

// own gives alice's node an ID and a limit.
func own(uuid string) Client {
	if uuid == "a" {
		return Client{Tunnel: 17, Bandwidth: 500}
	}
	return Client{}
}

// A node with an ID of its own has no other, outside of the range, across upgrades; its last tunnel makes room when it is dead.
func TestIDOfTheNodesOwn(t *testing.T) {
	r := newRig(t, quiet, Options{Client: own})
	if id := r.up(alice, "a", 1, unique); id != 17 || r.ids.count != 4 {
		t.Fatalf("ID %d, %d are free", id, r.ids.count)
	}
	check(t, r.Broker)
	r.Broker = handOver(t, r.Broker)
	if !r.Holds(17) || r.Tunnels() != 1 {
		t.Fatal("the tunnel is lost in an upgrade")
	}
	if b := r.up(bob, "b", 1, unique); b != 100 {
		t.Errorf("another node has ID %d", b)
	}
	var ids []uint32
	for id := uint32(0); ; id++ {
		info, ok := r.Next(id)
		if !ok {
			break
		}
		id = info.Tunnel
		ids = append(ids, id)
	}
	if fmt.Sprint(ids) != "[17 100]" {
		t.Errorf("the tunnels are %v", ids)
	}
	// It comes from somewhere else, while the old tunnel lives; then that is silent.
	r.now += 2 * s
	r.socket(17, wire.AppendKeepalive(nil, 1))
	r.prepare(carol, "a", 2, unique).is()
	r.now += deadAfter + s
	r.prepare(carol, "a", 2, unique)
	if text := strings.Join(r.lines(), "\n"); !strings.Contains(text, "# closed 17 a") || strings.Contains(text, "create") {
		t.Errorf("got %s", text)
	}
	check(t, r.Broker)
	r.prepare(carol, "a", 2, unique).is() // it is on its way out
	r.gone(17)
	if id := r.up(carol, "a", 2, unique); id != 17 {
		t.Errorf("ID %d", id)
	}
	r.event(Event{Kind: EventStop})
	r.gone(17)
	r.gone(100)
	if r.Tunnels() != 0 || len(r.tunnels.apart) != 0 {
		t.Errorf("%d tunnels are left", r.Tunnels())
	}
	check(t, r.Broker)
}

// When the kernel still has the ID, or another section, the client asks again, and gets no other.
func TestIDOfTheNodesOwnIsTaken(t *testing.T) {
	taken := true
	r := newRig(t, quiet, Options{Client: own, Taken: func(id uint32) bool { return taken && id == 17 }})
	r.prepare(alice, "a", 1, unique).is()
	taken = false
	r.prepare(alice, "a", 1, unique).is("create l2tp17-17 for alice 1-1 mtu 1400")
	r.failed(17, FaultExists).is()
	check(t, r.Broker)
	r.prepare(alice, "a", 1, unique).is("create l2tp17-17 for alice 1-1 mtu 1400")
	r.made(17)
	// What came of a pool that has grown over it.
	r.reconfigure(func(c *config.Broker) {})
	r.tunnels.resize(8)
	if r.tunnels.get(17) == nil {
		t.Error("lost")
	}
}

// The pool may come to IDs of nodes' own: they stay until their tunnels end.
func TestRangeGrowsOverOwnIDs(t *testing.T) {
	node := Client{Tunnel: 105}
	r := newRig(t, quiet, Options{Client: func(uuid string) Client {
		if uuid == "a" {
			return node
		}
		return Client{}
	}})
	r.alone = true
	r.up(alice, "a", 1, unique)
	node = Client{}
	r.reconfigure(func(c *config.Broker) { c.MaxTunnels = 8 })
	if len(r.tunnels.apart) != 0 || !r.Holds(105) || r.ids.count != 7 {
		t.Errorf("%d apart, %d free", len(r.tunnels.apart), r.ids.count)
	}
	check(t, r.Broker)
	r.socket(105, wire.AppendError(nil))
	r.gone(105)
	if r.ids.count != 8 {
		t.Errorf("%d free", r.ids.count)
	}
	check(t, r.Broker)
}

// A limit of the node's own counts, whatever it asks for, and follows a reload; one outside of a pool is carried over a crash.
func TestBandwidthOfTheNodesOwn(t *testing.T) {
	node := Client{Tunnel: 17, Bandwidth: 500}
	r := newRig(t, quiet, Options{Client: func(uuid string) Client { return node }})
	r.up(alice, "a", 1, unique)
	if info, _ := r.Next(0); info.Bandwidth != 500 {
		t.Errorf("%d kbit/s", info.Bandwidth)
	}
	record := r.AppendTunnel(nil, 17)
	node.Bandwidth = 800
	r.reconfigure(func(c *config.Broker) {})
	if info, _ := r.Next(0); info.Bandwidth != 800 {
		t.Errorf("%d kbit/s", info.Bandwidth)
	}
	for _, has := range []uint32{17, 18} {
		node.Tunnel = has
		n := newRig(t, quiet, Options{Client: func(uuid string) Client { return node }})
		n.config.Ports = []uint16{here.Port()}
		remade, lost, _ := n.Remake(n.now, n.now, [][]byte{record}, nil)
		if has == 17 && fmt.Sprint(remade, lost) != "[17] []" || has == 18 && fmt.Sprint(remade, lost) != "[] [17]" {
			t.Errorf("has %d: made again %v, lost %v", has, remade, lost)
		}
	}
}
