package datapath_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/datapath"
	"tunneldigger/src/datapath/fake"
)

const s = time.Second

// rig has Interfaces over a kernel that is none, with two bridges and some tunnels.
type rig struct {
	*datapath.Interfaces
	t      *testing.T
	kernel *fake.Kernel
	now    time.Duration
}

func newRig(t *testing.T) *rig {
	r := &rig{Interfaces: datapath.New(), t: t, kernel: fake.New(), now: 1000 * s}
	r.OpenWith(r.kernel.Conn(), r.kernel, r.kernel.Monitor())
	r.kernel.Add("br-a", "bridge", 1400)
	r.kernel.Add("br-b", "bridge", 1400)
	r.kernel.Add("bat0", "batadv", 1400)
	return r
}

func request(id uint32) *datapath.Request {
	return &datapath.Request{
		ID: id, PeerID: 7, Session: id, PeerSession: 7, Interface: name(id),
		Local: netip.MustParseAddrPort("127.0.0.1:53"), Peer: netip.MustParseAddrPort("127.0.0.2:4711"),
	}
}

func name(id uint32) string { return fmt.Sprintf("l2tp%d-%d", id, id) }

// add makes the interface of a tunnel, which is down.
func (r *rig) add(id uint32) *fake.Link {
	l := r.kernel.Add(name(id), "l2tpeth", 1446)
	l.Tunnel = id
	r.Add(request(id), l.Index)
	return l
}

// up makes one that is up.
func (r *rig) up(id uint32, w datapath.Want) *fake.Link {
	r.t.Helper()
	l := r.add(id)
	r.Set(r.now, id, w)
	if err := r.Raise(r.now, id); err != nil {
		r.t.Fatal(err)
	}
	return l
}

// fails has the kernel refuse one kind of step from now on; "": none.
func (r *rig) fails(step string, errno unix.Errno) {
	r.kernel.Fail = func(name string) unix.Errno {
		if name == step {
			return errno
		}
		return 0
	}
}

// run lets time pass and has all be done that is due.
func (r *rig) run(d time.Duration) {
	for end := r.now + d; ; {
		at, ok := r.Due()
		if !ok || at > end {
			r.now = end
			return
		}
		r.now = max(r.now, at)
		r.Tick(r.now)
		if next, ok := r.Due(); ok && next <= r.now && len(r.kernel.Steps) > 100000 {
			r.t.Fatal("Tick leaves something due for ever")
		}
	}
}

// events gives what has happened, in words.
func (r *rig) events() (lines []string) {
	for _, ev := range r.Events() {
		text := [...]string{"", "lost", "destroyed", "mtu failed", "attach failed", "limit failed", "away", "back", "misfit", "nearly full",
			"gone", "overrun", "watch failed", "made", "removed", "stays", "foreign", "bridge failed"}[ev.Kind]
		if ev.Tunnel != 0 {
			text += fmt.Sprintf(" %d", ev.Tunnel)
		}
		if ev.Link != "" {
			text += " " + ev.Link
		}
		if ev.Err != nil {
			text += ": " + ev.Err.Error()
		}
		lines = append(lines, text)
	}
	return lines
}

func (r *rig) is(want ...string) {
	r.t.Helper()
	if got := r.events(); !slices.Equal(got, want) {
		r.t.Errorf("events %q, want %q", got, want)
	}
}

// has compares an interface with what is wanted of it.
func (r *rig) has(l *fake.Link, w datapath.Want) {
	r.t.Helper()
	master := ""
	if m := r.kernel.Links[l.Master]; m != nil {
		master = m.Name
	}
	if is := (datapath.Want{MTU: l.MTU, Bridge: master, Isolated: l.Isolated, Kbit: l.Kbit}); is != w || !l.Up {
		r.t.Errorf("%s is %+v, up: %v; want %+v", l.Name, is, l.Up, w)
	}
}

// wants are all kinds of wishes.
var wants = []datapath.Want{
	{MTU: 1446},
	{MTU: 1400, Kbit: 500},
	{MTU: 1446, Bridge: "br-a"},
	{MTU: 1346, Bridge: "br-a", Isolated: true},
	{MTU: 1346, Bridge: "br-b", Isolated: true, Kbit: 800},
	{MTU: 1280, Bridge: "br-b", Kbit: 700},
	{MTU: 1300, Bridge: "bat0"},
}

