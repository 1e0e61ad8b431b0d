package broker

import (
	"testing"

	"tunneldigger/src/wire"
)

// The kernel has the ID already: it is set aside, and the client gets another
// without knowing.
func TestFaultExists(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.prepare(alice, "a", 7, unique)
	r.failed(100, FaultExists).is("# set aside 100 a", "create l2tp101-101 for alice 7-7 mtu 1400")
	r.made(101).is("101 ← TUNNEL 101 features 1", "raise 101 mtu 1400", "101 ← PMTU_NTFY 1400", "# up 101 a", "hook session.up 101")
	for _, from := range []pair{bob, carol} {
		r.up(from, "x", 1, unique)
	}
	r.prepare(dave, "d", 1, unique).is("dave ← ERROR", "# refused d: all tunnels are in use")
	r.now += asideTime - 1
	r.prepare(dave, "d", 1, unique).is("dave ← ERROR", "# refused d: all tunnels are in use")
	r.now++
	r.prepare(dave, "d", 1, unique).is("create l2tp100-100 for dave 1-1 mtu 1400")
}

func TestFaultExistsAgainAndAgain(t *testing.T) {
	c := quiet
	c.MaxTunnels = 16
	r := newRig(t, c, Options{})
	r.prepare(alice, "a", 7, unique)
	for id := uint32(100); id < 100+maxTries-1; id++ {
		r.failed(id, FaultExists)
	}
	r.failed(103, FaultExists).is("# set aside 103 a", "alice ← ERROR", "# refused a: the tunnel could not be made")
	if r.Tunnels() != 0 || len(r.pairs) != 0 || r.ids.count != 12 || len(r.ids.aside) != 4 {
		t.Errorf("%d tunnels, %d free IDs, %d aside", r.Tunnels(), r.ids.count, len(r.ids.aside))
	}
	// With no other ID left it ends as well.
	r = newRig(t, quiet, Options{})
	for _, from := range []pair{bob, carol, dave} {
		r.up(from, "x", 1, unique)
	}
	r.prepare(alice, "a", 7, unique)
	r.failed(103, FaultExists).is("# set aside 103 a", "alice ← ERROR", "# refused a: the tunnel could not be made")
}

// Any other fault refuses one client and costs no ID.
func TestFaultOther(t *testing.T) {
	c := quiet
	c.MaxTunnels = 1
	r := newRig(t, c, Options{})
	for i := 0; i < 3; i++ {
		r.prepare(alice, "a", 7, unique).is("create l2tp100-100 for alice 7-7 mtu 1400")
		r.failed(100, FaultOther).is("alice ← ERROR", "# refused a: the tunnel could not be made")
	}
	if r.Tunnels() != 0 || len(r.pairs) != 0 || r.ids.count != 1 {
		t.Errorf("%d tunnels, %d free IDs", r.Tunnels(), r.ids.count)
	}
}

// A kernel that can't give sessions to old clients reports so from then on.
func TestFaultOldSession(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 1, 0)
	r.prepare(bob, "b", 1, 0)
	r.failed(101, FaultOldSession).is("# no old sessions 101 b", "bob ← ERROR", "# refused b: this kernel can't serve clients without unique session IDs")
	r.listener(carol, wire.AppendUsageRequest(nil, 0)).is("carol ← USAGE 65535")
	r.listener(carol, wire.AppendUsageRequest(nil, unique)).is("carol ← USAGE 16383")
	r.prepare(carol, "c", 1, 0).is("carol ← ERROR", "# refused c: this kernel can't serve clients without unique session IDs")
	r.prepare(carol, "c", 1, unique)
	r.made(102)
	if r.Tunnels() != 2 {
		t.Errorf("%d tunnels: new clients are to be served all the same", r.Tunnels())
	}
}

// Nor does it try in vain for those who wait already, and they cost no turn.
func TestFaultOldSessionQueue(t *testing.T) {
	c := quiet
	c.RateInterval = s
	r := newRig(t, c, Options{})
	r.prepare(alice, "a", 1, 0)
	r.prepare(bob, "b", 1, 0).is("# queued b")
	r.prepare(carol, "c", 1, unique).is("# queued c")
	r.failed(100, FaultOldSession)
	same(t, r.run(s), "1 bob ← ERROR", "1 # refused b: this kernel can't serve clients without unique session IDs", "1 create l2tp101-101 for carol 1-1 mtu 1400")
}

// Every way in which the client can have become another one meanwhile.
func TestFaultWithSuccessor(t *testing.T) {
	for _, f := range []Fault{FaultOther, FaultExists, FaultOldSession} {
		r := newRig(t, quiet, Options{})
		r.prepare(alice, "a", 1, 0)
		r.prepare(alice, "z", 1, unique).is()
		r.failed(100, f)
		if got := only(r.lines(), "create"); len(got) != 1 || got[0] != "create l2tp101-101 for alice 1-1 mtu 1400" {
			t.Errorf("fault %d: got %q", f, r.lines())
		}
		if r.noOld != (f == FaultOldSession) {
			t.Errorf("fault %d: what it says about old clients was lost", f)
		}
		// One that has gone elsewhere meanwhile gets nothing.
		r = newRig(t, quiet, Options{})
		r.prepare(alice, "a", 1, 0)
		r.prepare(alice, "z", 1, unique)
		r.now += 7 * s
		r.failed(100, f)
		if got := only(r.lines(), "create", "ERROR"); len(got) != 0 || r.Tunnels() != 0 {
			t.Errorf("fault %d: got %q for a client that is gone", f, r.lines())
		}
	}
}
