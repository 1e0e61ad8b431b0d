package journal

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/datapath"
	"tunneldigger/src/datapath/kernel"
	"tunneldigger/src/listen"
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

// Where a section listens is said when that is more than before, and what is in its way whenever it is news.
func TestListens(t *testing.T) {
	var out strings.Builder
	j := New(logline.New(&out, logline.Debug, false), config.Log{Level: config.Debug})
	j.Listens("wan", "", 0, &listen.News{Waits: []string{"one", "two"}})
	j.Listens("wan", "", 0, &listen.News{Missing: errors.New("no bridge")})
	j.Listens("wan", "", 3, &listen.News{Listens: true})
	j.Listens("wan", "eth0", 2, &listen.News{Listens: true, Lacks: 1})
	j.ListsLate(0, nil)
	j.ListsLate(0, errors.New("no inotify"))
	j.SendFailed(0, "wan", errors.New("no route"))
	const want = "warning: waiting to listen broker=wan error=one\nwarning: waiting to listen broker=wan error=two\n" +
		"warning: waiting to listen broker=wan error=\"no bridge\"\ninfo: listening broker=wan addresses=3\n" +
		"info: listening broker=wan addresses=2 missing=1 interface=eth0\nwarning: changes of lists are seen late error=\"no inotify\"\n" +
		"debug: can't send broker=wan error=\"no route\"\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// A tunnel that nobody knows is said to be whose it is, and what was done.
func TestSwept(t *testing.T) {
	var out strings.Builder
	j := New(logline.New(&out, logline.Debug, false), config.Log{})
	j.Swept([]kernel.Left{{ID: 1, PID: -1}, {ID: 2, PID: 77}, {ID: 3, Removed: true}, {ID: 4}})
	j.Swept([]kernel.Left{{ID: 1, Unknown: errors.New("no /proc")}, {ID: 2, Unknown: errors.New("no /proc")}})
	const want = "warning: a tunnel in the ID range is not over UDP, and not ours: it is left alone tunnel=1\n" +
		"warning: a tunnel in the ID range belongs to another process tunnel=2 pid=77\ninfo: removed a tunnel that belonged to nobody tunnel=3\n" +
		"warning: tunnels in the ID range are left alone: can't tell whose they are count=2 error=\"no /proc\"\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// What could not be brought about of a tunnel is said with what was wanted.
func TestInterface(t *testing.T) {
	var out strings.Builder
	j := New(logline.New(&out, logline.Debug, false), config.Log{})
	fault := errors.New("fault")
	want := datapath.Want{MTU: 1400, Bridge: "br-mesh", Kbit: 500}
	for _, ev := range []datapath.Event{
		{Kind: datapath.MTUFailed, Want: want, Err: fault}, {Kind: datapath.AttachFailed, Want: want, Err: fault}, {Kind: datapath.LimitFailed, Want: want, Err: fault},
		{Kind: datapath.Misfit, Link: "br-mesh", MTU: 1500, TunnelMTU: 1400}, {Kind: datapath.NearlyFull, Link: "br-mesh", Ports: 1000},
		{Kind: datapath.BridgeStays, Link: "br-mesh", Err: errors.New("eth0")}, {Kind: datapath.LinkGone, Link: "eth0"},
	} {
		j.Interface(0, &ev, "tunnel", 7)
	}
	const said = "error: can't change a tunnel's MTU tunnel=7 mtu=1400 error=fault\nerror: can't bring a tunnel to its bridge tunnel=7 master=br-mesh error=fault\n" +
		"error: can't limit a tunnel's bandwidth tunnel=7 kbit=500 error=fault\n" +
		"warning: the interface's MTU is larger than its tunnels': larger packets will be lost tunnel=7 interface=br-mesh mtu=1500 tunnel_mtu=1400\n" +
		"warning: the bridge is nearly full tunnel=7 interface=br-mesh tunnels=1000 ports=1023\n" +
		"warning: the bridge has no tunnels and stays, as others use it tunnel=7 interface=br-mesh by=eth0\n"
	if out.String() != said {
		t.Errorf("%q, want %q", out.String(), said)
	}
}