// From each wish to each other one: what differs is done, and nothing else.
func TestSet(t *testing.T) {
	for _, from := range wants {
		for _, to := range wants {
			r := newRig(t)
			l := r.up(100, from)
			r.has(l, from)
			r.kernel.Steps = nil
			r.Set(r.now, 100, to)
			r.has(l, to)
			if steps := r.kernel.Steps; from == to && len(steps) > 0 {
				t.Errorf("%+v once more: %q", to, steps)
			}
			if at, ok := r.Due(); ok {
				t.Errorf("from %+v to %+v: something is due at %v", from, to, at)
			}
		}
	}
}

// Whatever step fails on the way from one wish to another, it is told once, and when it works again all is as it is wanted.
func TestSetFailsAtEveryStep(t *testing.T) {
	tried := 0
	for _, step := range []string{"mtu", "attach", "detach", "isolate", "up", "limit", "clear limit", "index", "find"} {
		for _, from := range wants {
			for _, to := range wants {
				r := newRig(t)
				l := r.up(100, from)
				r.events()
				r.fails(step, unix.ENOBUFS)
				r.Set(r.now, 100, to)
				if slices.Index(r.kernel.Steps, step) < 0 || from == to {
					continue
				}
				r.run(60 * s)
				failures := 0
				for _, line := range r.events() {
					if strings.Contains(line, "failed") {
						failures++
					}
				}
				r.kernel.Fail = nil
				r.run(300 * s)
				r.has(l, to)
				if failures > 3 {
					t.Errorf("%s fails from %+v to %+v: told %d times", step, from, to, failures)
				}
				if st := r.State(100); st.Failed != "" || st.Waits != "" || st.Attached != to.Bridge {
					t.Errorf("%s failed from %+v to %+v: state %+v", step, from, to, st)
				}
				if _, ok := r.Due(); ok {
					t.Errorf("%s failed from %+v to %+v: something is due", step, from, to)
				}
				tried++
			}
		}
	}
	if tried < 50 {
		t.Errorf("%d ways were tried", tried)
	}
}

// An interface that could not be isolated is no port of the bridge either: the others would see its frames.
func TestIsolationIsPartOfAttaching(t *testing.T) {
	r := newRig(t)
	l := r.up(100, datapath.Want{MTU: 1400})
	r.fails("isolate", unix.EIO)
	r.Set(r.now, 100, datapath.Want{MTU: 1400, Bridge: "br-a", Isolated: true})
	if l.Master != 0 || r.State(100).Waits != "br-a" {
		t.Errorf("%+v, state %+v", l, r.State(100))
	}
}

// What fails for long is tried less and less often.
func TestTriesGetRare(t *testing.T) {
	r := newRig(t)
	r.up(100, datapath.Want{MTU: 1400})
	r.kernel.Steps = nil
	r.fails("limit", unix.ENOENT)
	r.Set(r.now, 100, datapath.Want{MTU: 1400, Kbit: 100})
	r.run(600 * s)
	if n := len(r.kernel.Steps); n < 5 || n > 15 {
		t.Errorf("%d tries in ten minutes", n)
	}
	if lines := r.events(); len(lines) != 1 || !strings.Contains(lines[0], "kmod-sched-core") {
		t.Errorf("told %q", lines)
	}
}

// Raise fails with what the kernel says, whatever step that is, but for a limit; nothing is tried again.
func TestRaiseFails(t *testing.T) {
	for _, step := range []string{"mtu", "attach", "isolate", "up"} {
		r := newRig(t)
		r.add(100)
		r.Set(r.now, 100, datapath.Want{MTU: 1400, Bridge: "br-a", Isolated: true, Kbit: 100})
		r.fails(step, unix.EXFULL)
		err := r.Raise(r.now, 100)
		if !errors.Is(err, unix.EXFULL) || step == "attach" && !strings.Contains(err.Error(), "a bridge takes no more") {
			t.Errorf("%s fails: %v", step, err)
		}
		if _, ok := r.Due(); ok {
			t.Errorf("%s failed, and something is due", step)
		}
		r.is()
	}
	r := newRig(t)
	l := r.add(100)
	r.fails("limit", unix.ENOENT)
	r.Set(r.now, 100, datapath.Want{MTU: 1400, Kbit: 100})
	if err := r.Raise(r.now, 100); err != nil || !l.Up {
		t.Errorf("raised without a limit: %v", err)
	}
	r.kernel.Fail = nil
	r.run(2 * s)
	r.has(l, datapath.Want{MTU: 1400, Kbit: 100})
	// And a master that is not there.
	r.add(101)
	r.Set(r.now, 101, datapath.Want{MTU: 1400, Bridge: "br-x"})
	if err := r.Raise(r.now, 101); !errors.Is(err, unix.ENODEV) {
		t.Errorf("raised into a bridge that is not there: %v", err)
	}
}

