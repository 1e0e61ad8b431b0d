package broker

import (
	"fmt"
	"slices"
	"testing"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// crash leaves a broker's records, and has another one remake the tunnels: the rest of that is in out.
func (r *rig) crash(c config.Broker, more ...[]byte) []uint32 {
	var records [][]byte
	for id := range uint32(maxID + 1) {
		if record := r.AppendTunnel(nil, id); len(record) > 0 {
			records = append(records, record)
		}
	}
	alive := r.now
	r.now += 2 * s
	r.Broker = New(c, r.options)
	var ids, lost []uint32
	ids, lost, r.out = r.Remake(r.now, alive, append(records, more...), r.out[:0])
	check(r.t, r.Broker)
	r.lost = lost
	return ids
}

// A broker that was killed, and its tunnels with it: they are made again as they were, hooks hear of both interfaces in order, and clients of
// neither.
func TestRemake(t *testing.T) {
	c := probing
	c.Ports = []uint16{53}
	r := newRig(t, c, Options{})
	a, b := r.up(alice, "a", 7, unique), r.up(bob, "b", 8, 0)
	r.socket(a, wire.AppendPMTUNtfy(nil, 1300))
	r.socket(b, wire.AppendLimit(nil, 1, 500))
	r.hookDone(a, config.EventSessionUp)
	opened := r.tunnels.get(a).opened
	mtu := r.tunnels.get(a).mtu
	record := r.AppendTunnel(nil, a)
	if ids := r.crash(c, record, []byte{1, 2}, nil); !slices.Equal(ids, []uint32{a, b}) {
		t.Fatalf("made again: %v", ids)
	}
	old := r.tunnels.get(b).mtu
	r.is("hook session.down 100", fmt.Sprintf("create l2tp100-100 for alice 7-7 mtu %d, up", mtu),
		"hook session.down 101", fmt.Sprintf("create l2tp101-1 for bob 8-1 mtu %d, up", old))
	if r.Stats() != (Stats{}) {
		t.Errorf("counted %+v", r.Stats())
	}

	// What the client says meanwhile is no stranger's, and no newcomer's.
	r.listener(alice, wire.AppendKeepalive(nil, 1))
	r.is()
	r.created(a).is(fmt.Sprintf("raise 100 mtu %d", mtu))
	r.raised(a).is("# up 100 a", "hook session.up 100")
	r.created(b).is(fmt.Sprintf("raise 101 mtu %d", old), "shape 101 500", "# limit 101 b")
	r.raised(b).is("# up 101 b", "hook session.up 101")
	r.hookDone(a, config.EventSessionDown).is()
	r.hookDone(b, config.EventSessionDown).is()
	if info, _ := r.Next(a); info.Opened != opened || info.Heard != r.now {
		t.Errorf("made again: %+v, opened %v before", info, opened)
	}
	if lines := only(r.run(16*s), "KEEPALIVE", "PMTUD 1472"); len(lines) < 5 {
		t.Errorf("life goes on: %q", lines)
	}
	r.prepare(alice, "a", 7, unique)
	if got := r.lines()[0]; got != "100 ← TUNNEL 100 features 1" {
		t.Errorf("a repeated PREPARE: %s", got)
	}
	// It ends as any other.
	r.hookDone(a, config.EventSessionUp)
	r.event(Event{Kind: EventKick, Tunnel: a})
	if lines := only(r.lines(), "pre-down"); len(lines) != 1 {
		t.Errorf("kicked: %q", r.lines())
	}
	r.hookDone(a, config.EventSessionPreDown).is("destroy 100")
	r.destroyed(a).is("hook session.down 100")
	r.hookDone(a, config.EventSessionDown).is()
	if r.Holds(a) {
		t.Error("the ID is not free")
	}
	if id := r.up(carol, "c", 1, unique); id == b {
		t.Errorf("tunnel %d is given twice", id)
	}
}

// What does not fit into the configuration is left out, and nothing else.
func TestRemakeWhatFits(t *testing.T) {
	c := quiet
	c.Ports = []uint16{53}
	for what, test := range map[string]struct {
		change func(*config.Broker, *Options)
		want   []uint32
	}{
		"long ago":       {func(c *config.Broker, _ *Options) { c.TunnelTimeout = 2 * s }, nil},
		"just in time":   {func(c *config.Broker, _ *Options) { c.TunnelTimeout = 2*s + 1 }, []uint32{100, 101}},
		"all":            {func(*config.Broker, *Options) {}, []uint32{100, 101}},
		"the port":       {func(c *config.Broker, _ *Options) { c.Ports = []uint16{54} }, nil},
		"an address":     {func(c *config.Broker, _ *Options) { c.Addresses = append(c.Addresses, here6.Addr()) }, nil},
		"the address":    {func(c *config.Broker, _ *Options) { c.Addresses = append(c.Addresses, here.Addr()) }, []uint32{100, 101}},
		"IDs above":      {func(c *config.Broker, _ *Options) { c.TunnelIDBase = 200 }, nil},
		"IDs below":      {func(c *config.Broker, _ *Options) { c.TunnelIDBase = 101 }, []uint32{101}},
		"fewer":          {func(c *config.Broker, _ *Options) { c.MaxTunnels = 1 }, []uint32{100}},
		"another's ID":   {func(_ *config.Broker, o *Options) { o.Taken = func(id uint32) bool { return id == 100 } }, []uint32{101}},
		"the fixed MTU":  {func(c *config.Broker, _ *Options) { c.PMTU = 1300 }, []uint32{100, 101}},
		"another limits": {func(c *config.Broker, _ *Options) { c.PerIP = config.Rate{Count: 1, Time: s} }, []uint32{100, 101}},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t, c, Options{})
			r.up(alice, "a", 7, unique)
			r.up(bob, "b", 8, unique)
			other := c
			test.change(&other, &r.options)
			for _, id := range []uint32{100, 101} { // where the interface outlives its broker; the time and others' IDs are the daemon's to look at
				want := slices.Contains(test.want, id) || what == "long ago" || what == "another's ID"
				if name, ok := New(other, r.options).Adoptable(r.AppendTunnel(nil, id)); ok != want || ok && name != fmt.Sprintf("l2tp%d-%[1]d", id) {
					t.Errorf("tunnel %d is adoptable: %v, as %q", id, ok, name)
				}
			}
			if ids := r.crash(other); !slices.Equal(ids, test.want) {
				t.Fatalf("made again: %v, want %v", ids, test.want)
			}
			// Hooks hear of the end of all; it takes no ID that another section has.
			down := only(r.lines(), "session.down")
			if want := 2; what == "another's ID" && len(down) != 1 || what != "another's ID" && len(down) != want {
				t.Errorf("hooks: %q", down)
			}
			for _, id := range []uint32{100, 101} {
				if slices.Contains(test.want, id) {
					r.made(id)
				}
				if slices.Contains(test.want, id) == slices.Contains(r.lost, id) {
					t.Errorf("tunnel %d is among the lost: %v", id, r.lost)
				}
				r.hookDone(id, config.EventSessionDown)
			}
			r.event(Event{Kind: EventTunnelDatagram, Tunnel: 100, Data: wire.AppendKeepalive(nil, 1)})
			check(t, r.Broker)
			if r.Tunnels() != len(test.want) {
				t.Errorf("%d stand", r.Tunnels())
			}
			for id, tun := range r.tunnels.slots {
				if tun != nil && tun.mtu != other.PMTU {
					t.Errorf("tunnel at %d has MTU %d", id, tun.mtu)
				}
			}
		})
	}
}

