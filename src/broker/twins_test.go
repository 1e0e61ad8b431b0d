package broker

import (
	"net/netip"
	"testing"
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

func policy(p config.UUIDPolicy) config.Broker {
	c := quiet
	c.MaxTunnels, c.UUIDPolicy = 8, p
	return c
}

// alive hands in a KEEPALIVE.
func (r *rig) alive(id uint32) { r.socket(id, wire.AppendClientKeepalive(nil, 1)) }

// elsewhere is alice behind a NAT that has given her another port.
var elsewhere = pair{netip.AddrPortFrom(alice.peer.Addr(), 1111), here}

func TestTwinsAny(t *testing.T) {
	r := newRig(t, policy(config.UUIDAny), Options{})
	a, b := r.up(alice, "u", 1, unique), r.up(bob, "u", 1, unique)
	var noted []string
	for i := 0; i < 20; i++ {
		r.alive(a)
		r.alive(b)
		noted = append(noted, only(r.run(4*s), "two nodes")...)
	}
	same(t, noted, "1 # two nodes 100 u, bob")
	if r.Tunnels() != 2 || r.Stats().Twins != 1 {
		t.Errorf("%d tunnels, %d twins", r.Tunnels(), r.Stats().Twins)
	}
}

// A client that has started anew is no twin.
func TestTwinsAnyRestarted(t *testing.T) {
	r := newRig(t, policy(config.UUIDAny), Options{})
	r.up(alice, "u", 1, unique)
	r.now += 5 * s
	b := r.up(elsewhere, "u", 1, unique)
	for i := 0; i < 20; i++ {
		r.alive(b)
		r.run(4 * s)
	}
	if r.Stats().Twins != 0 {
		t.Error("taken for two nodes")
	}
}

func TestTwinsRefuse(t *testing.T) {
	r := newRig(t, policy(config.UUIDRefuse), Options{})
	a := r.up(alice, "u", 1, unique)
	r.prepare(bob, "u", 1, unique).is("# two nodes 100 u, bob", "bob ← ERROR")
	for i := 0; i < 3; i++ { // said once, counted each time
		r.prepare(bob, "u", 1, unique).is("bob ← ERROR")
	}
	if st := r.Stats(); st.Reasons[RefusedTwin] != 4 || st.Twins != 1 || r.Tunnels() != 1 || r.Waiting() != 0 {
		t.Errorf("%+v", st)
	}
	r.prepare(bob, "v", 1, unique).is("create l2tp101-101 for bob 1-1 mtu 1400")
	// While the old one goes, a new one may come.
	r.socket(a, wire.AppendError(nil))
	r.prepare(carol, "u", 1, unique).is("create l2tp102-102 for carol 1-1 mtu 1400")
	r.prepare(dave, "u", 1, unique) // also while that one is being made
	r.is("# two nodes 102 u, dave", "dave ← ERROR")
}

// A NAT has forgotten the client, or it was started anew: the same UUID from the
// same address takes the tunnel's place at once.
func TestTwinsReplaceSameSite(t *testing.T) {
	r := newRig(t, policy(config.UUIDReplace), Options{})
	r.up(alice, "u", 1, unique)
	r.prepare(elsewhere, "u", 1, unique).is(
		"100 ← ERROR 0x04", "# closed 100 u: a new client with its UUID took its place", "hook session.pre-down 100",
		"create l2tp101-101 for 192.0.2.10:1111 1-1 mtu 1400")
	r.gone(100)
	r.made(101)
	if r.Tunnels() != 1 || r.Stats().Twins != 0 {
		t.Errorf("%d tunnels", r.Tunnels())
	}
	// IPv6: another address of the same /64.
	r.up(alice6, "v", 1, unique)
	again := pair{netip.MustParseAddrPort("[2001:db8:a::99]:1"), here6}
	if got := only(r.prepare(again, "v", 1, unique).lines(), "closed", "create"); len(got) != 2 {
		t.Errorf("got %q", got)
	}
}

// From another address it has to wait until the old one is silent for long
// enough; it hears nothing until that is clear.
func TestTwinsReplaceSilent(t *testing.T) {
	r := newRig(t, policy(config.UUIDReplace), Options{})
	r.up(alice, "u", 1, unique)
	r.now += 3 * s
	r.prepare(bob, "u", 1, unique).is()
	r.now += 2 * s
	r.prepare(bob, "u", 1, unique).is()
	r.now += 2 * s // silent for 7 s
	r.prepare(bob, "u", 1, unique).is(
		"100 ← ERROR 0x04", "# closed 100 u: a new client with its UUID took its place", "hook session.pre-down 100",
		"create l2tp101-101 for bob 1-1 mtu 1400")
}

// The old one lives: it stays, and the newcomer is told as soon as that is clear.
func TestTwinsReplaceLiving(t *testing.T) {
	r := newRig(t, policy(config.UUIDReplace), Options{})
	a := r.up(alice, "u", 1, unique)
	r.now += 3 * s
	r.prepare(bob, "u", 1, unique).is()
	r.now += 2 * s
	r.alive(a)
	r.prepare(bob, "u", 1, unique).is("# two nodes 100 u, bob", "bob ← ERROR")
	for i := 0; i < 10; i++ { // it comes again and again
		r.now += 5 * s
		r.alive(a)
		r.now += 2 * s
		r.prepare(bob, "u", 1, unique).is()
		r.now += 2 * s
		r.alive(a)
		r.prepare(bob, "u", 1, unique).is("bob ← ERROR")
	}
	if st := r.Stats(); st.Reasons[RefusedTwin] != 11 || st.Twins != 1 || r.Tunnels() != 1 {
		t.Errorf("%+v", st)
	}
}

// Each switch doubles the silence that the next one needs, for an hour; also at
// one site, where two living nodes may have one UUID as well.
func TestTwinsReplaceBacksOff(t *testing.T) {
	for _, test := range []struct {
		name   string
		second pair
		needs  []time.Duration
	}{
		{"another site", bob, []time.Duration{6500 * time.Millisecond, 13 * s, 26 * s, 52 * s}},
		{"same site", elsewhere, []time.Duration{0, 6500 * time.Millisecond, 13 * s, 26 * s, 52 * s}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := policy(config.UUIDReplace)
			c.TunnelTimeout = 200 * s
			r := newRig(t, c, Options{})
			last := r.up(alice, "u", 1, unique)
			from := []pair{test.second, alice}
			try := func(n int) bool {
				r.prepare(from[n%2], "u", 1, unique)
				created := only(r.lines(), "create")
				if len(created) > 0 {
					r.gone(last)
					last = r.tunnels.uuids["u"].id
					r.made(last)
				}
				return len(created) > 0
			}
			for n, need := range test.needs {
				if need > 0 {
					r.now += need - 1
					if try(n) {
						t.Fatalf("switch %d after less than %v", n, need)
					}
					r.now++
				}
				if !try(n) {
					t.Fatalf("no switch %d after %v", n, need)
				}
			}
			// What is an hour ago counts no more.
			for end := r.now + time.Hour; r.now < end; {
				r.alive(last)
				r.run(5 * s)
			}
			r.now += test.needs[0]
			if !try(len(test.needs)) {
				t.Error("a switch of an hour ago still counts")
			}
		})
	}
}

