package broker

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"tunneldigger/src/admission"
	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

var beat = wire.AppendClientKeepalive(nil, 1)

// frame is a data packet of a session.
func frame(session byte) []byte {
	return append([]byte{0, 3, 0, 0, 0, 0, 0, session, 0, 0, 0, 0}, make([]byte, 60)...)
}

// roomy has place for many, and a discovery that keeps quiet.
func roomy(interval time.Duration) config.Broker {
	c := quiet
	c.MaxTunnels, c.RateInterval = 1000, interval
	return c
}

// told reports whether the last action told somebody that its tunnel is gone, and fails on
// anything else.
func (r *rig) told() bool {
	r.t.Helper()
	for i := range r.out {
		if e := &r.out[i]; e.Kind != EffectReply || message(e) != "ERROR 0x03" || len(e.Message()) != wire.MinSize {
			r.t.Fatalf("got %q", r.lines())
		}
	}
	return len(r.out) > 0
}

func TestStranger(t *testing.T) {
	for _, c := range []struct {
		name    string
		message []byte
		told    bool
	}{
		{"keepalive", beat, true},
		{"keepalive of an old client", wire.AppendKeepalive(nil, 1), true},
		{"probe", wire.AppendPMTUD(nil, 1200), true},
		{"limit", wire.AppendLimit(nil, 1, 100), true},
		{"frame", frame(100), true},
		{"empty frame", frame(100)[:12], true},
		{"shorter than the answer", beat[:11], false},
		{"short frame", frame(100)[:11], false},
		{"error, which two ends would return for ever", wire.AppendErrorReason(nil, wire.ReasonClientShutdown), false},
		{"what only brokers send", wire.AppendTunnel(nil, 100, unique), false},
	} {
		r := newRig(t, roomy(0), Options{})
		if got := r.listener(alice, c.message).told(); got != c.told {
			t.Errorf("%s: told %v, want %v", c.name, got, c.told)
		}
		if st := r.Stats(); (st.Told == 1) != c.told || st.Told+st.Drops[DropStranger]+st.Drops[DropMalformed] != 1 {
			t.Errorf("%s: counted %+v", c.name, st)
		}
	}
}

// It may be setting up its next tunnel already, and would take a second word for a refusal;
// but when the first was lost, it hears the next.
func TestStrangerIsToldAgain(t *testing.T) {
	r := newRig(t, roomy(0), Options{})
	r.alone = true
	if !r.listener(alice, beat).told() || r.listener(alice, frame(1)).told() || r.listener(alice, beat).told() {
		t.Fatal("want it to be told once")
	}
	r.now += 5 * s
	if !r.listener(alice, beat).told() {
		t.Fatal("want it to be told again")
	}
}

// Nobody is told only to be refused, or to stay where it may not come.
func TestStrangerIsNotTold(t *testing.T) {
	list, err := admission.ParseList("deny", []byte("192.0.2.10\n"))
	if err != nil {
		t.Fatal(err)
	}
	limited := roomy(0)
	limited.PerIP = config.Rate{Count: 1, Time: 60 * s}
	full := roomy(0)
	full.MaxTunnels = 1
	for _, c := range []struct {
		name    string
		config  config.Broker
		prepare func(*rig)
		told    bool
	}{
		{"nothing in the way", roomy(0), func(*rig) {}, true},
		{"a tunnel of its own", roomy(0), func(r *rig) { r.up(alice, "a", 1, unique) }, false},
		{"full", full, func(r *rig) { r.up(bob, "b", 1, unique) }, false},
		{"another one comes for the last place", full, func(r *rig) { r.listener(bob, beat) }, false},
		{"the other one has gone elsewhere", full, func(r *rig) { r.listener(bob, beat); r.now += 12 * s }, true},
		{"denied", roomy(0), func(r *rig) { r.SetLists(r.now, nil, list, nil) }, false},
		{"over the limit of its address", limited, func(r *rig) { r.up(pair{netip.AddrPortFrom(alice.peer.Addr(), 1), here}, "b", 1, unique) }, false},
		{"another of its address comes", limited, func(r *rig) { r.listener(pair{netip.AddrPortFrom(alice.peer.Addr(), 1), here}, beat) }, false},
		{"limit of another address", limited, func(r *rig) { r.up(bob, "b", 1, unique) }, true},
		{"draining", roomy(0), func(r *rig) { r.drain(true, 0) }, false},
		{"closing slowly", roomy(0), func(r *rig) { r.drain(true, 60) }, true},
		{"stopping", roomy(0), func(r *rig) { r.event(Event{Kind: EventStop}) }, false},
		{"half the queue is taken", roomy(2 * s), func(r *rig) { // room for 6
			for n := range 5 {
				r.prepare(crowd(n), "u", 1, unique)
			}
		}, false},
	} {
		r := newRig(t, c.config, Options{})
		r.alone = true
		c.prepare(r)
		if r.listener(alice, beat); c.told != (len(only(r.lines(), "alice ← ERROR")) == 1) {
			t.Errorf("%s: got %q, want told %v", c.name, r.lines(), c.told)
		}
	}
}

