package broker

import (
	"os"
	"slices"
	"testing"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// answer brings a tunnel to where its client has the answer.
func (r *rig) answer(from pair, uuid string) {
	r.t.Helper()
	r.prepare(from, uuid, 7, unique)
	r.created(r.out[0].Tunnel)
}

// While the interface is not up the tunnel lives as any other, but hooks do not know of it; then they hear the MTU that is in force.
func TestAnswered(t *testing.T) {
	r := newRig(t, probing, Options{})
	r.answer(alice, "a")
	r.is("100 ← TUNNEL 100 features 1", "raise 100 mtu 1446")
	r.socket(100, wire.AppendPMTUNtfy(nil, 1300)).is("mtu 100 1300", "# mtu 100 a")
	r.socket(100, wire.AppendLimit(nil, 1, 500)).is("100 ← REL_ACK 1", "shape 100 500", "# limit 100 a")
	r.prepare(alice, "a", 7, unique).is("100 ← TUNNEL 100 features 1")
	if got := only(r.run(4*s), "KEEPALIVE"); len(got) != 1 {
		t.Errorf("keepalives %q", got)
	}
	if info, _ := r.Next(100); info.State != "answered" || !info.Stands() || len(r.AppendTunnel(nil, 100)) != 0 {
		t.Errorf("shown as %+v", info)
	}
	r.raised(100).is("# up 100 a", "hook session.up 100")
	if e := r.out[1]; e.MTU != 1300 {
		t.Errorf("hooks hear of MTU %d", e.MTU)
	}
	r.raised(100).is()
	r.event(Event{Kind: EventRaiseFailed, Tunnel: 100}).is()
	r.socket(100, wire.AppendPMTUNtfy(nil, 1280)).is("mtu 100 1280", "# mtu 100 a", "hook session.mtu-changed 100 1300→1280")
	if info, _ := r.Next(100); info.State != "up" || len(r.AppendTunnel(nil, 100)) == 0 {
		t.Errorf("shown as %+v", info)
	}
}

// Whatever ends a tunnel before it is up, it goes at once and hooks hear nothing; its ID and its addresses are free when it has gone.
func TestAnsweredEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(r *rig)
		want []string
	}{
		{"client", func(r *rig) { r.socket(100, wire.AppendError(nil)) }, []string{"# closed 100 a: the client closed it", "destroy 100"}},
		{"interface", func(r *rig) { r.event(Event{Kind: EventLost, Tunnel: 100}) },
			[]string{"100 ← ERROR 0x04", "# closed 100 a: the interface or socket is gone", "destroy 100"}},
		{"kick", func(r *rig) { r.event(Event{Kind: EventKick, Tunnel: 100}) },
			[]string{"100 ← ERROR 0x05", "# closed 100 a: an operator closed it", "destroy 100"}},
		{"list", func(r *rig) { r.lists("", "a") },
			[]string{"100 ← ERROR 0x04", "# closed 100 a: allow_list or deny_list keeps it out now", "destroy 100"}},
		{"drain", func(r *rig) { r.Drain(r.now, true, 60, nil); r.tick() },
			[]string{"100 ← ERROR 0x02", "# closed 100 a: the broker is draining", "destroy 100"}},
		{"stop", func(r *rig) { r.event(Event{Kind: EventStop}) },
			[]string{"100 ← ERROR 0x02", "# closed 100 a: the broker is stopping", "destroy 100"}},
		{"silence", func(r *rig) { r.now += quiet.TunnelTimeout; r.tick() },
			[]string{"100 ← ERROR 0x03", "# closed 100 a: the client was silent for too long", "destroy 100"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, quiet, Options{})
			r.answer(alice, "a")
			test.end(r)
			r.is(test.want...)
			r.raised(100).is()
			r.event(Event{Kind: EventRaiseFailed, Tunnel: 100}).is()
			r.hookDone(100, config.EventSessionPreDown).is()
			r.destroyed(100).is()
			check(t, r.Broker)
			if r.Tunnels() != 0 || r.Knows(alice.peer, alice.local) {
				t.Errorf("%d tunnels are left", r.Tunnels())
			}
		})
	}
}

// Who comes back with another identity meanwhile gets its tunnel when the first one has gone.
func TestAnsweredSuccessor(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.answer(alice, "a")
	r.prepare(alice, "z", 7, unique).is("# closed 100 a: the client came back with another identity", "destroy 100")
	r.destroyed(100).is("create l2tp101-101 for alice 7-7 mtu 1400")
}

// An interface that the kernel does not remove in time is given up on as any other.
func TestAnsweredStuck(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.answer(alice, "a")
	r.socket(100, wire.AppendError(nil))
	same(t, r.run(removalTime), "10 # stuck 100 a")
	if r.Tunnels() != 0 {
		t.Errorf("%d tunnels", r.Tunnels())
	}
}

// When one can't be raised it is closed, and the next clients are answered only when their interface is up, until one is.
func TestCareful(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.answer(alice, "a")
	r.event(Event{Kind: EventRaiseFailed, Tunnel: 100}).is(
		"100 ← ERROR 0x04", "# closed 100 a: the interface could not be brought up or attached", "destroy 100")
	r.destroyed(100).is()
	r.prepare(bob, "b", 7, unique).is("create l2tp101-101 for bob 7-7 mtu 1400, up")
	r.failed(101, FaultOther).is("bob ← ERROR", "# refused b: the tunnel could not be made")
	r.prepare(bob, "b", 7, unique).is("create l2tp102-102 for bob 7-7 mtu 1400, up")
	r.event(Event{Kind: EventCreated, Tunnel: 102, Up: true}).is(
		"102 ← TUNNEL 102 features 1", "102 ← PMTU_NTFY 1400", "# up 102 b", "hook session.up 102")
	r.prepare(carol, "c", 7, unique).is("create l2tp103-103 for carol 7-7 mtu 1400")
}

// Version 1.0 handed over tunnels as up that were not, and knew outside of the core which: 100 is to be raised, 101 goes without a word, 102 is
// up, and 103 is being made. (testdata: what its AppendState gave.)
func TestVersion10(t *testing.T) {
	state, err := os.ReadFile("testdata/version-1.0.state")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, quiet, Options{})
	if r.Broker, err = Restore(quiet, r.options, state); err != nil {
		t.Fatal(err)
	}
	var states []string
	for _, id := range []uint32{100, 101, 102, 103} {
		if id < 102 {
			r.NeverUp(id)
		}
		info, _ := r.Next(id)
		states = append(states, info.State)
	}
	if want := []string{"answered", "destroying", "up", "creating"}; !slices.Equal(states, want) {
		t.Fatalf("states %q, want %q", states, want)
	}
	check(t, r.Broker)
	r.raised(100).is("# up 100 a", "hook session.up 100")
	r.destroyed(101).is()
	r.event(Event{Kind: EventLost, Tunnel: 102}).is("102 ← ERROR 0x04", "# closed 102 c: the interface or socket is gone", "hook session.pre-down 102")
	r.created(103)
	if got := r.lines()[0]; got != "103 ← TUNNEL 103 features 1" {
		t.Errorf("got %q", r.lines())
	}
	r.NeverUp(99)
}
