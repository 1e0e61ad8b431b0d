package broker

import (
	"fmt"
	"net/netip"
	"testing"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

func TestPerUUID(t *testing.T) {
	c := quiet
	c.MaxTunnels, c.PerUUID = 100, config.Rate{Count: 2, Time: 60 * s}
	r := newRig(t, c, Options{})
	up := func(n int, uuid string) bool {
		r.prepare(crowd(n), uuid, 1, unique)
		return r.out[0].Kind == EffectCreate
	}
	if !up(1, "u") || !up(2, "u") || up(3, "u") {
		t.Fatal("two connections per UUID were configured")
	}
	r.is("192.0.2.3:10003 ← ERROR", "# refused u: too many connections with this UUID", "hook broker.connection-rate-limit 0 192.0.2.3:10003 u")
	if !up(4, "v") {
		t.Error("another UUID was refused")
	}
	if got, want := r.Limits(r.now), (Limits{UUIDs: 2, HeldUUIDs: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	r.now += 9 * s
	r.prepare(crowd(5), "u", 1, unique)
	same(t, r.lines()[:2], "192.0.2.5:10005 ← ERROR", "# refused u: it came again too soon after it was refused")
	r.now += 21 * s
	if !up(6, "u") || up(7, "u") {
		t.Error("one more after half of the time was expected")
	}
}

// What is refused for one reason costs nothing of another limit.
func TestLimitsDoNotCountRefusals(t *testing.T) {
	c := quiet
	c.MaxTunnels, c.RateInterval = 100, 12*s // room for 1
	c.PerIP, c.PerUUID = config.Rate{Count: 2, Time: 60 * s}, config.Rate{Count: 1, Time: 60 * s}
	r := newRig(t, c, Options{})
	at := func(port uint16) pair { return pair{netip.AddrPortFrom(alice.peer.Addr(), port), here} }
	r.up(bob, "b", 1, unique)
	r.prepare(carol, "c", 1, unique).is("# queued c")
	for port := uint16(1); port < 5; port++ {
		r.prepare(at(port), "a", 1, unique).is(name(at(port).peer)+" ← ERROR", "# refused a: too many clients are waiting")
		r.prepare(at(port), "b", 1, unique)
		if got := r.Stats().Reasons[RefusedUUIDRate] + r.Stats().Reasons[RefusedHeldOff]; got != uint64(port) {
			t.Errorf("%d refused for their UUID", got)
		}
	}
	r.run(12 * s) // carol has gone elsewhere
	r.prepare(at(5), "a", 1, unique).is("create l2tp101-101 for 192.0.2.10:5 1-1 mtu 1400")
	if got := r.Limits(r.now); got.Addresses != 3 || got.UUIDs != 3 || got.HeldAddresses != 0 {
		t.Errorf("%+v", got)
	}
}

// One address can fill the queue only while nobody else wants in.
func TestQueueIsShared(t *testing.T) {
	c := quiet
	c.MaxTunnels, c.RateInterval = 100, 2*s // room for 6
	r := newRig(t, c, Options{})
	r.up(bob, "b", 1, unique)
	greedy := func(n int) pair {
		return pair{netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", n)), 1), here6}
	}
	for n := 1; n <= 6; n++ {
		r.prepare(greedy(n), fmt.Sprint("g", n), 1, unique).is(fmt.Sprint("# queued g", n))
	}
	r.prepare(greedy(7), "g7", 1, unique).is("[2001:db8::7]:1 ← ERROR", "# refused g7: too many clients are waiting")
	r.prepare(alice, "a", 1, unique).is("[2001:db8::6]:1 ← ERROR", "# refused g6: too many clients are waiting", "# queued a")
	r.prepare(greedy(6), "g6", 1, unique).is("[2001:db8::6]:1 ← ERROR", "# refused g6: too many clients are waiting")
	r.prepare(carol, "c", 1, unique).is("[2001:db8::5]:1 ← ERROR", "# refused g5: too many clients are waiting", "# queued c")
	r.prepare(alice, "a", 1, unique).is() // keeps its place
	// Usage counts those who wait.
	r.listener(bob, wire.AppendUsageRequest(nil, unique)).is(fmt.Sprintf("bob ← USAGE %d", 7*65535/100))
}

// Who waits under one UUID and comes again under another is a newcomer, within that one's limit.
func TestAnotherUUIDInTheQueue(t *testing.T) {
	c := quiet
	c.MaxTunnels, c.RateInterval, c.PerUUID = 100, 2*s, config.Rate{Count: 1, Time: 60 * s}
	r := newRig(t, c, Options{})
	r.up(alice, "a", 1, unique)
	r.prepare(bob, "b", 1, unique).is("# queued b")
	r.prepare(bob, "a", 1, unique)
	same(t, r.lines()[:2], "bob ← ERROR", "# refused a: too many connections with this UUID")
	r.prepare(carol, "c", 1, unique).is("# queued c")
	r.prepare(carol, "d", 1, unique).is("# queued d")
	if got := r.Limits(r.now); r.Waiting() != 1 || got.UUIDs != 4 {
		t.Errorf("%d wait, %+v", r.Waiting(), got)
	}
}
