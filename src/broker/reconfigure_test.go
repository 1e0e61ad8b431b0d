package broker

import (
	"testing"
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// reconfigure changes the configuration of a running broker.
func (r *rig) reconfigure(change func(*config.Broker)) *rig {
	r.t.Helper()
	c := r.config
	change(&c)
	r.out = r.Reconfigure(r.now, c, r.options, r.out[:0])
	check(r.t, r.Broker)
	return r
}

func TestReconfigureNothing(t *testing.T) {
	for _, c := range []config.Broker{quiet, probing} {
		r := newRig(t, c, Options{})
		id := r.up(alice, "a", 1, unique)
		before := r.tunnels.get(id).due
		r.reconfigure(func(*config.Broker) {}).is()
		if r.tunnels.get(id).due != before {
			t.Error("a tunnel is looked at at another time")
		}
		// What can't be changed is not.
		r.reconfigure(func(c *config.Broker) { c.TunnelIDBase = 500 }).is()
		if r.config.TunnelIDBase != 100 || r.up(bob, "b", 1, unique) != 101 {
			t.Error("the IDs begin elsewhere")
		}
	}
}

func TestSmallerLimit(t *testing.T) {
	r := newRig(t, quiet, Options{})
	for _, p := range []pair{alice, bob, carol} { // 100, 101, 102
		r.up(p, "x", 1, unique)
	}
	r.reconfigure(func(c *config.Broker) { c.MaxTunnels = 2 }).is()
	r.prepare(dave, "d", 1, unique)
	r.is("dave ← ERROR", "# refused d: all tunnels are in use")
	// The tunnel above the limit lives on, and its ID is not given out again.
	r.socket(102, wire.AppendUsageRequest(nil, 0)).is("carol ← USAGE 65535")
	r.socket(100, wire.AppendError(nil))
	r.gone(100)
	r.prepare(dave, "d", 1, unique).is("dave ← ERROR", "# refused d: all tunnels are in use")
	r.socket(102, wire.AppendError(nil))
	r.gone(102)
	check(t, r.Broker)
	if id := r.up(dave, "d", 1, unique); id != 100 {
		t.Errorf("tunnel %d", id)
	}
	r.prepare(carol, "c", 1, unique).is("carol ← ERROR", "# refused c: all tunnels are in use")
	// And back.
	r.reconfigure(func(c *config.Broker) { c.MaxTunnels = 6 }).is()
	for _, want := range []uint32{102, 103, 104, 105} {
		p := carol
		p.peer = addrPort("203.0.113.1:" + string(rune('0'+want-100)))
		if id := r.up(p, "e", 1, unique); id != want {
			t.Errorf("tunnel %d, want %d", id, want)
		}
	}
}

func TestLimitWhileIDsAreAside(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.prepare(alice, "a", 1, unique)
	r.failed(100, FaultExists) // 100 is set aside, 101 tried
	r.made(101)
	r.up(bob, "b", 1, unique)
	r.reconfigure(func(c *config.Broker) { c.MaxTunnels = 1 })
	r.reconfigure(func(c *config.Broker) { c.MaxTunnels = 4 })
	if id := r.up(carol, "c", 1, unique); id != 103 {
		t.Errorf("tunnel %d", id)
	}
	r.prepare(dave, "d", 1, unique).is("dave ← ERROR", "# refused d: all tunnels are in use")
	r.now += asideTime
	if id := r.up(dave, "d", 1, unique); id != 100 {
		t.Errorf("tunnel %d", id)
	}
	check(t, r.Broker)
}

func TestLimitOfDescriptors(t *testing.T) {
	r := newRig(t, quiet, Options{MaxTunnels: 1})
	r.up(alice, "a", 1, unique)
	r.prepare(bob, "b", 1, unique).is("bob ← ERROR", "# refused b: all tunnels are in use")
	r.out = r.Reconfigure(r.now, r.config, Options{MaxTunnels: 2}, r.out[:0])
	r.up(bob, "b", 1, unique)
	r.prepare(carol, "c", 1, unique).is("carol ← ERROR", "# refused c: all tunnels are in use")
}

func TestTakenElsewhere(t *testing.T) {
	taken := map[uint32]bool{100: true, 102: true}
	r := newRig(t, quiet, Options{Taken: func(id uint32) bool { return taken[id] }, Serial: 70})
	if a, b := r.up(alice, "a", 1, unique), r.up(bob, "b", 1, unique); a != 101 || b != 103 || r.Serial() != 72 {
		t.Errorf("tunnels %d and %d, serial %d", a, b, r.Serial())
	}
	r.prepare(carol, "c", 1, unique).is("carol ← ERROR", "# refused c: all tunnels are in use")
	delete(taken, 102)
	if c := r.up(carol, "c", 1, unique); c != 102 {
		t.Errorf("tunnel %d", c)
	}
	check(t, r.Broker)
}

func TestTimeoutChanges(t *testing.T) {
	r := newRig(t, quiet, Options{Random: func() uint32 { return 11999 }})
	r.up(alice, "a", 1, unique)
	r.reconfigure(func(c *config.Broker) { c.TunnelTimeout = 10 * s })
	same(t, only(r.run(11*s), "closed"), "10 # closed 100 a: the client was silent for too long")
	r.gone(100)
	r.up(alice, "a", 1, unique)
	r.run(8 * s)
	r.reconfigure(func(c *config.Broker) { c.TunnelTimeout = 30 * s })
	same(t, only(r.run(30*s), "closed"), "22 # closed 100 a: the client was silent for too long")
}

func TestFixedMTUComesAndGoes(t *testing.T) {
	r := newRig(t, probing, Options{})
	r.up(alice, "a", 1, unique)
	r.prepare(bob, "b", 1, unique) // while the kernel is at it
	r.reconfigure(func(c *config.Broker) { c.PMTU = 1300 })
	r.is("100 ← PMTU_NTFY 1300", "mtu 100 1300", "# mtu 100 a", "hook session.mtu-changed 100 1446→1300")
	r.made(101)
	same(t, only(r.lines(), "mtu", "NTFY"), "raise 101 mtu 1446", "101 ← PMTU_NTFY 1300", "mtu 101 1300", "# mtu 101 b")
	same(t, only(r.run(60*s-1), "PMTUD"))
	r.socket(100, wire.AppendPMTUD(nil, 1400)).is("100 ← PMTU_NTFY 1300")
	r.hookDone(100, config.EventMTUChanged).is()
	r.reconfigure(func(c *config.Broker) { c.PMTU = 1350 })
	same(t, only(r.lines(), "100"), "100 ← PMTU_NTFY 1350", "mtu 100 1350", "# mtu 100 a", "hook session.mtu-changed 100 1300→1350")
	// Back to what the path allows: that is measured again.
	r.reconfigure(func(c *config.Broker) { c.PMTU = 0 }).is()
	if probes := only(r.run(s), "100 ← PMTUD"); len(probes) != 6 {
		t.Errorf("probes %q", probes)
	}
	r.socket(100, wire.AppendPMTUDAck(nil, 1500-28))
	same(t, only(r.lines(), "100"), "100 ← PMTU_NTFY 1446", "mtu 100 1446", "# mtu 100 a")
}

func TestFixedMTUWhileVerifying(t *testing.T) {
	r := newRig(t, probing, Options{Verify: true})
	r.prepare(alice, "a", 1, unique).is("hook session.verify 100")
	r.reconfigure(func(c *config.Broker) { c.PMTU = 1300 }).is()
	r.hookDone(100, config.EventVerify).is("create l2tp100-100 for alice 1-1 mtu 1300")
}

func TestBandwidthChanges(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "asks", 1, unique)
	r.socket(100, wire.AppendLimit(nil, 1, 5000))
	r.up(bob, "silent", 1, unique)
	r.reconfigure(func(c *config.Broker) { c.BandwidthDownMax = 3000 }).is("shape 100 3000", "# limit 100 asks")
	r.reconfigure(func(c *config.Broker) { c.BandwidthDownMax = 4000 }).is("shape 100 4000", "# limit 100 asks")
	r.reconfigure(func(c *config.Broker) { c.BandwidthDownDefault = 1000 }).is("shape 101 1000", "# limit 101 silent")
	// What a client wanted is not forgotten.
	r.reconfigure(func(c *config.Broker) { c.BandwidthDownMax, c.BandwidthDownDefault = 0, 0 })
	r.is("shape 100 5000", "# limit 100 asks", "shape 101 0", "# limit 101 silent")
	r.socket(101, wire.AppendLimit(nil, 1, 0)).is("101 ← REL_ACK 1")
	r.reconfigure(func(c *config.Broker) { c.BandwidthDownMax = 2000 })
	r.is("shape 100 2000", "# limit 100 asks", "shape 101 2000", "# limit 101 silent")
}

