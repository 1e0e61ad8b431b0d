package status

import (
	"errors"
	"net/netip"
	"testing"

	"tunneldigger/src/broker"
)

// A mark is of one tunnel, counts in its section, and goes with what it says; each kind of loose tunnel is said once.
func TestMarks(t *testing.T) {
	var m Marks
	facts := func(id uint32, mtu int) *broker.Facts {
		return &broker.Facts{Serial: uint64(id) + 1000, Tunnel: id, MTU: mtu, Local: netip.MustParseAddrPort("192.0.2.1:53")}
	}
	for _, c := range []struct {
		section    int
		id         uint32
		mtu        int
		loose      bool
		fresh, say bool
	}{
		{0, 1, 1400, true, true, true}, {0, 1, 1400, true, false, false}, {0, 2, 1400, true, true, false}, {0, 3, 1380, true, true, true},
		{1, 4, 1400, true, true, true}, {1, 5, 1400, false, false, false}, {0, 3, 1380, false, false, false}, {0, 3, 1380, true, true, false},
	} {
		if fresh, say := m.Loose(c.section, facts(c.id, c.mtu), c.loose, true); fresh != c.fresh || say != c.say {
			t.Errorf("%+v: %v, %v", c, fresh, say)
		}
	}
	m.Anew()
	m.Loose(0, facts(3, 1380), false, true)
	if _, say := m.Loose(0, facts(3, 1380), true, true); !say {
		t.Error("not said anew")
	}
	if fresh, say := m.Loose(2, facts(9, 1300), true, false); fresh || say { // the program before has counted it
		t.Errorf("%v, %v", fresh, say)
	}
	if _, say := m.Loose(2, facts(10, 1300), true, true); !say {
		t.Error("not said, as one was counted before")
	}
	counts := func(section, loose, failed int) {
		t.Helper()
		if l, f := m.Count(section); l != loose || f != failed {
			t.Errorf("section %d: %d loose, %d failed, want %d and %d", section, l, f, loose, failed)
		}
	}
	m.Hook(0, facts(1, 1400), "session.up", errors.New("exit status 3"))
	m.Hook(0, facts(1, 1400), "session.mtu-changed", nil) // of another event
	counts(0, 3, 1)
	counts(1, 1, 0)
	one := Tunnel{TunnelInfo: broker.TunnelInfo{Facts: *facts(1, 1400)}}
	if m.Show(0, &one); one.Unattached != "no bridge section fits MTU 1400 and port 53" || one.HookFailed != "session.up: exit status 3" || m.Failed(1) != one.HookFailed {
		t.Errorf("%+v", one)
	}
	another := Tunnel{TunnelInfo: broker.TunnelInfo{Facts: broker.Facts{Serial: 9, Tunnel: 1}}}
	if m.Show(0, &another); another.Unattached != "" || another.HookFailed != "" {
		t.Errorf("the next tunnel of the ID: %+v", another)
	}
	m.Hook(0, facts(1, 1400), "session.up", nil)
	m.Forget(2)
	counts(0, 2, 0)
	m.Restore(1, facts(6, 1400), "session.up: killed")
	counts(1, 1, 1)
	if m.Failed(6) != "session.up: killed" {
		t.Errorf("%q", m.Failed(6))
	}
}

// The last refusals, of which those of one client for one reason are one.
func TestRefusals(t *testing.T) {
	var r Refusals
	at := netip.MustParseAddrPort("192.0.2.1:1234")
	note := func(uuid string, why broker.Reason) {
		r.Note(0, &broker.Effect{Note: broker.NoteUp, Facts: broker.Facts{UUID: "stands"}})
		r.Note(0, &broker.Effect{Note: broker.NoteRefused, Reason: why, Facts: broker.Facts{UUID: uuid, Peer: at}})
	}
	for i := range maxRefusals + 2 {
		note(string(rune('a'+i)), broker.RefusedFull)
	}
	note("e", broker.RefusedFull)
	note("e", broker.RefusedRate)
	got := r.Shown(0, func(u string) string { return "<" + u + ">" }, false)
	if len(got) != maxRefusals || got[0].UUID != "<e>" || got[0].Reason != broker.RefusedRate || got[0].Count != 1 || got[1].Count != 2 || got[2].UUID != "<j>" || got[0].Peer.IsValid() {
		t.Errorf("%+v", got)
	}
	if got := r.Shown(0, func(u string) string { return u }, true); got[0].Peer != at {
		t.Errorf("%+v", got[0])
	}
}
