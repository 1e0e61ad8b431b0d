package broker

import (
	"testing"

	"tunneldigger/src/config"
)

func TestVerify(t *testing.T) {
	r := newRig(t, quiet, Options{Verify: true})
	done := func(id uint32, refused bool) *rig {
		return r.event(Event{Kind: EventHookDone, Tunnel: id, Serial: r.tunnels.get(id).serial, Hook: config.EventVerify, Refused: refused})
	}
	r.prepare(alice, "a", 7, unique).is("hook session.verify 100")
	r.prepare(alice, "a", 7, unique).is()
	done(100, false).is("create l2tp100-100 for alice 7-7 mtu 1400")
	done(100, true).is() // once is enough
	r.made(100)

	r.prepare(bob, "b", 7, unique).is("hook session.verify 101")
	done(101, true).is("bob ← ERROR", "# refused b: the session.verify hook refused")
	if r.Tunnels() != 1 || len(r.pairs) != 1 || r.ids.count != 3 {
		t.Errorf("%d tunnels, %d pairs, %d free IDs", r.Tunnels(), len(r.pairs), r.ids.count)
	}

	// A client that waits for longer than it would is not there any more.
	r.prepare(carol, "c", 7, unique).is("hook session.verify 102")
	r.now += 6 * s
	r.prepare(carol, "c", 7, unique).is() // still there
	r.now += 6 * s
	done(102, false).is("create l2tp102-102 for carol 7-7 mtu 1400")
	r.prepare(dave, "d", 7, unique).is("hook session.verify 103")
	r.now += 7 * s
	done(103, false).is()
	if r.Tunnels() != 2 {
		t.Errorf("%d tunnels, want dave to be forgotten", r.Tunnels())
	}
}

// The answer of a hook for a client that has another identity by now is not for
// the one that has its ID.
func TestVerifyOvertaken(t *testing.T) {
	c := quiet
	c.MaxTunnels = 1
	r := newRig(t, c, Options{Verify: true})
	r.prepare(alice, "a", 7, unique).is("hook session.verify 100")
	old := r.tunnels.get(100).serial
	r.prepare(alice, "z", 7, unique).is("hook session.verify 100")
	r.event(Event{Kind: EventHookDone, Tunnel: 100, Serial: old, Hook: config.EventVerify}).is()
	r.event(Event{Kind: EventHookDone, Tunnel: 100, Serial: old + 1, Hook: config.EventVerify}).is("create l2tp100-100 for alice 7-7 mtu 1400")
}
