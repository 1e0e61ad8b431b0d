package broker

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// The whole way down: the client is told, then the hook runs, then the
// interface goes, then the other hook runs, then the ID is free.
func TestTimeout(t *testing.T) {
	c := quiet
	c.MaxTunnels = 1
	r := newRig(t, c, Options{})
	r.up(alice, "a", 7, unique)
	r.now += 30 * s
	r.tick()
	r.socket(100, wire.AppendClientKeepalive(nil, 1)).is()
	got := only(r.run(61*s), "ERROR", "#", "hook")
	same(t, got, "60 100 ← ERROR 0x03", "60 # closed 100 a: the client was silent for too long", "60 hook session.pre-down 100")
	if _, ok := r.Due(); ok {
		t.Error("something is due while the hook runs")
	}
	r.socket(100, wire.AppendClientKeepalive(nil, 1)).is()
	if r.Stats().Drops[DropClosing] != 1 || r.Stats().Reasons[ClosedTimeout] != 1 {
		t.Errorf("counted %+v", r.Stats())
	}
	// Another client has to wait for the ID until the last hook has ended.
	taken := func() {
		t.Helper()
		r.prepare(bob, "b", 1, unique).is("bob ← ERROR", "# refused b: all tunnels are in use")
	}
	taken()
	r.hookDone(100, config.EventSessionPreDown).is("destroy 100")
	taken()
	r.destroyed(100).is("hook session.down 100")
	taken()
	r.hookDone(100, config.EventSessionDown).is()
	r.prepare(bob, "b", 1, unique).is("create l2tp100-100 for bob 1-1 mtu 1400")
}

func TestErrorOfTheClient(t *testing.T) {
	r := newRig(t, quiet, Options{})
	for _, data := range [][]byte{wire.AppendError(nil), wire.AppendErrorReason(nil, wire.ReasonClientShutdown)} {
		r.up(alice, "a", 7, unique)
		r.socket(100, data).is("# closed 100 a: the client closed it", "hook session.pre-down 100")
		r.socket(100, data).is() // it is repeated
		r.gone(100)
	}
	if r.Tunnels() != 0 || r.Stats().Reasons[ClosedByPeer] != 2 {
		t.Errorf("%d tunnels, %+v", r.Tunnels(), r.Stats())
	}
}

func TestLost(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 7, unique)
	lost := Event{Kind: EventLost, Tunnel: 100}
	r.event(lost).is("100 ← ERROR 0x04", "# closed 100 a: the interface or socket is gone", "hook session.pre-down 100")
	r.event(lost).is()
	r.hookDone(100, config.EventSessionPreDown).is("destroy 100")
	r.event(lost).is()
	r.destroyed(100).is("hook session.down 100")
}

// Hooks of one tunnel carry one serial, which no other tunnel ever has.
func TestSerial(t *testing.T) {
	r := newRig(t, quiet, Options{Verify: true})
	seen := map[uint64]bool{0: true}
	for i := 0; i < 10; i++ {
		var serial uint64
		check := func() {
			for _, e := range r.out {
				if e.Kind != EffectHook {
					continue
				}
				if serial == 0 {
					serial = e.Serial
				}
				if e.Serial != serial || seen[serial] {
					t.Fatalf("hook %v of round %d has serial %d", e.Hook, i, e.Serial)
				}
			}
		}
		r.prepare(alice, "a", 7, unique)
		check()
		id := r.out[0].Tunnel
		r.hookDone(id, config.EventVerify)
		r.made(id)
		check()
		r.socket(id, wire.AppendError(nil))
		check()
		r.hookDone(id, config.EventSessionPreDown)
		r.destroyed(id)
		check()
		r.hookDone(id, config.EventSessionDown)
		seen[serial] = true
	}
}

// The kernel does not remove the interface: the tunnel does not hang for ever.
func TestStuck(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 7, unique)
	r.socket(100, wire.AppendError(nil))
	r.hookDone(100, config.EventSessionPreDown)
	same(t, r.run(removalTime), "10 # stuck 100 a", "10 hook session.down 100")
	r.destroyed(100).is() // after all
	r.hookDone(100, config.EventSessionDown)
	if r.Tunnels() != 0 || len(r.deadlines) != 0 {
		t.Errorf("%d tunnels, %d deadlines", r.Tunnels(), len(r.deadlines))
	}
}

