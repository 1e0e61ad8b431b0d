package journal

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/logline"
	"tunneldigger/src/survive"
)

// Every line about a client has as much of who it is as the configuration lets be seen, and each note has words of its own.
func TestWhoIsSeen(t *testing.T) {
	facts := broker.Facts{Tunnel: 7, Session: 7, UUID: "secret", Peer: netip.MustParseAddrPort("192.0.2.1:1234")}
	other := netip.MustParseAddrPort("192.0.2.2:1234")
	for _, seen := range []bool{false, true} {
		var out strings.Builder
		j := New(logline.New(&out, logline.Debug, false), config.Log{Level: config.Debug, Addresses: seen, HideUUIDs: !seen})
		j.Digest(func(string) uint64 { return 0xabcdef0112345678 })
		said := 0
		for n := broker.NoteUp; n <= broker.NoteTwins; n++ {
			j.Note(0, "wan", &broker.Effect{Note: n, Facts: facts, Other: other, Reason: broker.RefusedFull})
			said++
		}
		j.SetupFailed(0, "wan", &facts, errors.New("fault"))
		j.VerifyLate(0, "wan", &facts, true)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != said+2 {
			t.Fatalf("%d lines of %d:\n%s", len(lines), said+2, out.String())
		}
		for _, line := range lines {
			if hidden := !strings.Contains(line, "secret") && !strings.Contains(line, "192.0.2.") && strings.Contains(line, "uuid=12345678"); hidden == seen {
				t.Errorf("who may be seen: %v\n%s", seen, line)
			}
			if seen && !strings.Contains(line, "broker=wan tunnel=7 uuid=secret endpoint=192.0.2.1:1234") {
				t.Errorf("not about whom it should be: %s", line)
			}
		}
		if strings.Contains(out.String(), "192.0.2.2:1234") != seen {
			t.Errorf("the second node: %s", out.String())
		}
	}
}

// What carries a section's frames is worth a warning where the kernel would do it faster.
func TestCarries(t *testing.T) {
	var out strings.Builder
	j := New(logline.New(&out, logline.Info, false), config.Log{})
	auto, own := &config.Broker{Name: "wan"}, &config.Broker{Name: "lan", Datapath: config.DatapathUser}
	j.Carries(auto, false, "")
	j.Carries(own, true, "")
	j.Carries(auto, true, "no module")
	j.Draining(true, false, 0, 5)
	j.Draining(true, true, 9, 5)
	j.Draining(false, true, 0, 5)
	j.Draining(false, false, 0, 5)
	const want = "info: the kernel carries the frames broker=wan\ninfo: the broker carries the frames itself broker=lan\n" +
		"warning: the broker carries the frames itself: with the kernel it would be faster broker=wan error=\"no module\"\n" +
		"info: draining tunnels=5\ninfo: draining tunnels=5 close_rate=9\ninfo: draining has ended tunnels=5\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// Another configuration holds from the next line on, its level included.
func TestConfigure(t *testing.T) {
	var out strings.Builder
	j := New(logline.New(&out, logline.Info, false), config.Log{})
	j.Configure(config.Log{Level: config.Error})
	j.Changed([]config.Change{{Section: "broker 'wan'", Option: "pmtu", Old: "0", New: "1400"}})
	j.Configure(config.Log{Level: config.Info})
	j.Changed([]config.Change{{Section: "broker 'wan'", Option: "pmtu", Old: "1400", New: "0"}, {Section: "hooks", Gone: true}})
	const want = "info: configuration changed broker=wan option=pmtu from=1400 to=0\ninfo: section removed section=hooks\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// What is lost is counted by reason, always in the same order.
func TestSurvived(t *testing.T) {
	var out strings.Builder
	j := New(logline.New(&out, logline.Info, false), config.Log{})
	j.Survived(0, 3, [survive.LossCount]int{survive.LostOld: 2, survive.LostDamaged: 1})
	j.Survived(0, 1, [survive.LossCount]int{})
	j.Survived(7, 0, [survive.LossCount]int{})
	j.Survived(7, 2, [survive.LossCount]int{})
	const begin = "warning: the broker before this one ended without a word tunnels_kept="
	if want := begin + "0 tunnels_made_again=3 tunnels_lost=3 because=\"1 damaged, 2 older than tunnel_timeout\"\n" + begin + "0 tunnels_made_again=1 tunnels_lost=0\n" +
		begin + "7 tunnels_made_again=0 tunnels_lost=0\n" + begin + "7 tunnels_made_again=2 tunnels_lost=0\n"; out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
