package broker

import (
	"testing"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// A client that comes back on the same addresses and ports with another UUID,
// ID or flags: the old tunnel is closed with its hooks, and the new one made
// when the old interface is gone. No ERROR: the old client is not there any
// more, and the new one would take it for its own and avoid this broker.
func TestSuccessor(t *testing.T) {
	for _, test := range []struct {
		name, uuid string
		id         uint32
		f          wire.Features
		create     string
	}{
		{"another UUID", "z", 7, unique, "create l2tp101-101 for alice 7-7 mtu 1400"},
		{"another ID", "a", 8, unique, "create l2tp101-101 for alice 8-8 mtu 1400"},
		{"without flags", "a", 7, 0, "create l2tp101-1 for alice 7-1 mtu 1400"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, quiet, Options{})
			r.up(alice, "a", 7, unique)
			r.prepare(alice, test.uuid, test.id, test.f).is(
				"# closed 100 a: the client came back with another identity", "hook session.pre-down 100")
			r.prepare(alice, test.uuid, test.id, test.f).is() // it repeats itself
			r.now += 2 * s
			r.hookDone(100, config.EventSessionPreDown).is("destroy 100")
			r.prepare(alice, test.uuid, test.id, test.f).is()
			r.now += 2 * s
			r.destroyed(100).is("hook session.down 100", test.create)
			r.made(101)
			if got := r.lines()[0]; got[:len("101 ← TUNNEL")] != "101 ← TUNNEL" {
				t.Errorf("got %q", got)
			}
			r.hookDone(100, config.EventSessionDown).is()
			if r.Tunnels() != 1 || r.pairs[alice] != r.tunnels.get(101) {
				t.Errorf("%d tunnels", r.Tunnels())
			}
		})
	}
}

// A client that starts anew while its old tunnel is on its way out waits for
// that, also with the identity that it had.
func TestSuccessorOfClosing(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 7, unique)
	r.socket(100, wire.AppendErrorReason(nil, wire.ReasonClientShutdown)).is("# closed 100 a: the client closed it", "hook session.pre-down 100")
	r.prepare(alice, "a", 7, unique).is()
	r.hookDone(100, config.EventSessionPreDown)
	r.destroyed(100).is("hook session.down 100", "create l2tp101-101 for alice 7-7 mtu 1400")
}

// It is gone: nothing is made for it.
func TestSuccessorStale(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 7, unique)
	r.prepare(alice, "z", 7, unique)
	r.now += 7 * s
	r.hookDone(100, config.EventSessionPreDown)
	r.destroyed(100).is("hook session.down 100")
}

func TestSuccessorOfVerifying(t *testing.T) {
	r := newRig(t, quiet, Options{Verify: true})
	r.prepare(alice, "a", 7, unique).is("hook session.verify 100")
	r.prepare(alice, "z", 7, unique).is("hook session.verify 101")
	if r.Tunnels() != 1 {
		t.Errorf("%d tunnels", r.Tunnels())
	}
}

// While the kernel is at it nothing can be undone; the client must not hear of
// a tunnel that is not for it.
func TestSuccessorOfCreating(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.prepare(alice, "a", 7, 0)
	r.prepare(alice, "z", 7, unique).is()
	r.made(100).is("# closed 100 a: the client came back with another identity", "destroy 100")
	r.destroyed(100).is("create l2tp101-101 for alice 7-7 mtu 1400")

	// It has changed its mind back: the last word counts.
	r = newRig(t, quiet, Options{})
	r.prepare(alice, "a", 7, 0)
	r.prepare(alice, "z", 7, unique)
	r.prepare(alice, "a", 7, 0).is()
	r.made(100).is("100 ← TUNNEL 100 features 0", "raise 100 mtu 1400", "100 ← PMTU_NTFY 1400", "# up 100 a", "hook session.up 100")
}

func TestSuccessorInQueue(t *testing.T) {
	c := quiet
	c.RateInterval = s
	r := newRig(t, c, Options{})
	r.up(bob, "b", 1, unique)
	r.prepare(alice, "a", 7, unique).is("# queued a")
	r.prepare(alice, "z", 8, unique).is("# queued z")
	if r.Waiting() != 1 {
		t.Errorf("%d wait", r.Waiting())
	}
	same(t, r.run(s), "1 create l2tp101-101 for alice 8-8 mtu 1400")
}

// What the newcomer asks for is checked before the old tunnel is touched.
func TestSuccessorNotAcceptable(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 7, unique)
	r.prepare(alice, "a b", 7, unique).is("alice ← ERROR", `# refused a\x20b: the UUID is not acceptable`)
	r.prepare(alice, "a", 7, unique).is("100 ← TUNNEL 100 features 1", "100 ← PMTU_NTFY 1400")
}
