package broker

import (
	"testing"

	"tunneldigger/src/admission"
	"tunneldigger/src/config"
)

func (r *rig) lists(allow, deny string) *rig {
	parse := func(text string) *admission.List {
		if text == "" {
			return nil
		}
		l, err := admission.ParseList("list", []byte(text))
		if err != nil {
			r.t.Fatal(err)
		}
		return l
	}
	r.out = r.SetLists(r.now, parse(allow), parse(deny), r.out[:0])
	return r
}

const denied = "kept out by allow_list or deny_list"

// Who is kept out costs no tunnel, no hook, no place in the queue, and no use of
// what its address may have.
func TestDenied(t *testing.T) {
	c := quiet
	c.RateInterval, c.PerIP = s, config.Rate{Count: 1, Time: 60 * s}
	for _, test := range []struct{ name, allow, deny string }{
		{"by UUID", "", "b"}, {"by address", "", "192.0.2.20"}, {"by prefix", "", "192.0.2.16/28"},
		{"not allowed", "a\nc", ""}, {"in nobody's favour", "# nobody\n", ""},
		{"denied although allowed", "b\n192.0.2.0/24", "b"}, {"denied by address although allowed", "b", "192.0.2.20"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, c, Options{Verify: true}).lists(test.allow, test.deny)
			r.is()
			for i := 0; i < 3; i++ {
				r.prepare(bob, "b", 1, unique).is("bob ← ERROR", "# refused b: "+denied)
			}
			if r.Tunnels() != 0 || r.Waiting() != 0 || !r.queue.Ready(r.now) || r.perIP.Len() != 0 {
				t.Error("it was let in")
			}
			if r.Stats().Reasons[RefusedDenied] != 3 {
				t.Errorf("counted %d", r.Stats().Reasons[RefusedDenied])
			}
			r.lists("", "").is()
			r.prepare(bob, "b", 1, unique).is("hook session.verify 100")
		})
	}
}

func TestAllowed(t *testing.T) {
	for _, allow := range []string{"b", "192.0.2.20", "192.0.2.0/24", "b\n192.0.2.20"} {
		r := newRig(t, quiet, Options{}).lists(allow, "c\n192.0.2.30")
		r.prepare(bob, "b", 1, unique).is("create l2tp100-100 for bob 1-1 mtu 1400")
	}
}

// A list that changes: each one is told in the way that fits what it has.
func TestListsChange(t *testing.T) {
	c := quiet
	c.MaxTunnels, c.RateInterval = 10, 2*s
	r := newRig(t, c, Options{})
	r.up(alice, "a", 1, unique)
	r.prepare(alice6, "f", 1, unique)
	r.run(2 * s)
	r.made(101)
	r.now += 2 * s
	r.prepare(bob, "b", 1, unique) // is being made
	r.prepare(carol, "c", 1, unique).is("# queued c")
	r.prepare(dave, "d", 1, unique).is("# queued d")
	r.lists("", "a\nb\nc").is("carol ← ERROR", "# refused c: "+denied,
		"100 ← ERROR 0x04", "# closed 100 a: "+ClosedDenied.String(), "hook session.pre-down 100")
	r.lists("", "a\nb\nc").is()
	r.made(102).is("102 ← ERROR 0x04", "# closed 102 b: "+ClosedDenied.String(), "destroy 102")
	same(t, only(r.run(2*s), "create"), "2 create l2tp103-103 for dave 1-1 mtu 1400")
	r.gone(100)
	r.destroyed(102).is()
	check(t, r.Broker)
	r.prepare(alice, "a", 1, unique).is("alice ← ERROR", "# refused a: "+denied)
	if r.Tunnels() != 2 || r.Stats().Reasons[ClosedDenied] != 2 || r.Stats().Reasons[RefusedDenied] != 2 {
		t.Errorf("%d tunnels, %v", r.Tunnels(), r.Stats().Reasons)
	}
}

func TestListsWhileVerifying(t *testing.T) {
	r := newRig(t, quiet, Options{Verify: true})
	r.prepare(alice, "a", 1, unique).is("hook session.verify 100")
	r.lists("b", "").is("alice ← ERROR", "# refused a: "+denied)
	r.hookDone(100, config.EventVerify).is()
	check(t, r.Broker)
}

// One that waits for its own old tunnel to go is kept out when that has gone,
// and does not close what it has before when it is known already.
func TestListsAndSuccessors(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 7, unique)
	r.prepare(alice, "z", 7, unique)
	r.hookDone(100, config.EventSessionPreDown)
	r.lists("", "z").is()
	r.destroyed(100).is("hook session.down 100", "alice ← ERROR", "# refused z: "+denied)

	r = newRig(t, quiet, Options{}).lists("", "z")
	r.up(alice, "a", 7, unique)
	r.prepare(alice, "z", 7, unique).is("alice ← ERROR", "# refused z: "+denied)
	r.prepare(alice, "a", 7, unique).is("100 ← TUNNEL 100 features 1", "100 ← PMTU_NTFY 1400")
}