// The fault that this way of doing it ends: the MTU changes while the bridge for the new one is away.
func TestMTUChangesWhileItsBridgeIsAway(t *testing.T) {
	r := newRig(t)
	l := r.up(100, datapath.Want{MTU: 1400, Bridge: "br-a"})
	r.kernel.Remove(r.kernel.Named("br-b"))
	r.Watch(r.now)
	r.events()
	r.Set(r.now, 100, datapath.Want{MTU: 1346, Bridge: "br-b", Isolated: true})
	r.is("away br-b")
	if l.Master != 0 || l.MTU != 1346 || r.State(100).Waits != "br-b" {
		t.Errorf("%+v, state %+v", l, r.State(100))
	}
	r.run(10 * s)
	r.is()
	r.kernel.Add("br-b", "bridge", 1346)
	r.run(2 * s)
	r.is("back br-b")
	r.has(l, datapath.Want{MTU: 1346, Bridge: "br-b", Isolated: true})
	if _, ok := r.Due(); ok {
		t.Error("something is due")
	}
}

// A bridge that is made anew gets its tunnels back, in more than one turn, and also those for which that fails at first.
func TestBridgeMadeAnew(t *testing.T) {
	r := newRig(t)
	var all []*fake.Link
	want := datapath.Want{MTU: 1400, Bridge: "br-a", Isolated: true}
	for id := uint32(100); id < 180; id++ {
		all = append(all, r.up(id, want))
	}
	r.kernel.Remove(r.kernel.Named("br-a"))
	r.Watch(r.now)
	r.is("away br-a", "gone br-a")
	r.kernel.Add("br-a", "bridge", 1400)
	r.fails("attach", unix.ENOMEM)
	r.run(3 * s)
	if lines := r.events(); len(lines) != 81 { // back, and each tunnel
		t.Errorf("%d events: %q", len(lines), lines[:3])
	}
	r.kernel.Fail = nil
	r.run(30 * s)
	for _, l := range all {
		r.has(l, want)
	}
	r.kernel.Remove(r.kernel.Named("br-a"))
	r.Watch(r.now)
	r.kernel.Add("br-a", "bridge", 1400)
	r.now += 2 * s
	r.kernel.Steps = nil
	r.Tick(r.now)
	attached := 0
	for _, step := range r.kernel.Steps {
		if step == "attach" {
			attached++
		}
	}
	if attached == 0 || attached > 32 {
		t.Errorf("%d are attached in one turn", attached)
	}
}

// Interfaces that go by themselves are lost, those that were to go are destroyed; of one that was forgotten nobody hears.
func TestGone(t *testing.T) {
	r := newRig(t)
	want := datapath.Want{MTU: 1400, Bridge: "br-a"}
	a, b, c, d := r.up(100, want), r.up(101, want), r.up(102, want), r.up(103, want)
	r.Remove(101)
	r.is()
	r.Forget(102)
	for _, l := range []*fake.Link{a, b, c} {
		r.kernel.Remove(l)
	}
	r.Watch(r.now)
	r.is("lost 100", "destroyed 101")
	r.Remove(100)
	r.is("destroyed 100")
	// The kernel did not remove 103 in time, and its ID is another tunnel's by now.
	r.Remove(103)
	e := r.kernel.Add("l2tp103-1", "l2tpeth", 1446)
	again := request(103)
	again.Interface = e.Name
	r.Add(again, e.Index)
	r.kernel.Remove(d)
	r.Watch(r.now)
	r.is()
	r.Remove(103)
	r.kernel.Remove(e)
	r.Watch(r.now)
	r.is("destroyed 103")
	if r.Count() != 0 {
		t.Errorf("%d interfaces are left", r.Count())
	}
}

// After an overrun all is compared by index: what was made anew under the same name is another interface.
func TestOverrun(t *testing.T) {
	r := newRig(t)
	want := datapath.Want{MTU: 1400, Bridge: "br-a"}
	a, b := r.up(100, want), r.up(101, want)
	for _, l := range []*fake.Link{a, r.kernel.Named("br-a")} {
		r.kernel.Remove(l)
	}
	r.kernel.Add(a.Name, "l2tpeth", 1446)
	r.kernel.Add("br-a", "bridge", 1400)
	r.kernel.Overrun()
	r.Watch(r.now)
	r.is("lost 100", "away br-a", "overrun")
	r.run(2 * s)
	r.is("back br-a")
	r.has(b, want)
	r.kernel.Overrun()
	r.fails("list", unix.EIO)
	r.Watch(r.now)
	if lines := r.events(); len(lines) != 1 || !strings.HasPrefix(lines[0], "watch failed") {
		t.Errorf("told %q", lines)
	}
}