func TestPaceChanges(t *testing.T) {
	slow := quiet
	slow.RateInterval = 4 * s
	wait := func() *rig {
		r := newRig(t, slow, Options{})
		r.up(alice, "a", 1, unique)
		for _, p := range []pair{bob, carol, dave} {
			r.prepare(p, "x", 1, unique)
		}
		if r.Waiting() != 3 {
			t.Fatalf("%d wait", r.Waiting())
		}
		return r
	}
	// Faster, counted from the last one that was served.
	r := wait()
	r.now += s
	r.reconfigure(func(c *config.Broker) { c.RateInterval = 2 * s }).is()
	same(t, only(r.run(5*s), "create"), "1 create l2tp101-101 for bob 1-1 mtu 1400", "3 create l2tp102-102 for carol 1-1 mtu 1400",
		"5 create l2tp103-103 for dave 1-1 mtu 1400")
	// Off.
	r = wait()
	r.reconfigure(func(c *config.Broker) { c.RateInterval = 0 })
	r.is("create l2tp101-101 for bob 1-1 mtu 1400", "create l2tp102-102 for carol 1-1 mtu 1400", "create l2tp103-103 for dave 1-1 mtu 1400")
	// Slower: who can't be served in time is told at once.
	r = wait()
	r.reconfigure(func(c *config.Broker) { c.RateInterval = 6 * s })
	r.is("dave ← ERROR", "# refused x: too many clients are waiting")
	same(t, only(r.run(6*s), "create"), "6 create l2tp101-101 for bob 1-1 mtu 1400")
	// Who has stopped asking is forgotten.
	r = wait()
	r.now += stale + 1
	r.reconfigure(func(c *config.Broker) { c.RateInterval = 0 }).is()
	// Fewer tunnels than wait.
	r = wait()
	r.reconfigure(func(c *config.Broker) { c.MaxTunnels, c.RateInterval = 2, 0 })
	r.is("create l2tp101-101 for bob 1-1 mtu 1400", "carol ← ERROR", "# refused x: all tunnels are in use",
		"dave ← ERROR", "# refused x: all tunnels are in use")
}