// Three hundred clients after a crash: told at the pace at which they can come, all of them, whether they speak at all times
// or, as those do that came at once, within a moment of every 5 s; from addresses of their own or from one.
func TestStrangersArePaced(t *testing.T) {
	for _, c := range []struct {
		name     string
		interval time.Duration
		spread   time.Duration // of what they say
		site     bool          // they share an address
	}{
		{"no limit", 0, 5 * s, false},
		{"evenly", 50 * time.Millisecond, 5 * s, false},
		{"at once", 50 * time.Millisecond, s, false},
		{"of one address", 50 * time.Millisecond, 5 * s, true},
		{"of one address, at once", 50 * time.Millisecond, s, true},
	} {
		r := newRig(t, roomy(c.interval), Options{})
		r.alone = true
		left, who := make(map[pair]bool), make([]pair, 300)
		for n := range who {
			who[n] = crowd(n)
			if c.site {
				who[n] = pair{netip.AddrPortFrom(crowd(0).peer.Addr(), uint16(1000+n)), here}
			}
			left[who[n]] = true
		}
		began, told := r.now, 0
		count := func() {
			for i := range r.out {
				if e := &r.out[i]; left[pair{e.Peer, e.Local}] {
					delete(left, pair{e.Peer, e.Local})
					told++
				} else {
					t.Errorf("%s: %v is told twice", c.name, e.Peer)
				}
			}
			if most := int((r.now-began+tellBurst)/max(c.interval, tellGap)) + 1; told > most {
				t.Fatalf("%s: %d are told within %v, at most %d can come", c.name, told, r.now-began, most)
			}
		}
		until := func(at time.Duration) { // Tick is called whenever it is due
			for due, ok := r.Due(); ok && due <= at; due, ok = r.Due() {
				r.now = max(r.now, due)
				r.tick().told()
				count()
			}
			r.now = at
		}
		want := 6*s + 300*c.interval*12/10
		for round := time.Duration(0); len(left) > 0 && r.now-began <= want; round++ {
			for n, from := range who {
				until(began + round*5*s + time.Duration(n)*c.spread/300)
				if left[from] && r.listener(from, beat).told() {
					count()
				}
			}
		}
		until(r.now) // they are all told now, or by what was planned
		if len(left) > 0 || r.now-began > want {
			t.Errorf("%s: %d are not told within %v, want none after %v", c.name, len(left), r.now-began, want)
		}
		t.Logf("%s: all within %v", c.name, r.now-began)
	}
}

// Who waits to be told is not, when it sets up a tunnel by itself by then, or may not come any more.
func TestStrangerLeavesTheRow(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(*rig)
		told   bool
	}{
		{"nothing happens", func(*rig) {}, true},
		{"it asks for a cookie", func(r *rig) { r.listener(alice, wire.AppendCookieRequest(nil)) }, false},
		{"it has a tunnel", func(r *rig) { r.up(alice, "a", 1, unique) }, false},
		{"the broker stops", func(r *rig) { r.event(Event{Kind: EventStop}) }, false},
		{"the broker is drained", func(r *rig) { r.drain(true, 0) }, false},
		{"another configuration", func(r *rig) { r.Reconfigure(r.now, roomy(s/2), Options{}, nil) }, false},
	} {
		r := newRig(t, roomy(s), Options{})
		r.alone = true
		for _, from := range []pair{crowd(0), crowd(1), alice} { // one token
			r.listener(from, beat)
		}
		r.now += 5 * s
		for _, from := range []pair{crowd(0), crowd(1), alice} { // two for those who were heard before
			r.listener(from, beat)
		}
		if r.told() || len(r.strangers.row) != 1 {
			t.Fatalf("%s: got %q, want it to wait", c.name, r.lines())
		}
		c.before(r)
		if got := len(only(r.run(3*s), "alice ← ERROR 0x03")) == 1; got != c.told || len(r.strangers.row) != 0 || len(r.strangers.waits) != 0 {
			t.Errorf("%s: told %v, want %v; %d wait", c.name, got, c.told, len(r.strangers.row))
		}
	}
}

