package broker

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// crowd gives the addresses of the n-th client of many.
func crowd(n int) pair {
	return pair{netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), uint16(10000+n)), here}
}

// Those who come faster than the rate allows wait and are served in order; only
// what exceeds the queue gets ERROR, at once.
func TestPacing(t *testing.T) {
	c := quiet
	c.MaxTunnels, c.RateInterval = 100, 2*s
	r := newRig(t, c, Options{}) // room for 6
	r.prepare(crowd(0), "0", 1, unique).is("create l2tp100-100 for 192.0.2.0:10000 1-1 mtu 1400")
	for n := 1; n <= 6; n++ {
		r.prepare(crowd(n), fmt.Sprint(n), 1, unique).is(fmt.Sprintf("# queued %d", n))
	}
	r.prepare(crowd(7), "7", 1, unique).is("192.0.2.7:10007 ← ERROR", "# refused 7: too many clients are waiting")
	served := 0
	for i := 0; i < 7; i++ {
		for _, l := range r.run(2 * s) {
			served++
			if want := fmt.Sprintf("2 create l2tp%d-%d for %v 1-1 mtu 1400", 100+served, 100+served, crowd(served).peer); l != want {
				t.Errorf("got %q, want %q", l, want)
			}
		}
		for n := served + 1; n <= 6; n++ {
			r.prepare(crowd(n), fmt.Sprint(n), 1, unique).is() // a retry keeps its place
		}
		if i == 0 { // there is room again, at the end
			r.prepare(crowd(8), "8", 1, unique).is("# queued 8")
		}
	}
	// 8 did not come again, so its turn was not spent on it.
	if served != 6 || r.Waiting() != 0 {
		t.Errorf("%d were served and %d wait", served, r.Waiting())
	}
	r.prepare(crowd(9), "9", 1, unique).is("create l2tp107-107 for 192.0.2.9:10009 1-1 mtu 1400")
}

// One who left the queue behind takes no turn from those after it.
func TestPacingSkipsTheStale(t *testing.T) {
	c := quiet
	c.RateInterval = 4 * s
	r := newRig(t, c, Options{})
	r.up(alice, "a", 1, unique)
	r.prepare(bob, "b", 1, unique)
	r.prepare(carol, "c", 1, unique)
	same(t, only(r.run(4*s), "create"), "4 create l2tp101-101 for bob 1-1 mtu 1400")
	r.prepare(dave, "d", 1, unique)
	r.now += 2 * s
	r.prepare(dave, "d", 1, unique)
	// carol was last heard 8 s before.
	same(t, only(r.run(2*s), "create"), "2 create l2tp102-102 for dave 1-1 mtu 1400")
}

// Waiting counts against the number of tunnels: nobody waits in vain.
func TestPacingFull(t *testing.T) {
	c := quiet
	c.MaxTunnels, c.RateInterval = 2, s
	r := newRig(t, c, Options{})
	r.up(alice, "a", 1, unique)
	r.prepare(bob, "b", 1, unique).is("# queued b")
	r.prepare(carol, "c", 1, unique).is("carol ← ERROR", "# refused c: all tunnels are in use")
}

// Keepalives and the queue share the deadlines.
func TestDue(t *testing.T) {
	c := quiet
	c.RateInterval = 4 * s
	r := newRig(t, c, Options{})
	if _, ok := r.Due(); ok {
		t.Error("something is due in a new broker")
	}
	start := r.now
	r.up(alice, "a", 1, unique)
	for _, test := range []struct{ at, want time.Duration }{{0, 3 * s}, {3 * s, 4 * s}, {4 * s, 8 * s}} {
		r.now = start + test.at
		r.tick()
		if test.at == 0 {
			r.prepare(bob, "b", 1, unique)
		}
		if at, ok := r.Due(); !ok || at != start+test.want {
			t.Errorf("at %v due at %v, want %v", test.at, at-start, test.want)
		}
	}
}

func TestPerAddress(t *testing.T) {
	c := quiet
	c.MaxTunnels, c.PerIP = 100, config.Rate{Count: 2, Time: 60 * s}
	r := newRig(t, c, Options{})
	from := func(addr string, port uint16) pair {
		return pair{netip.AddrPortFrom(netip.MustParseAddr(addr), port), here}
	}
	allowed := func(p pair) bool {
		r.prepare(p, "u", 1, unique)
		return r.out[0].Kind == EffectCreate
	}
	if !allowed(from("192.0.2.1", 1)) || !allowed(from("192.0.2.1", 2)) || allowed(from("192.0.2.1", 3)) {
		t.Fatal("two connections per address were configured")
	}
	r.is("192.0.2.1:3 ← ERROR", "# refused u: too many connections from this address", "hook broker.connection-rate-limit 0 192.0.2.1:3 u")
	if r.out[2].Serial != 0 {
		t.Error("the hook has no tunnel to be ordered with")
	}
	// The hook does not run for each of many.
	r.prepare(from("192.0.2.1", 4), "u", 1, unique).is("192.0.2.1:4 ← ERROR", "# refused u: it came again too soon after it was refused")
	r.now += hookGap
	r.prepare(from("192.0.2.1", 5), "u", 1, unique)
	if got := only(r.lines(), "hook"); len(got) != 1 {
		t.Errorf("got %q, want the hook again after a while", r.lines())
	}
	if !allowed(from("192.0.2.2", 1)) {
		t.Error("another address was refused")
	}
	// A retry of a tunnel that stands costs nothing.
	r.made(100)
	for i := 0; i < 5; i++ {
		r.prepare(from("192.0.2.1", 1), "u", 1, unique)
		if got := r.lines()[0]; got != "100 ← TUNNEL 100 features 1" {
			t.Fatalf("got %q", got)
		}
	}
	r.now += 30 * s
	if !allowed(from("192.0.2.1", 6)) || allowed(from("192.0.2.1", 7)) {
		t.Error("one more after half of the time was expected")
	}
	// A site of IPv6 is a /64.
	if !allowed(from("2001:db8::1", 1)) || !allowed(from("2001:db8::2", 1)) || allowed(from("2001:db8::3", 1)) || !allowed(from("2001:db8:0:1::1", 1)) {
		t.Error("IPv6 addresses of one /64 count as one")
	}
}

// What strangers can make grow stays bounded.
func TestMemory(t *testing.T) {
	c := quiet
	c.MaxTunnels, c.RateInterval, c.PerIP = 10, s, config.Rate{Count: 1, Time: 60 * s}
	r := newRig(t, c, Options{})
	clients := 20000
	if handing { // each of them with a new core
		clients = 2000
	}
	for i := 0; i < clients; i++ {
		addr := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})
		from := pair{netip.AddrPortFrom(addr, 1), here}
		r.prepare(from, "u", 1, unique)
		r.listener(from, wire.AppendClientKeepalive(nil, 1))
		r.now += time.Millisecond
		r.tick()
		if i%1000 == 0 {
			check(t, r.Broker)
		}
	}
	if r.Tunnels() > 10 || r.Waiting() > 12 || len(r.pairs) > 10 || r.perIP.Len() > limiterKeys || r.hooked.Len() > limiterKeys {
		t.Errorf("%d tunnels, %d wait, %d pairs, %d and %d addresses", r.Tunnels(), r.Waiting(), len(r.pairs), r.perIP.Len(), r.hooked.Len())
	}
}
