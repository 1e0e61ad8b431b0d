package broker

import (
	"strconv"
	"testing"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// A keepalive goes out every 5 s, the first one after 3–15 s.
func TestKeepaliveTimes(t *testing.T) {
	for _, test := range []struct {
		random uint32
		want   []string
	}{
		{0, []string{"3 100 ← KEEPALIVE 0", "8 100 ← KEEPALIVE 1", "13 100 ← KEEPALIVE 2", "18 100 ← KEEPALIVE 3"}},
		{11999, []string{"14.999 100 ← KEEPALIVE 0", "19.999 100 ← KEEPALIVE 1"}},
		{1<<32 - 1, []string{"14.295 100 ← KEEPALIVE 0", "19.295 100 ← KEEPALIVE 1"}},
	} {
		r := newRig(t, quiet, Options{Random: func() uint32 { return test.random }})
		r.up(alice, "a", 7, unique)
		same(t, r.run(20*s), test.want...)
	}
}

// The number changes with every keepalive, also when it wraps.
func TestKeepaliveNumber(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 7, unique)
	r.tunnels.get(100).sequence = 65535
	same(t, r.run(9*s), "3 100 ← KEEPALIVE 65535", "8 100 ← KEEPALIVE 0")
}

// Discovery: all sizes at once; what the client measured counts as well.
func TestDiscovery(t *testing.T) {
	r := newRig(t, probing, Options{})
	r.up(alice, "a", 7, unique)
	same(t, r.run(s), "1 100 ← PMTUD 1472", "1 100 ← PMTUD 1464", "1 100 ← PMTUD 1448", "1 100 ← PMTUD 1422", "1 100 ← PMTUD 1372", "1 100 ← PMTUD 1306")
	ack := func(payload uint16) *rig { return r.socket(100, wire.AppendPMTUDAck(nil, payload)) }
	notify := func(mtu uint16) *rig { return r.socket(100, wire.AppendPMTUNtfy(nil, mtu)) }
	// The first 1400 of a path; the outcome is awaited for two bursts.
	ack(1372).is()
	same(t, only(r.run(2*s), "NTFY", "mtu", "#"), "2 100 ← PMTU_NTFY 1346", "2 mtu 100 1346", "2 # mtu 100 a", "2 hook session.mtu-changed 100 1446→1346")
	r.hookDone(100, config.EventMTUChanged).is()
	// The client found less: that is in force.
	notify(1280).is("mtu 100 1280", "# mtu 100 a", "hook session.mtu-changed 100 1346→1280")
	r.hookDone(100, config.EventMTUChanged)
	notify(1280).is()
	// The client found more: what this side found is.
	notify(1438).is("mtu 100 1346", "# mtu 100 a", "hook session.mtu-changed 100 1280→1346")
	r.hookDone(100, config.EventMTUChanged)
	// In the next round everything passes: the client is told, but its own
	// measurement limits what is in force.
	r.run(33 * s)
	ack(1472).is("100 ← PMTU_NTFY 1446", "mtu 100 1438", "# mtu 100 a", "hook session.mtu-changed 100 1346→1438")
	// Nothing is below what IPv6 needs.
	r.hookDone(100, config.EventMTUChanged)
	notify(500).is("mtu 100 1280", "# mtu 100 a", "hook session.mtu-changed 100 1438→1280")
}

// PMTU_NTFY can get lost or be overtaken, so it is repeated before every round.
func TestDiscoveryTellsAgain(t *testing.T) {
	r := newRig(t, probing, Options{})
	r.up(alice, "a", 7, unique)
	same(t, only(r.run(s), "NTFY"))
	r.socket(100, wire.AppendPMTUDAck(nil, 1472)).is("100 ← PMTU_NTFY 1446")
	r.run(29 * s)
	same(t, only(r.run(s), "PMTU"), "1 100 ← PMTU_NTFY 1446", "1 100 ← PMTUD 1472", "1 100 ← PMTUD 1464", "1 100 ← PMTUD 1448",
		"1 100 ← PMTUD 1422", "1 100 ← PMTUD 1372", "1 100 ← PMTUD 1306")
	same(t, only(r.run(5*s), "NTFY"))
}

// Before this side knows anything, what the client found can only lower.
func TestNotifiedEarly(t *testing.T) {
	r := newRig(t, probing, Options{})
	r.up(alice, "a", 7, unique)
	r.socket(100, wire.AppendPMTUNtfy(nil, 1500)).is()
	r.socket(100, wire.AppendPMTUNtfy(nil, 1346)).is("mtu 100 1346", "# mtu 100 a", "hook session.mtu-changed 100 1446→1346")
	r.socket(100, wire.AppendPMTUNtfy(nil, 1400)).is()
}