// What an earlier process has made is found by name, and brought where it is wanted: into a bridge that was made anew, out of one that is not
// wanted any more. Where others have attached an interface it stays.
func TestAdopt(t *testing.T) {
	r := newRig(t)
	link := func(id uint32, master string) *fake.Link {
		l := r.kernel.Add(name(id), "l2tpeth", 1400)
		l.Up = true
		if m := r.kernel.Named(master); m != nil {
			l.Master = m.Index
		}
		return l
	}
	r.kernel.Add("br-other", "bridge", 1500)
	attached, detached, elsewhere, unwanted := link(100, "br-a"), link(101, ""), link(102, "br-other"), link(103, "br-b")
	inherit := func(id uint32, is, want datapath.Want, k datapath.Known) {
		k.Is = is
		r.Inherit(request(id), k)
		r.Set(r.now, id, want)
	}
	sure := datapath.Known{Up: true, Sure: true}
	a := datapath.Want{MTU: 1400, Bridge: "br-a", Isolated: true, Kbit: 100}
	attached.Isolated, attached.Kbit, detached.Kbit = true, 100, 100
	inherit(100, a, a, sure)
	inherit(101, a, a, sure)
	plain := datapath.Want{MTU: 1400}
	inherit(102, plain, plain, sure)
	inherit(103, datapath.Want{MTU: 1400, Bridge: "br-b"}, plain, sure)
	inherit(104, plain, plain, sure)                                    // gone
	inherit(105, plain, plain, datapath.Known{Up: true, Closing: true}) // gone, as it was to
	crashed := link(106, "br-a")                                        // where nobody says what it had
	inherit(106, plain, datapath.Want{MTU: 1400, Bridge: "br-a", Isolated: true}, datapath.Known{Up: true})
	failed := link(108, "br-a") // where its MTU and its limit could not be set before
	inherit(108, a, a, datapath.Known{Up: true, Sure: true, Failed: true})
	failed.MTU = 1300
	down := r.kernel.Add(name(107), "l2tpeth", 1446)
	inherit(107, datapath.Want{}, a, datapath.Known{})
	r.kernel.Steps = nil
	if err := r.Adopt(r.now, func(name string) bool { return strings.HasPrefix(name, "br-") && name != "br-other" }); err != nil {
		t.Fatal(err)
	}
	r.is("lost 104", "destroyed 105")
	r.run(0)
	r.has(attached, a)
	r.has(detached, a)
	r.has(failed, a)
	r.has(elsewhere, datapath.Want{MTU: 1400, Bridge: "br-other"})
	r.has(unwanted, plain)
	r.has(crashed, datapath.Want{MTU: 1400, Bridge: "br-a", Isolated: true})
	if down.Up {
		t.Error("one that was not up yet is")
	}
	if err := r.Raise(r.now, 107); err != nil {
		t.Error(err)
	}
	r.has(down, a)
}

// What does not fit together is told once.
func TestMisfit(t *testing.T) {
	r := newRig(t)
	r.kernel.Named("br-a").MTU = 1500
	r.up(100, datapath.Want{MTU: 1400, Bridge: "br-a"})
	r.up(101, datapath.Want{MTU: 1300, Bridge: "br-a"})
	r.is("misfit br-a")
	for id := uint32(200); id < 200+900; id++ {
		r.up(id, datapath.Want{MTU: 1500, Bridge: "br-a"})
	}
	r.is("nearly full br-a")
	if r.kernel.Named("br-a").MTU != 1500 {
		t.Error("the bridge has another MTU")
	}
}

// IDs are numbers up to the largest, on machines of 32 bits as well.
func TestLargeIDs(t *testing.T) {
	r := newRig(t)
	for _, id := range []uint32{1 << 31, 3000000000, ^uint32(0)} {
		r.Set(r.now, id, datapath.Want{MTU: 1400})
		r.Remove(id)
		r.Forget(id)
		if err := r.Raise(r.now, id); err != nil || r.State(id) != (datapath.State{}) {
			t.Errorf("%d: %v, %+v", id, err, r.State(id))
		}
	}
	r.is()
}