// What is left of a tunnel that is made again holds it up no longer than it is there: its interface's end is heard of, and it is tried at
// once, and then at growing distances, as the kernel's tunnel goes a moment after that.
func TestRemakeFreed(t *testing.T) {
	c := quiet
	c.Ports = []uint16{53}
	r := newRig(t, c, Options{})
	const again = " create l2tp100-100 for alice 7-7 mtu 1400, up"
	a := r.up(alice, "a", 7, unique)
	r.crash(c)
	r.lines()
	r.Freed(r.now, "l2tp100-100") // while it is tried
	same(t, r.run(s))
	r.failed(a, FaultExists).is()
	same(t, r.run(s), "0.01"+again)
	r.tunnels.get(a).tries = remakeSlow
	r.failed(a, FaultExists).is()
	for _, other := range []string{"l2tp10-10", "l2tp1001-1001", "l2tp102-102", "l2tp-100", "", "l2tp", "eth0", "l2tp65535-65535", "l2tp4294967395-100"} {
		r.Freed(r.now, other)
	}
	same(t, r.run(s/2))
	r.Freed(r.now, "l2tp100-100")
	same(t, r.run(s/2), "0.01"+again)
	for gap := remakeSoon * 2; gap < remakeGap; gap *= 2 {
		r.failed(a, FaultExists).is()
		same(t, r.run(gap), fmt.Sprint(gap.Seconds(), again))
	}
	r.made(a)
	r.Freed(r.now, "l2tp100-100") // it has nothing to wait for
	check(t, r.Broker)
}