// The old tunnel stays until the new one has passed the hook, and after that if
// it has shown that it lives.
func TestTwinsReplaceAndVerify(t *testing.T) {
	r := newRig(t, policy(config.UUIDReplace), Options{Verify: true})
	start := func() {
		r.prepare(alice, "u", 1, unique)
		r.hookDone(100, config.EventVerify)
		r.made(100)
		r.now += 7 * s
		r.prepare(bob, "u", 1, unique).is("hook session.verify 101")
	}
	refused := func(id uint32) {
		r.event(Event{Kind: EventHookDone, Tunnel: id, Serial: r.tunnels.get(id).serial, Hook: config.EventVerify, Refused: true})
	}
	start()
	refused(101)
	r.is("bob ← ERROR", "# refused u: the session.verify hook refused")
	if r.Tunnels() != 1 {
		t.Error("the old one is gone")
	}
	r = newRig(t, policy(config.UUIDReplace), Options{Verify: true})
	start()
	r.hookDone(101, config.EventVerify).is("100 ← ERROR 0x04",
		"# closed 100 u: a new client with its UUID took its place", "hook session.pre-down 100", "create l2tp101-101 for bob 1-1 mtu 1400")
	r = newRig(t, policy(config.UUIDReplace), Options{Verify: true})
	start()
	r.alive(100)
	r.hookDone(101, config.EventVerify).is("bob ← ERROR", "# refused u: its UUID has a tunnel already")
	check(t, r.Broker)
}