// A flood from forged addresses is answered at the pace, costs bounded memory, and does not
// keep those from being told who are heard every 5 s.
func TestForgedStrangers(t *testing.T) {
	for _, rate := range []int{2000, 16000} {
		t.Run(fmt.Sprintf("%d a second", rate), func(t *testing.T) { forgedStrangers(t, rate) })
	}
}

func forgedStrangers(t *testing.T, rate int) {
	const clients = 60
	round := 5 * rate // in which each client is heard once, evenly spread
	gap := round / clients
	r := newRig(t, roomy(50*time.Millisecond), Options{})
	r.alone = true
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	left, forged, bytesIn, bytesOut := make(map[int]bool), 0, 0, 0
	for n := range clients {
		left[n] = true
	}
	began := r.now
	for i := 0; len(left) > 0; i++ {
		r.now = began + time.Duration(i)*s/time.Duration(rate) // of a million
		from := pair{netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18 + byte(i>>16&15), byte(i >> 8), byte(i)}), 1000), here}
		real := i%round/gap < clients && i%round%gap == 0
		if real {
			from = crowd(i % round / gap)
		}
		if bytesIn += len(beat); r.listener(from, beat).told() {
			bytesOut += wire.MinSize
			if real {
				delete(left, i%round/gap)
			} else {
				forged++
			}
		}
		if r.now-began > 30*s {
			t.Fatalf("%d of %d are not told within 30 s, %d forged ones were", len(left), clients, forged)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := int(after.HeapAlloc) - int(before.HeapAlloc); got > 1<<20 {
		t.Errorf("%d kB more than before", got>>10)
	}
	if most := int((r.now-began+tellBurst)/(50*time.Millisecond)) + 1; bytesOut > bytesIn || bytesOut/wire.MinSize > most {
		t.Errorf("%d were told, %d are allowed", bytesOut/wire.MinSize, most)
	}
	t.Logf("all within %v, beside %d forged ones", r.now-began, forged)
}

// Under "replace" a client whose port was changed under way is told when its old tunnel has
// been silent for a while.
func TestStrangerWaitsToReplace(t *testing.T) {
	c := roomy(0)
	c.UUIDPolicy = config.UUIDReplace
	r := newRig(t, c, Options{})
	r.alone = true
	if r.listener(alice, beat).told() {
		t.Fatal("told at once")
	}
	r.now += 5 * s
	if !r.listener(alice, beat).told() {
		t.Fatal("not told after 5 s")
	}
}

func TestMisfit(t *testing.T) {
	counted := func(r *rig, frames uint64) *rig {
		return r.event(Event{Kind: EventCounted, Tunnel: 100, Frames: frames})
	}
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 7, unique)
	r.socket(100, frame(100)).is() // it came before the tunnel was in the kernel
	r.socket(100, frame(99)).is("count 100")
	counted(r, 10).is()
	r.now += s / 2
	r.socket(100, frame(99)).is() // once a second
	for range 2 {
		r.now += s
		r.socket(100, frame(99)).is("count 100")
		counted(r, 10).is()
	}
	r.now += 2 * s
	r.socket(100, frame(99)).is("count 100")
	counted(r, 11).is() // one of its own in between
	r.now += 2 * s
	r.socket(100, frame(99)).is("count 100")
	counted(r, 11).is()
	r.now += 20 * s // another occasion
	r.socket(100, frame(99)).is("count 100")
	counted(r, 11).is()
	r.now += 2 * s
	r.listener(alice, frame(99)).is("count 100") // wherever it turns up
	counted(r, 11).is()
	r.now += s
	r.socket(100, frame(99)).is("count 100")
	counted(r, 11).is("100 ← ERROR 0x04", "# closed 100 a: its two ends meant different sessions", "hook session.pre-down 100")
	r.socket(100, frame(99)).is()
	counted(r, 11).is()
	if st := r.Stats(); st.Reasons[ClosedMisfit] != 1 || st.Drops[DropMisfit] != 9 || st.Drops[DropFrame] != 2 {
		t.Errorf("counted %+v", st)
	}
	// An old client's session is 1 at both ends.
	r.up(bob, "b", 7, 0)
	r.socket(101, frame(1)).is()
	r.socket(101, frame(101)).is("count 101")
}
