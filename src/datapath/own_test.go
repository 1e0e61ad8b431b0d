package datapath_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/datapath"
	"tunneldigger/src/datapath/fake"
	"tunneldigger/src/link"
)

const alias = "tunneldigger-broker here"

// owner is a rig whose broker makes the bridges diggerMTU, and all.
type owner struct {
	*rig
	own datapath.Own
}

func newOwner(t *testing.T) *owner {
	o := &owner{newRig(t), datapath.Own{
		Addresses: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24"), netip.MustParsePrefix("2001:db8::1/64")}, Table: "142", Priority: 1000,
	}}
	o.makes()
	return o
}

func (o *owner) makes() {
	o.MakeBridges(alias, func(name string) *datapath.Own {
		mtu, sized := strings.CutPrefix(name, "digger")
		if !sized && name != "all" {
			return nil
		}
		own := o.own
		own.MTU, _ = strconv.Atoi(mtu)
		return &own
	})
}

// sums up what the kernel has of bridges, addresses and rules, apart from those that were there.
func (o *owner) sum() string {
	var parts []string
	for _, l := range o.kernel.Links {
		if l.Kind == "bridge" && !strings.HasPrefix(l.Name, "br-") {
			parts = append(parts, fmt.Sprintf("%s %d up=%v %q", l.Name, l.MTU, l.Up, l.Alias))
		}
	}
	for _, a := range o.kernel.Addresses {
		name := "?"
		if l := o.kernel.Links[a.Index]; l != nil {
			name = l.Name
		}
		parts = append(parts, fmt.Sprintf("%s %v by %d", name, a.Prefix, a.Protocol))
	}
	for _, r := range o.kernel.Rules {
		parts = append(parts, fmt.Sprintf("%s to %d at %d by %d %v", r.Interface, r.Table, r.Priority, r.Protocol, r.IPv6))
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

func (o *owner) whole(mtus ...int) string {
	var parts []string
	for _, mtu := range mtus {
		name := fmt.Sprint("digger", mtu)
		parts = append(parts, fmt.Sprintf("%s %d up=true %q", name, mtu, alias))
		for _, a := range o.own.Addresses {
			parts = append(parts, fmt.Sprintf("%s %v by 116", name, a))
		}
		if o.own.Table != "" {
			for _, six := range []bool{false, true} {
				parts = append(parts, fmt.Sprintf("%s to %s at %d by 116 %v", name, o.own.Table, o.own.Priority, six))
			}
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

func (o *owner) sums(want, what string) {
	o.t.Helper()
	if got := o.sum(); got != want {
		o.t.Errorf("%s: the kernel has\n\t%s\nwant\n\t%s", what, got, want)
	}
}

func sized(mtu int) datapath.Want {
	return datapath.Want{MTU: mtu, Bridge: fmt.Sprint("digger", mtu), Isolated: true}
}

// A bridge is made when the first tunnel wants it, is there for the others, follows the tunnel to its MTU, and goes when it is empty.
func TestBridgesOfTheBrokersOwn(t *testing.T) {
	o := newOwner(t)
	a, b := o.up(100, sized(1446)), o.up(101, sized(1346))
	o.is("made digger1446", "made digger1346")
	o.sums(o.whole(1446, 1346), "two tunnels")
	o.has(a, sized(1446))
	o.has(b, sized(1346))
	o.kernel.Steps = nil
	c := o.up(102, sized(1446))
	for _, step := range o.kernel.Steps {
		if step != "mtu" && step != "attach" && step != "up" && step != "isolate" {
			t.Errorf("a second tunnel takes %q", step)
		}
	}
	index := o.kernel.Named("digger1446").Index
	o.Set(o.now, 101, sized(1446))
	o.has(b, sized(1446))
	o.run(5 * s)
	o.is("removed digger1346")
	o.sums(o.whole(1446), "one has moved")
	if o.kernel.Named("digger1446").Index != index {
		t.Error("the bridge was made anew")
	}
	for _, l := range []*fake.Link{a, b, c} {
		o.kernel.Remove(l)
	}
	o.Watch(o.now)
	o.run(5 * s)
	o.sums("", "all have gone")
	if _, due := o.Due(); due {
		t.Error("something is due")
	}
	// One bridge for all has the MTU that its ports leave it.
	o.up(103, datapath.Want{MTU: 1400, Bridge: "all"})
	if m := o.kernel.Named("all"); m == nil || m.MTU != 1500 {
		t.Errorf("the bridge for all is %+v", m)
	}
}

// Whatever step fails while a bridge is made, nothing of it stays; also when the undoing fails once; and it is made when all works again.
func TestBridgeFailsAtEveryStep(t *testing.T) {
	o := newOwner(t)
	o.kernel.Steps = nil
	o.up(100, sized(1446))
	steps := slices.Compact(slices.Sorted(slices.Values(o.kernel.Steps)))
	if len(steps) < 9 {
		t.Fatalf("the steps are %q", steps)
	}
	for _, step := range steps {
		for nth := 1; ; nth++ {
			for _, undo := range []string{"", "remove", "drop rule", "list rules", "index", "find"} {
				o := newOwner(t)
				l := o.add(100)
				o.Set(o.now, 100, sized(1446))
				seen, failed := 0, false
				o.kernel.Fail = func(name string) unix.Errno {
					if name == step {
						if seen++; seen == nth {
							failed = true
							return unix.EIO
						}
					}
					if failed && name == undo {
						return unix.EBUSY
					}
					return 0
				}
				err := o.Raise(o.now, 100)
				if !failed {
					if undo != "" || nth == 1 {
						t.Fatalf("%s does not come", step)
					}
					goto next
				}
				what := fmt.Sprintf("%s fails the %d. time, then %q: %v", step, nth, undo, err)
				o.kernel.Fail = nil
				if err == nil {
					t.Errorf("%s: no error", what)
				}
				o.Forget(100) // as the daemon does, and its path
				o.kernel.Remove(l)
				o.Watch(o.now)
				if undo == "" && step != "isolate" && step != "attach" && step != "up" {
					// Only what the tunnel itself takes leaves a bridge, for some seconds.
					if got := o.sum(); got != "" && !strings.HasPrefix(got, o.whole(1446)) {
						t.Errorf("%s: left is %s", what, got)
					}
				}
				o.run(10 * s)
				if got := o.sum(); got != "" {
					o.RemoveBridges() // what could not even be looked up
					if got := o.sum(); got != "" || undo != "find" && undo != "" && step != "find" {
						t.Errorf("%s: left is %s", what, got)
					}
				}
				again := o.up(100, sized(1446))
				o.has(again, sized(1446))
				o.sums(o.whole(1446), what)
			}
		}
	next:
	}
}

// A reload brings bridges that are there to what is wanted now; what fails is told and tried again.
func TestBridgesFollow(t *testing.T) {
	for _, step := range []string{"", "add address", "drop address", "add rule", "drop rule", "list rules", "list addresses"} {
		o := newOwner(t)
		l := o.up(100, sized(1446))
		o.events()
		o.kernel.Addresses = append(o.kernel.Addresses, link.Address{Index: l.Master, Prefix: netip.MustParsePrefix("fe80::1/64"), Kernel: true})
		o.own = datapath.Own{Addresses: []netip.Prefix{o.own.Addresses[1], netip.MustParsePrefix("198.51.100.2/24")}, Table: "143", Priority: 999}
		o.fails(step, unix.EIO)
		o.Follow(o.now)
		failures := len(o.events())
		o.run(60 * s)
		if more := o.events(); step == "" && failures != 0 || step != "" && failures != 1 || len(more) != 0 {
			t.Errorf("%s: told %d times, and then %q", step, failures, more)
		}
		o.kernel.Fail = nil
		o.run(10 * s)
		o.kernel.Addresses = slices.DeleteFunc(o.kernel.Addresses, func(a link.Address) bool { return a.Kernel })
		o.sums(o.whole(1446), "followed, "+step)
		o.kernel.Steps = nil
		o.Follow(o.now)
		if len(o.kernel.Steps) > 0 {
			t.Errorf("nothing is new, and it takes %q", o.kernel.Steps)
		}
		o.own = datapath.Own{}
		o.Follow(o.now)
		o.sums(o.whole(1446), "bare")
	}
}

// The next process knows the bridges that one before has made, finishes what is half made, and removes what nobody wants; others' it leaves.
func TestBridgesTakenOver(t *testing.T) {
	o := newOwner(t)
	kept := o.up(100, sized(1446))
	o.up(101, sized(1346))
	o.kernel.Remove(o.kernel.Named(name(101)))
	k := o.kernel
	half := k.Add("digger1300", "bridge", 1500)
	half.Group = 0x7464
	k.Add("digger1280", "bridge", 1280).Alias = "tunneldigger-broker there"
	k.Rules = append(k.Rules, link.Rule{Interface: "digger1400", Table: 5, Priority: 6, Protocol: link.Protocol}, link.Rule{Interface: "gone0", Table: 5, Priority: 6, Protocol: 4})

	n := &owner{&rig{Interfaces: datapath.New(), t: t, kernel: k, now: o.now}, o.own}
	n.OpenWith(k.Conn(), k, k.Monitor())
	n.own.Addresses = n.own.Addresses[:1]
	n.makes()
	index := kept.Master
	n.Inherit(request(100), datapath.Known{Up: true, Sure: true, Is: sized(1446)})
	if err := n.Adopt(n.now, func(string) bool { return false }); err != nil {
		t.Fatal(err)
	}
	n.run(50 * s)
	if n.kernel.Named("digger1346") == nil {
		t.Error("the bridge did not wait for its tunnels")
	}
	n.run(50 * s)
	if kept.Master != index || n.State(100).Attached != "digger1446" {
		t.Errorf("the tunnel is %+v", kept)
	}
	n.sums("digger1280 1280 up=false \"tunneldigger-broker there\"; "+n.whole(1446)+"; gone0 to 5 at 6 by 4 false", "taken over")
	n.RemoveBridges()
	n.sums("digger1280 1280 up=false \"tunneldigger-broker there\"; gone0 to 5 at 6 by 4 false", "stopped")
}

// A bridge that others use stays, and is named, once.
func TestBridgeOfOthersStays(t *testing.T) {
	for what, use := range map[string]func(k *fake.Kernel, m *fake.Link){
		"port eth1":              func(k *fake.Kernel, m *fake.Link) { k.Add("eth1", "", 1500).Master = m.Index },
		"interface vlan5 on it":  func(k *fake.Kernel, m *fake.Link) { k.Add("vlan5", "vlan", 1500).On = m.Index },
		"it is a port itself":    func(k *fake.Kernel, m *fake.Link) { m.Master = k.Named("bat0").Index },
		"another alias, or none": func(k *fake.Kernel, m *fake.Link) { m.Alias = "mine" },
		"address 203.0.113.1/24": func(k *fake.Kernel, m *fake.Link) {
			k.Addresses = append(k.Addresses, link.Address{Index: m.Index, Prefix: netip.MustParsePrefix("203.0.113.1/24")})
		},
	} {
		o := newOwner(t)
		l := o.up(100, sized(1446))
		o.events()
		use(o.kernel, o.kernel.Named("digger1446"))
		o.kernel.Remove(l)
		o.Watch(o.now)
		o.events()
		o.run(100 * s)
		o.is("stays digger1446: " + what)
		if o.RemoveBridges(); o.kernel.Named("digger1446") == nil {
			t.Errorf("%s: it is gone", what)
		}
		o.up(101, sized(1446))
	}
}

// What can't be had is refused, with what to do; what is somebody else's is used as it is.
func TestBridgeThatCannotBe(t *testing.T) {
	o := newOwner(t)
	o.kernel.Add("digger1446", "veth", 1500)
	o.kernel.Add("digger1400", "bridge", 1400)
	eth := o.kernel.Add("eth0", "", 1500)
	o.add(100)
	refused := func(mtu int, own *datapath.Own, want string) {
		t.Helper()
		if err := o.Makeable(fmt.Sprint("digger", mtu), own); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		o.now += 10 * s // the last failure is not for ever
		o.Set(o.now, 100, sized(mtu))
		if err := o.Raise(o.now, 100); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	refused(1446, &o.own, "interface digger1446 is there and is no bridge: remove it")
	o.kernel.Addresses = []link.Address{{Index: eth.Index, Prefix: netip.MustParsePrefix("198.51.100.1/26")}}
	refused(1346, &o.own, "address 198.51.100.1 is in use, by interface eth0: take it away")
	o.kernel.Addresses = nil
	o.own.Table = "no-such-table"
	refused(1346, &o.own, "want a line such as \"100 no-such-table\" in /etc/iproute2/rt_tables")
	o.kernel.Steps = nil
	if err := o.Raise(o.now, 100); err == nil || len(o.kernel.Steps) != 0 {
		t.Errorf("within two seconds: %v, %q", err, o.kernel.Steps)
	}
	o.events()
	o.up(101, sized(1400))
	o.is("foreign digger1400")
	if err := o.Makeable("digger1280", &datapath.Own{Table: "7"}); err != nil {
		t.Error(err)
	}
}

// One that somebody removes is made again, with its rules; and one that failed is when tunnels wait for it.
func TestBridgeRemovedByOthers(t *testing.T) {
	o := newOwner(t)
	l := o.up(100, sized(1446))
	o.kernel.Remove(o.kernel.Named("digger1446"))
	o.Watch(o.now)
	o.run(10 * s)
	o.has(l, sized(1446))
	o.sums(o.whole(1446), "made again")
	o.events()
	o.fails("add rule", unix.EPERM)
	o.Set(o.now, 100, sized(1346))
	o.run(20 * s)
	if lines := o.events(); len(lines) != 2 || !strings.HasPrefix(lines[0], "attach failed 100: bridge digger1346: rule for table 142") {
		t.Errorf("told %q", lines)
	}
	o.kernel.Fail = nil
	o.run(time.Minute)
	o.has(l, sized(1346))
	o.sums(o.whole(1346), "at last")
}