// Two newcomers of one UUID at the hook: the one that passes it goes on.
func TestTwinsBothVerified(t *testing.T) {
	r := newRig(t, policy(config.UUIDReplace), Options{Verify: true})
	r.prepare(alice, "u", 1, unique).is("hook session.verify 100")
	r.prepare(elsewhere, "u", 1, unique).is("hook session.verify 101")
	r.hookDone(101, config.EventVerify).is("alice ← ERROR", "# refused u: its UUID has a tunnel already",
		"create l2tp101-101 for 192.0.2.10:1111 1-1 mtu 1400")
	r.hookDone(100, config.EventVerify).is()
	// While the kernel is at it, nothing can be undone: who comes waits.
	r.prepare(alice, "u", 1, unique).is()
	r.made(101)
	if got := only(r.prepare(alice, "u", 1, unique).lines(), "hook session.verify"); len(got) != 1 && r.Tunnels() == 1 {
		t.Errorf("got %q", got)
	}
	check(t, r.Broker)
}

// Two that wait in the queue: the second is looked at again when it is its turn.
func TestTwinsInQueue(t *testing.T) {
	c := policy(config.UUIDRefuse)
	c.RateInterval = 2 * s
	r := newRig(t, c, Options{})
	r.up(carol, "c", 1, unique)
	r.prepare(alice, "u", 1, unique).is("# queued u")
	r.prepare(bob, "u", 1, unique).is("# queued u")
	r.prepare(dave, "d", 1, unique).is("# queued d")
	same(t, r.run(2*s), "2 create l2tp101-101 for alice 1-1 mtu 1400")
	r.made(101)
	same(t, only(r.run(2*s), "bob", "create"), "2 # two nodes 101 u, bob", "2 bob ← ERROR", "2 create l2tp102-102 for dave 1-1 mtu 1400")
}

// The same client address and port with another identity goes by its own rules,
// whatever the policy.
func TestTwinsAndSuccessors(t *testing.T) {
	for _, p := range []config.UUIDPolicy{config.UUIDAny, config.UUIDReplace, config.UUIDRefuse} {
		r := newRig(t, policy(p), Options{})
		r.up(alice, "u", 7, unique)
		r.prepare(alice, "u", 8, unique).is("# closed 100 u: the client came back with another identity", "hook session.pre-down 100")
		r.hookDone(100, config.EventSessionPreDown)
		r.destroyed(100).is("hook session.down 100", "create l2tp101-101 for alice 8-8 mtu 1400")
		r.made(101)
		if got := r.prepare(alice, "u", 8, unique).lines()[0]; got != "101 ← TUNNEL 101 features 1" {
			t.Errorf("%v: %q", p, got)
		}
	}
}

// Many tunnels of one UUID: whichever goes, the others are still found.
func TestTwinsAreFound(t *testing.T) {
	for _, order := range [][]uint32{{100, 101, 102}, {102, 101, 100}, {101, 100, 102}, {101, 102, 100}} {
		r := newRig(t, policy(config.UUIDAny), Options{})
		for _, p := range []pair{alice, bob, carol} {
			r.up(p, "u", 1, unique)
		}
		for _, id := range order {
			r.socket(id, wire.AppendError(nil))
			r.gone(id)
			check(t, r.Broker)
		}
		if len(r.tunnels.uuids)+len(r.tunnels.older) != 0 {
			t.Errorf("%d and %d are left", len(r.tunnels.uuids), len(r.tunnels.older))
		}
	}
}