// A client may claim another MTU with every datagram; it does not get to have the
// interface changed with each, nor to start a hook: the next one runs when the
// last has ended, and tells what is true then.
func TestNotifiedOften(t *testing.T) {
	r := newRig(t, probing, Options{})
	r.up(alice, "a", 7, unique)
	hooks, changes := 0, 0
	for mtu := uint16(1445); mtu >= 1300; mtu-- {
		r.socket(100, wire.AppendPMTUNtfy(nil, mtu))
		hooks += len(only(r.lines(), "hook"))
		changes += len(only(r.lines(), "mtu 100"))
	}
	if hooks != 1 || changes != 2*8 { // with a note each
		t.Errorf("%d hooks and %d changes at once", hooks, changes)
	}
	same(t, only(r.run(4*s), "mtu 100"), "3 mtu 100 1300", "3 # mtu 100 a") // with the next keepalive
	r.hookDone(100, config.EventMTUChanged).is("hook session.mtu-changed 100 1445→1300")
	r.hookDone(100, config.EventMTUChanged).is()
	// A change and back again while one runs is none.
	r.socket(100, wire.AppendPMTUNtfy(nil, 1290)).is("mtu 100 1290", "# mtu 100 a", "hook session.mtu-changed 100 1300→1290")
	r.socket(100, wire.AppendPMTUNtfy(nil, 1280)).is("mtu 100 1280", "# mtu 100 a")
	// None after session.pre-down.
	r.socket(100, wire.AppendErrorReason(nil, wire.ReasonClientShutdown)).is("# closed 100 a: the client closed it", "hook session.pre-down 100")
	r.hookDone(100, config.EventMTUChanged).is()
}

// What the client found makes this side look again, if it found something else.
func TestNotifiedHint(t *testing.T) {
	r := newRig(t, probing, Options{})
	r.up(alice, "a", 7, unique)
	r.run(s)
	r.socket(100, wire.AppendPMTUDAck(nil, 1472))
	r.now += 10 * s
	r.tick()
	r.socket(100, wire.AppendPMTUNtfy(nil, 1346))
	if got := only(r.run(0), "PMTUD"); len(got) != 6 {
		t.Errorf("got %q, want a round of probes", got)
	}
}

func TestTooBig(t *testing.T) {
	r := newRig(t, probing, Options{})
	r.up(alice, "a", 7, unique)
	r.run(s)
	r.event(Event{Kind: EventTooBig, Tunnel: 100, Size: 1499}).is()
	r.socket(100, wire.AppendPMTUDAck(nil, 1464)).is("100 ← PMTU_NTFY 1438", "mtu 100 1438", "# mtu 100 a", "hook session.mtu-changed 100 1446→1438")
	// An ICMP message for a frame starts a round.
	r.now += 10 * s
	r.tick()
	r.event(Event{Kind: EventTooBig, Tunnel: 100, Size: 1400}).is()
	same(t, only(r.run(0), "PMTUD"), "0 100 ← PMTUD 1372", "0 100 ← PMTUD 1306")
	r.socket(100, wire.AppendPMTUDAck(nil, 1372)).is("100 ← PMTU_NTFY 1346", "mtu 100 1346", "# mtu 100 a")
}

// The size that arrived is acknowledged, whatever it is.
func TestProbesOfTheClient(t *testing.T) {
	r := newRig(t, probing, Options{})
	r.up(alice, "a", 7, unique)
	for _, size := range []int{12, 1306, 1472, 9000} {
		r.socket(100, wire.AppendPMTUD(nil, size))
		if e := r.out[0]; len(r.out) != 1 || e.Kind != EffectSend || message(&e) != "PMTUD_ACK "+strconv.Itoa(size) {
			t.Errorf("size %d: %q", size, r.lines())
		}
	}
}