func TestPerAddressLimitChanges(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 1, unique)
	r.reconfigure(func(c *config.Broker) { c.PerIP = config.Rate{Count: 1, Time: 30 * s} })
	other := alice
	other.peer = addrPort("192.0.2.10:1011")
	r.up(other, "b", 1, unique)
	other.peer = addrPort("192.0.2.10:1012")
	r.prepare(other, "c", 1, unique)
	if got := only(r.lines(), "refused"); len(got) != 1 || got[0] != "# refused c: too many connections from this address" {
		t.Errorf("%q", got)
	}
	r.reconfigure(func(c *config.Broker) { c.PerIP = config.Rate{Count: 1, Time: 10 * time.Second} })
	r.now += 10 * s
	r.up(other, "c", 1, unique)
	r.reconfigure(func(c *config.Broker) { c.PerIP = config.Rate{} })
	other.peer = addrPort("192.0.2.10:1013")
	r.up(other, "d", 1, unique)
}

// A section that is taken out closes its tunnels as stopping does; what belongs
// to it is nobody else's business meanwhile.
func TestRemove(t *testing.T) {
	c := quiet
	c.RateInterval = 4 * s
	r := newRig(t, c, Options{})
	r.up(alice, "a", 1, unique)
	r.prepare(bob, "b", 1, unique)
	r.event(Event{Kind: EventRemove})
	r.is("bob ← ERROR", "# refused b: its broker section was removed",
		"100 ← ERROR 0x02", "# closed 100 a: its broker section was removed", "hook session.pre-down 100")
	if !r.Holds(100) || r.Holds(101) || !r.Knows(alice.peer, alice.local) || r.Knows(bob.peer, bob.local) {
		t.Error("it does not know what it has")
	}
	r.prepare(alice, "a", 2, unique).is() // the section that has the port now will answer
	r.gone(100)
	if r.Tunnels() != 0 || r.Stats().Drops[DropClosing] != 1 {
		t.Errorf("%d tunnels, %+v", r.Tunnels(), r.Stats())
	}
	r.prepare(bob, "b", 1, unique).is("bob ← ERROR", "# refused b: its broker section was removed")
}

// An ID is free, but the tunnels above the limit count, too.
func TestSmallerLimitThanStand(t *testing.T) {
	c := quiet
	c.RateInterval = 2 * s
	r := newRig(t, c, Options{})
	r.up(alice, "a", 1, unique)
	r.now += 2 * s
	r.up(bob, "b", 1, unique)
	r.prepare(carol, "c", 1, unique)
	r.socket(100, wire.AppendError(nil))
	r.gone(100)
	r.reconfigure(func(c *config.Broker) { c.MaxTunnels = 1 })
	same(t, only(r.run(2*s), "carol", "refused"), "2 carol ← ERROR", "2 # refused c: all tunnels are in use")
	check(t, r.Broker)
}

// What a section of 5000 tunnels costs in the turn in which it is reconfigured.
func BenchmarkReconfigure(b *testing.B) {
	for name, change := range map[string]func(*config.Broker, int){
		"nothing": func(*config.Broker, int) {},
		"limit":   func(c *config.Broker, i int) { c.MaxTunnels = 6000 + i%2 },
		"mtu":     func(c *config.Broker, i int) { c.PMTU = 1300 + i%2 },
	} {
		b.Run(name, func(b *testing.B) {
			r := standing(b, 5000)
			c := r.config
			b.ResetTimer()
			for i := range b.N {
				change(&c, i)
				r.out = r.Reconfigure(r.now, c, Options{}, r.out[:0])
			}
		})
	}
}
