package broker

import (
	"testing"
	"time"

	"tunneldigger/src/wire"
)

func (r *rig) drain(on bool, rate int) *rig {
	r.out = r.Drain(r.now, on, rate, r.out[:0])
	return r
}

func (r *rig) usage(from pair) uint16 {
	r.t.Helper()
	r.listener(from, wire.AppendUsageRequest(nil, unique))
	m, err := wire.Parse(r.out[0].Message())
	if err != nil {
		r.t.Fatal(err)
	}
	load, _ := wire.ParseUint16(m.Payload)
	return load
}

func TestDrain(t *testing.T) {
	c := quiet
	c.RateInterval = 2 * s
	r := newRig(t, c, Options{})
	r.up(alice, "a", 1, unique)
	r.prepare(bob, "b", 1, unique).is("# queued b")
	r.drain(true, 0).is("bob ← ERROR", "# refused b: the broker is draining")
	if load := r.usage(bob); load != 65535 {
		t.Errorf("load %d while draining", load)
	}
	r.prepare(carol, "c", 1, unique).is("carol ← ERROR", "# refused c: the broker is draining")
	// What stands goes on; a client that starts anew with the same identity keeps its tunnel.
	r.prepare(alice, "a", 1, unique).is("100 ← TUNNEL 100 features 1", "100 ← PMTU_NTFY 1400")
	same(t, only(r.run(5*time.Minute), "ERROR", "#"), "60 100 ← ERROR 0x03", "60 # closed 100 a: the client was silent for too long")
	r.gone(100)
	if _, ok := r.Due(); ok {
		t.Error("something is due")
	}
	r.drain(false, 0).is()
	if load := r.usage(bob); load != 0 {
		t.Errorf("load %d after draining", load)
	}
	r.prepare(bob, "b", 1, unique).is("create l2tp101-101 for bob 1-1 mtu 1400")
	if got := r.Stats().Reasons[RefusedDraining]; got != 2 {
		t.Errorf("%d refusals", got)
	}
}

// A handshake that is under way is brought to its end, and a client that
// wants another identity then is refused.
func TestDrainWhileSettingUp(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.prepare(alice, "a", 1, unique)
	r.prepare(bob, "b", 1, unique)
	r.prepare(bob, "b2", 1, unique).is()
	r.drain(true, 0).is()
	r.made(100)
	same(t, only(r.lines(), "TUNNEL", "ERROR"), "100 ← TUNNEL 100 features 1")
	r.made(101)
	same(t, only(r.lines(), "TUNNEL", "ERROR", "closed"), "# closed 101 b: the client came back with another identity")
	r.hookDone(101, 1)
	same(t, only(r.destroyed(101).lines(), "bob"), "bob ← ERROR")
}

func TestCloseRate(t *testing.T) {
	r := newRig(t, quiet, Options{})
	for i, who := range []pair{alice, bob, carol, dave} {
		r.up(who, names[who.peer], uint32(i+1), unique)
	}
	if on, rate := r.Draining(); on || rate != 0 {
		t.Errorf("draining %v %d", on, rate)
	}
	r.drain(true, 4).is()
	if on, rate := r.Draining(); !on || rate != 4 {
		t.Errorf("draining %v %d", on, rate)
	}
	// One every 15 s, the first at once; those that are down are left out.
	same(t, only(r.run(20*s), "ERROR", "closed"),
		"0 100 ← ERROR 0x02", "0 # closed 100 alice: the broker is draining",
		"15 101 ← ERROR 0x02", "15 # closed 101 bob: the broker is draining")
	r.socket(102, wire.AppendError(nil))
	same(t, only(r.run(11*s), "closed"), "10 # closed 103 dave: the broker is draining")
	for id := uint32(100); id <= 103; id++ {
		r.gone(id)
	}
	if _, ok := r.Due(); ok {
		t.Error("something is due when all are gone")
	}
	// Without a rate the rest stays.
	r.drain(false, 0)
	id := r.up(alice, "a", 1, unique)
	r.drain(true, 1).drain(true, 0)
	same(t, only(r.run(50*s), "closed"))
	r.drain(false, 0)
	r.gone(id)
}

// A loop that was late catches up on a second, and only what stands is closed.
func TestCloseRateWhenLate(t *testing.T) {
	c := quiet
	c.MaxTunnels = 20
	r := newRig(t, c, Options{})
	r.prepare(crowd(0), "0", 1, unique) // is being made
	for n := 1; n < 10; n++ {
		r.up(crowd(n), "x", 1, unique)
	}
	r.drain(true, 120)
	r.now += 5 * s
	r.tick()
	same(t, only(r.lines(), "closed"), "# closed 101 x: the broker is draining", "# closed 102 x: the broker is draining", "# closed 103 x: the broker is draining")
	if due, _ := r.Due(); due != r.now+s/2 {
		t.Errorf("next one at %v, now is %v", due, r.now)
	}
}

func TestKick(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 1, unique)
	r.prepare(bob, "b", 1, unique)
	kick := func(id uint32) *rig { return r.event(Event{Kind: EventKick, Tunnel: id}) }
	kick(101).is() // it is not up yet
	kick(99).is()
	kick(100).is("100 ← ERROR 0x05", "# closed 100 a: an operator closed it", "hook session.pre-down 100")
	kick(100).is()
	r.gone(100)
	r.prepare(alice, "a", 1, unique).is("create l2tp100-100 for alice 1-1 mtu 1400")
}