// Stop, in every state that a client can be in.
func TestStop(t *testing.T) {
	c := quiet
	c.MaxTunnels, c.RateInterval = 8, s
	r := newRig(t, c, Options{Verify: true})
	verified := func(id uint32) { r.hookDone(id, config.EventVerify) }
	stage := func(from pair, n uint32) {
		r.now += s
		r.prepare(from, name(from.peer), 1, unique)
		if n > 0 {
			verified(r.out[0].Tunnel)
		}
	}
	erin, frank := pair{addrPort("192.0.2.50:5"), here}, pair{addrPort("192.0.2.60:6"), here}
	stage(alice, 1)
	r.made(100)   // up
	stage(bob, 1) // creating
	stage(carol, 0)
	stage(dave, 1)
	r.made(103)
	r.socket(103, wire.AppendError(nil)) // closing
	stage(erin, 1)
	r.made(104)
	r.socket(104, wire.AppendError(nil))
	r.hookDone(104, config.EventSessionPreDown) // destroying
	r.prepare(frank, "frank", 1, unique).is("# queued frank")
	r.prepare(dave, "successor", 1, unique).is()

	r.event(Event{Kind: EventStop}).is(
		"192.0.2.60:6 ← ERROR", "# refused frank: the broker is stopping",
		"100 ← ERROR 0x02", "# closed 100 alice: the broker is stopping", "hook session.pre-down 100",
		"carol ← ERROR", "# refused carol: the broker is stopping")
	r.event(Event{Kind: EventStop}).is()
	r.prepare(frank, "frank", 1, unique).is("192.0.2.60:6 ← ERROR", "# refused frank: the broker is stopping")
	r.listener(frank, wire.AppendUsageRequest(nil, unique)).is("192.0.2.60:6 ← USAGE 65535")
	// What the kernel was busy with ends right after it; its client hears
	// nothing that it would build on.
	r.made(101).is("101 ← ERROR 0x02", "# closed 101 bob: the broker is stopping", "destroy 101")
	verified(102)
	r.gone(100)
	r.destroyed(101).is()
	r.hookDone(103, config.EventSessionPreDown)
	r.destroyed(103).is("hook session.down 103", "dave ← ERROR", "# refused successor: the broker is stopping")
	r.hookDone(103, config.EventSessionDown)
	r.gone(104)
	if r.Tunnels() != 0 || r.Waiting() != 0 || len(r.pairs) != 0 || r.ids.count != 8 {
		t.Errorf("%d tunnels, %d wait, %d pairs, %d free IDs", r.Tunnels(), r.Waiting(), len(r.pairs), r.ids.count)
	}
	if _, ok := r.Due(); ok {
		t.Error("something is due after the end")
	}
}

func TestStopWhileCreationFails(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.prepare(alice, "a", 7, unique)
	r.event(Event{Kind: EventStop}).is()
	r.failed(100, FaultExists).is("# set aside 100 a", "alice ← ERROR", "# refused a: the tunnel could not be made")
	if r.Tunnels() != 0 {
		t.Errorf("%d tunnels", r.Tunnels())
	}
}

// IDs go round: the one that has been free for the longest is next, for nodes that are new.
func TestIDs(t *testing.T) {
	r := newRig(t, quiet, Options{})
	for i := 0; i < 10; i++ {
		if id := r.up(alice, fmt.Sprint("a", i), 7, unique); id != uint32(100+i%4) {
			t.Errorf("tunnel %d has ID %d", i, id)
		}
		r.socket(uint32(100+i%4), wire.AppendError(nil))
		r.gone(uint32(100 + i%4))
	}
}

// Events that crossed with a change on their way, in every state and any number.
func TestEventsOutOfPlace(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	seeds := 200
	if handing {
		seeds = 40
	}
	for seed := 0; seed < seeds; seed++ {
		r := newRig(t, probing, Options{Verify: seed%2 == 0, Random: random.Uint32})
		for i := 0; i < 200; i++ {
			ev := Event{
				Kind: EventKind(random.IntN(int(EventStop) + 3)), Fault: Fault(random.IntN(3)), Hook: config.Event(random.IntN(int(config.EventCount))),
				Refused: random.IntN(4) == 0, Tunnel: uint32(99 + random.IntN(6)), Serial: uint64(random.IntN(8)), Size: random.IntN(1600),
				Peer: alice.peer, Local: here,
			}
			if ev.Kind == EventStop && random.IntN(20) != 0 {
				continue
			}
			if random.IntN(3) == 0 {
				ev.Data = wire.AppendPrepare(nil, r.cookie(alice), []byte{byte('a' + random.IntN(2))}, uint32(random.IntN(3)), 0)
			}
			r.event(ev)
			check(t, r.Broker)
			r.now += s / 4
			r.tick()
			check(t, r.Broker)
		}
	}
}