// The kernel still has a tunnel of the ID: that goes in its own time, and it is tried again, for half a minute. What fails in another way has
// failed, and then hooks have heard all that there is.
func TestRemakeFails(t *testing.T) {
	c := quiet
	c.Ports = []uint16{53}
	r := newRig(t, c, Options{})
	a, b := r.up(alice, "a", 7, unique), r.up(bob, "b", 8, unique)
	r.crash(c)
	r.failed(b, FaultOther).is("# closed 101 b: " + ClosedLost.String())
	if !r.Holds(b) {
		t.Error("its ID is free while session.down runs")
	}
	if r.hookDone(b, config.EventSessionDown).is(); r.Holds(b) {
		t.Error("its ID is not free")
	}
	r.failed(a, FaultExists).is()
	since := r.now
	same(t, r.run(remakeGap-s/1000))
	same(t, r.run(1*s/1000), "0.001 create l2tp100-100 for alice 7-7 mtu 1400, up")
	same(t, r.run(s))
	for len(r.failed(a, FaultExists).out) == 0 {
		r.run(remakeGap)
		if r.now-since > 10*remakePatience {
			t.Fatal("it never ends")
		}
	}
	if r.is("# closed 100 a: " + ClosedLost.String()); r.now-since < remakePatience || r.now-since > remakePatience+remakeGap {
		t.Errorf("given up after %v", r.now-since)
	}
	r.hookDone(a, config.EventSessionDown).is()
	if r.Tunnels() != 0 {
		t.Errorf("%d are left", r.Tunnels())
	}
	// Its client is a stranger now, and told.
	r.listener(alice, wire.AppendKeepalive(nil, 1))
	if lines := only(r.lines(), "alice ← ERROR"); len(lines) != 1 {
		t.Errorf("the client hears %q", r.lines())
	}
}

// A crash while tunnels are made again: hooks that heard of the end are not told twice.
func TestRemakeTwice(t *testing.T) {
	c := quiet
	c.Ports = []uint16{53}
	r := newRig(t, c, Options{})
	a, b := r.up(alice, "a", 7, unique), r.up(bob, "b", 8, unique)
	r.crash(c)
	r.created(a) // not up yet
	r.made(b)
	if ids := r.crash(c); !slices.Equal(ids, []uint32{a, b}) {
		t.Fatalf("made again: %v", ids)
	}
	r.is("create l2tp100-100 for alice 7-7 mtu 1400, up", "hook session.down 101", "create l2tp101-101 for bob 8-8 mtu 1400, up")
	r.made(a)
	if lines := only(r.lines(), "hook"); len(lines) != 1 || lines[0] != "hook session.up 100" {
		t.Errorf("hooks of the first: %q", lines)
	}
	// What ends before it is up again ends without a word to them, but not before session.down has ended.
	r.created(b)
	r.event(Event{Kind: EventKick, Tunnel: b})
	if lines := only(r.lines(), "hook"); len(lines) != 0 {
		t.Errorf("hooks of the second: %q", lines)
	}
	r.destroyed(b).is()
	if !r.Holds(b) {
		t.Error("its ID is free while session.down runs")
	}
	if r.hookDone(b, config.EventSessionDown); r.Holds(b) {
		t.Error("its ID is not free")
	}
}

// A crash while tunnels end: of the end of those that hooks heard of before, they hear.
func TestRemakeWhatEnds(t *testing.T) {
	c := quiet
	c.Ports = []uint16{53}
	r := newRig(t, c, Options{})
	a, b, d := r.up(alice, "a", 7, unique), r.up(bob, "b", 8, unique), r.up(carol, "c", 9, unique)
	r.prepare(dave, "d", 10, unique)
	r.created(103) // not up yet
	for _, id := range []uint32{a, b, d, 103} {
		r.event(Event{Kind: EventKick, Tunnel: id})
	}
	r.hookDone(b, config.EventSessionPreDown)
	r.hookDone(d, config.EventSessionPreDown)
	r.destroyed(d) // session.down runs
	if ids := r.crash(c); len(ids)+len(r.lost) != 0 {
		t.Fatalf("made again: %v, lost: %v", ids, r.lost)
	}
	r.is("hook session.down 100", "hook session.down 101")
	r.hookDone(a, config.EventSessionDown).is()
	r.hookDone(b, config.EventSessionDown).is()
	if r.Tunnels() != 0 {
		t.Errorf("%d are left", r.Tunnels())
	}
}

// Who is not wanted any more, or has another identity, or the end of the broker, closes what is made again.
func TestRemakeForNobody(t *testing.T) {
	c := quiet
	c.Ports = []uint16{53}
	r := newRig(t, c, Options{})
	a, b := r.up(alice, "a", 7, unique), r.up(bob, "b", 8, unique)
	r.crash(c)
	r.prepare(bob, "x", 9, unique)
	r.created(b)
	if lines := only(r.lines(), "TUNNEL", "destroy 101"); len(lines) != 1 {
		t.Errorf("another identity: %q", r.lines())
	}
	r.event(Event{Kind: EventStop})
	r.created(a)
	if lines := only(r.lines(), "ERROR", "destroy 100"); len(lines) != 2 {
		t.Errorf("the end: %q", r.lines())
	}
	for _, id := range []uint32{a, b} {
		r.destroyed(id)
		r.hookDone(id, config.EventSessionDown)
	}
	if r.Tunnels() != 0 {
		t.Errorf("%d are left", r.Tunnels())
	}
}