// With a fixed MTU the client is told, and nothing is measured.
func TestFixedMTU(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.prepare(alice, "a", 7, unique).is("create l2tp100-100 for alice 7-7 mtu 1400")
	r.made(100).is("100 ← TUNNEL 100 features 1", "raise 100 mtu 1400", "100 ← PMTU_NTFY 1400", "# up 100 a", "hook session.up 100")
	r.socket(100, wire.AppendPMTUD(nil, 1472)).is("100 ← PMTU_NTFY 1400")
	r.socket(100, wire.AppendPMTUNtfy(nil, 1300)).is()
	r.socket(100, wire.AppendPMTUDAck(nil, 1306)).is()
	r.event(Event{Kind: EventTooBig, Tunnel: 100, Size: 1300}).is()
	if got := only(r.run(50*s), "PMTU"); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

func TestLimit(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 7, unique)
	limit := func(seq uint16, kbit uint32) *rig { return r.socket(100, wire.AppendLimit(nil, seq, kbit)) }
	limit(65535, 2000).is("100 ← REL_ACK 65535", "shape 100 2000", "# limit 100 a")
	limit(65535, 2000).is("100 ← REL_ACK 65535") // repeated
	limit(0, 2000).is("100 ← REL_ACK 0")         // the same again
	limit(1, 3000).is("100 ← REL_ACK 1", "shape 100 3000", "# limit 100 a")
	limit(65535, 2000).is("100 ← REL_ACK 65535") // overtaken by the later ones
	limit(2, 0).is("100 ← REL_ACK 2", "shape 100 0", "# limit 100 a")
	// A client that has started anew counts from the beginning.
	limit(900, 100).is("100 ← REL_ACK 900", "shape 100 100", "# limit 100 a")
	r.prepare(alice, "a", 7, unique)
	limit(1, 200).is("100 ← REL_ACK 1", "shape 100 200", "# limit 100 a")
}

// What can't be understood is acknowledged and told, and does not count as
// applied.
func TestLimitMalformed(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 7, unique)
	send := func(kind byte, payload ...byte) *rig {
		return r.socket(100, append(append([]byte{0x80, 0x73, 0xA7, 1, kind, byte(len(payload))}, payload...), make([]byte, 4)...))
	}
	send(0x80, 0, 7).is("100 ← REL_ACK 7", "# bad limit 100 a")
	send(0x80, 0, 7, 1).is("100 ← REL_ACK 7", "# bad limit 100 a")
	send(0x80, 0, 7, 1, 4, 0, 0).is("100 ← REL_ACK 7", "# bad limit 100 a")
	send(0x80, 0, 7, 1, 2, 0, 0).is("100 ← REL_ACK 7", "# bad limit 100 a")
	send(0x80, 0, 7, 2, 4, 0, 0, 0, 1).is("100 ← REL_ACK 7", "# bad limit 100 a")
	send(0x80, 0, 7, 1, 4, 0, 0, 7, 0xd0).is("100 ← REL_ACK 7", "shape 100 2000", "# limit 100 a")
	// Another reliable message is acknowledged too.
	send(0x81, 1, 0, 9).is("100 ← REL_ACK 256")
}

func TestLimitConfigured(t *testing.T) {
	c := quiet
	c.BandwidthDownMax, c.BandwidthDownDefault = 5000, 1000
	r := newRig(t, c, Options{})
	r.prepare(alice, "a", 7, unique)
	r.made(100).is("100 ← TUNNEL 100 features 1", "raise 100 mtu 1400", "shape 100 1000", "# limit 100 a", "100 ← PMTU_NTFY 1400",
		"# up 100 a", "hook session.up 100")
	limit := func(seq uint16, kbit uint32) *rig { return r.socket(100, wire.AppendLimit(nil, seq, kbit)) }
	limit(1, 6000).is("100 ← REL_ACK 1", "shape 100 5000", "# limit 100 a")
	limit(2, 0).is("100 ← REL_ACK 2", "# limit 100 a") // unlimited is more than the most
	if e := r.out[1]; e.Bandwidth != 5000 || e.Asked != 0 {
		t.Errorf("noted %d for %d", e.Bandwidth, e.Asked)
	}
	limit(3, 0).is("100 ← REL_ACK 3") // the same again
	limit(4, 4000).is("100 ← REL_ACK 4", "shape 100 4000", "# limit 100 a")
	if e := r.out[2]; e.Bandwidth != 4000 || e.Asked != 4000 {
		t.Errorf("noted %d for %d", e.Bandwidth, e.Asked)
	}
}

// Nor does it get to have its bandwidth changed, or a line in the log, with every
// datagram. The last word counts in the end.
func TestLimitOften(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 7, unique)
	effects := 0
	for n := uint16(1); n <= 1000; n++ {
		r.socket(100, wire.AppendLimit(nil, n, uint32(n)))
		effects += len(only(r.lines(), "shape", "#"))
		r.socket(100, wire.AppendLimit(nil, n, 0)[:12])
		effects += len(only(r.lines(), "shape", "#"))
	}
	if effects > 16 {
		t.Errorf("%d changes and notes at once", effects)
	}
	same(t, only(r.run(20*s), "shape"), "3 shape 100 1000")
}
