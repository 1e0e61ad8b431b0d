package broker

import (
	"bytes"
	"strings"
	"testing"

	"tunneldigger/src/wire"
)

func TestCookie(t *testing.T) {
	r := newRig(t, quiet, Options{})
	request := wire.AppendCookieRequest(nil)
	r.listener(alice, request).is("alice ← COOKIE")
	got := bytes.Clone(r.out[0].Message())
	if want := wire.AppendCookie(nil, [8]byte(r.cookie(alice))); !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
	if len(got) > len(request) {
		t.Errorf("the answer has %d bytes, the request %d", len(got), len(request))
	}
	r.listener(bob, request)
	if bytes.Equal(r.out[0].Message(), got) {
		t.Error("two clients got the same cookie")
	}
	// Whoever sends less than it would get back gets nothing.
	r.listener(alice, request[:len(request)-1]).is()
	r.listener(alice, append(bytes.Clone(request[:5]), 7, 0, 0, 0, 0, 0, 0, 0)).is()
	if r.Stats().Drops[DropMalformed] != 2 || r.Stats().Cookies != 2 {
		t.Errorf("counted %+v", r.Stats())
	}
}

func TestUsage(t *testing.T) {
	r := newRig(t, quiet, Options{})
	ask := wire.AppendUsageRequest(nil, unique)
	r.listener(alice, ask).is("alice ← USAGE 0")
	r.listener(alice, wire.AppendUsageRequest(nil, 0)).is("alice ← USAGE 0")
	r.up(alice, "a", 1, unique)
	r.listener(dave, ask).is("dave ← USAGE 16383")
	r.up(bob, "b", 1, 0)
	r.prepare(carol, "c", 1, unique) // one that is being made counts as well
	r.listener(dave, ask).is("dave ← USAGE 49151")
	r.up(dave, "d", 1, unique)
	r.listener(dave, ask).is("dave ← USAGE 65535")
	r.listener(alice, []byte{0x80, 0x73, 0xA7, 1, 0x0A, 5, 0, 0, 0, 0, 0}).is() // less than the answer has
}

// Large brokers on 32-bit machines.
func TestUsageOfManyTunnels(t *testing.T) {
	c := quiet
	c.MaxTunnels, c.TunnelIDBase = 65535, 1
	r := newRig(t, c, Options{})
	r.tunnels.count, r.alone = 65534, true
	r.listener(alice, wire.AppendUsageRequest(nil, unique)).is("alice ← USAGE 65534")
}

func TestUsageCountsTheQueue(t *testing.T) {
	c := quiet
	c.RateInterval = s
	r := newRig(t, c, Options{})
	r.up(alice, "a", 1, unique)
	r.prepare(bob, "b", 1, unique).is("# queued b")
	r.prepare(carol, "c", 1, unique)
	r.listener(dave, wire.AppendUsageRequest(nil, unique)).is("dave ← USAGE 49151")
}

func TestUsageOfFewerDescriptors(t *testing.T) {
	r := newRig(t, quiet, Options{MaxTunnels: 1})
	r.up(alice, "a", 1, unique)
	r.listener(bob, wire.AppendUsageRequest(nil, unique)).is("bob ← USAGE 65535")
	r.prepare(bob, "b", 1, unique).is("bob ← ERROR", "# refused b: all tunnels are in use")
}

func TestPrepare(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.prepare(alice, "a", 7, unique).is("create l2tp100-100 for alice 7-7 mtu 1400")
	r.prepare(alice, "a", 7, unique).is() // a retry: the first one is being worked on
	r.made(100).is("100 ← TUNNEL 100 features 1", "raise 100 mtu 1400", "100 ← PMTU_NTFY 1400", "# up 100 a", "hook session.up 100")
	if r.Tunnels() != 1 || r.Stats().Opened != 1 || r.Stats().Prepares != 2 {
		t.Errorf("counted %+v", r.Stats())
	}
}

func TestPrepareOfOldClients(t *testing.T) {
	r := newRig(t, quiet, Options{})
	// No feature flags: session 1 on both sides, and no flags in the answer.
	r.prepare(alice, "a", 7, 0).is("create l2tp100-1 for alice 7-1 mtu 1400")
	r.made(100).is("100 ← TUNNEL 100 features 0", "raise 100 mtu 1400", "100 ← PMTU_NTFY 1400", "# up 100 a", "hook session.up 100")
	if m, _ := wire.Parse(r.out[0].Message()); len(m.Payload) != 4 {
		t.Errorf("TUNNEL has a payload of %d bytes, want 4 without features", len(m.Payload))
	}
	// The oldest: no tunnel ID either, which means 1.
	p := append(r.cookie(bob), 1, 'b')
	r.listener(bob, append([]byte{0x80, 0x73, 0xA7, 1, 2, byte(len(p))}, p...)).is("create l2tp101-1 for bob 1-1 mtu 1400")
	// Several of them at once.
	r.made(101).is("101 ← TUNNEL 101 features 0", "raise 101 mtu 1400", "101 ← PMTU_NTFY 1400", "# up 101 b", "hook session.up 101")
	r.prepare(carol, "c", 1, 0).is("create l2tp102-1 for carol 1-1 mtu 1400")
	// Flags that nobody knows yet are not accepted.
	r.prepare(dave, "d", 9, unique|0x80000002).is("create l2tp103-103 for dave 9-9 mtu 1400")
	r.made(103)
	r.prepare(dave, "d", 9, unique|0x80000002).is("103 ← TUNNEL 103 features 1", "103 ← PMTU_NTFY 1400")
}

func TestPrepareIPv6(t *testing.T) {
	r := newRig(t, probing, Options{})
	r.prepare(alice6, "a", 7, unique).is("create l2tp100-100 for alice6 7-7 mtu 1426")
	r.prepare(alice, "a", 7, unique).is("create l2tp101-101 for alice 7-7 mtu 1446")
}

func TestPrepareCookie(t *testing.T) {
	r := newRig(t, quiet, Options{})
	c := r.cookie(alice)
	prepare := func(from pair, cookie []byte) *rig {
		return r.listener(from, wire.AppendPrepare(nil, cookie, []byte("a"), 1, unique))
	}
	prepare(alice, make([]byte, 8)).is()
	c[3] ^= 1
	prepare(alice, c).is()
	c[3] ^= 1
	prepare(bob, c).is() // another's
	r.now += 3 * 64 * s
	prepare(alice, c).is() // too old
	r.now -= 64*s + 63*s
	if r.Stats().Drops[DropCookie] != 4 {
		t.Errorf("counted %+v", r.Stats())
	}
	prepare(alice, c).is("create l2tp100-100 for alice 1-1 mtu 1400")
}

func TestPrepareMalformed(t *testing.T) {
	r := newRig(t, quiet, Options{})
	good := wire.AppendPrepare(nil, r.cookie(alice), []byte("uuid"), 1, unique)
	for n := range good {
		r.listener(alice, good[:n]).is()
	}
	// A payload that ends inside a field.
	for _, n := range []int{0, 8, 9 + 3, 9 + 4 + 1, 9 + 4 + 5} {
		cut := bytes.Clone(good[:6+n])
		cut[5] = byte(n)
		r.listener(alice, cut).is()
	}
	if got := r.Stats().Drops[DropMalformed]; got != uint64(len(good)+5) {
		t.Errorf("%d counted, want %d", got, len(good)+5)
	}
}

func TestPrepareRefused(t *testing.T) {
	for _, test := range []struct {
		name, uuid string
		id         uint32
		said       string // in the note, which is all that hears of it
		detail     string
	}{
		{"no UUID", "", 1, "", "it is empty"},
		{"shell", "a;reboot", 1, ` a\x3breboot`, "it has a quote, or another character that means something to a shell"},
		{"option", "-a", 1, ` \x2da`, "it begins with a hyphen"},
		{"too long", strings.Repeat("x", 129), 1, " " + strings.Repeat("x", 122) + "...", "it is longer than 128 bytes"},
		{"tunnel 0", "a", 0, " a", "its tunnel ID is 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, quiet, Options{})
			// What is not acceptable must not get near a log or a hook as it came.
			r.prepare(alice, test.uuid, test.id, unique).is("alice ← ERROR", "# refused"+test.said+": the UUID is not acceptable")
			if got := r.out[1].Detail; got != test.detail {
				t.Errorf("detail %q, want %q", got, test.detail)
			}
			if m, _ := wire.Parse(r.out[0].Message()); len(m.Payload) != 0 {
				t.Error("old clients expect an empty ERROR")
			}
			if r.Stats().Reasons[RefusedUUID] != 1 || r.Tunnels() != 0 {
				t.Errorf("counted %+v", r.Stats())
			}
		})
	}
}

// A repeated PREPARE gets the identical answer, features included, as often as
// it comes and wherever.
func TestPrepareRepeated(t *testing.T) {
	for _, f := range []wire.Features{0, unique} {
		r := newRig(t, quiet, Options{})
		r.prepare(alice, "a", 7, f)
		r.made(100)
		first := bytes.Clone(r.out[0].Message())
		again := wire.AppendPrepare(nil, r.cookie(alice), []byte("a"), 7, f)
		for i := 0; i < 3; i++ {
			r.now += 2 * s
			if i == 1 {
				r.socket(100, again)
			} else {
				r.listener(alice, again)
			}
			if got := r.out[0].Message(); !bytes.Equal(got, first) {
				t.Errorf("features %d: got % x, first % x", f, got, first)
			}
			if r.out[0].Kind != EffectSend || r.out[0].Tunnel != 100 {
				t.Errorf("sent with %s", r.lines()[0])
			}
		}
		if r.Stats().Repeats != 3 || r.Stats().Opened != 1 {
			t.Errorf("counted %+v", r.Stats())
		}
	}
}

// A client that has started anew knows nothing of what was agreed since.
func TestPrepareRepeatedTellsTheMTU(t *testing.T) {
	r := newRig(t, probing, Options{})
	r.up(alice, "a", 7, unique)
	r.run(s)
	r.prepare(alice, "a", 7, unique).is("100 ← TUNNEL 100 features 1")
	r.socket(100, wire.AppendPMTUDAck(nil, 1472)).is("100 ← PMTU_NTFY 1446")
	r.prepare(alice, "a", 7, unique).is("100 ← TUNNEL 100 features 1", "100 ← PMTU_NTFY 1446")
}

// Both kinds of message can turn up at both kinds of socket (protocol.md,
// "Sockets").
func TestWindow(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 7, unique)
	// A tunnel's datagram at the listener belongs to the tunnel.
	r.now += 59 * s
	r.listener(alice, wire.AppendClientKeepalive(nil, 1)).is()
	r.now += 59 * s
	r.tick()
	if got := r.lines(); len(got) != 1 || !strings.HasPrefix(got[0], "100 ← KEEPALIVE") {
		t.Fatalf("got %q, want the tunnel to stand", got)
	}
	r.listener(alice, wire.AppendLimit(nil, 3, 100)).is("100 ← REL_ACK 3", "shape 100 100", "# limit 100 a")
	// Another's handshake at the tunnel's socket comes as EventDatagram; the
	// peer's own comes with the tunnel. Both are answered from the listener.
	r.socket(100, wire.AppendCookieRequest(nil)).is("alice ← COOKIE")
	r.socket(100, wire.AppendUsageRequest(nil, unique)).is("alice ← USAGE 16383")
	r.event(Event{Kind: EventDatagram, Listener: 2, Peer: bob.peer, Local: bob.local, Data: wire.AppendCookieRequest(nil)}).is("bob by 2 ← COOKIE")
	// The answer goes by the listener that the request came by.
	bad := wire.AppendPrepare(nil, r.cookie(bob), nil, 1, 0)
	r.event(Event{Kind: EventDatagram, Listener: 3, Peer: bob.peer, Local: bob.local, Data: bad})
	if got := r.lines()[0]; got != "bob by 3 ← ERROR" {
		t.Errorf("got %q", got)
	}
	// A stranger's tunnel message is nobody's.
	r.listener(carol, wire.AppendErrorReason(nil, wire.ReasonClientTimeout)).is()
	if r.Stats().Drops[DropStranger] != 1 {
		t.Errorf("counted %+v", r.Stats())
	}
}

// What isn't a message, or not one from a client, changes nothing and is counted.
func TestDropped(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 7, unique)
	r.now += 59 * s
	for i, data := range [][]byte{
		nil, {0x80}, []byte("\x00\x03aa\x00\x00\x00\x64aaaaaa"), wire.AppendKeepalive(nil, 1)[:7],
		wire.AppendTunnel(nil, 1, 1), {0x80, 0x73, 0xA7, 1, 0x33, 0}, {0x80, 0x73, 0xA7, 1, 0x07, 1, 0}, {0x80, 0x73, 0xA7, 1, 0x09, 1, 0},
		{0x80, 0x73, 0xA7, 1, 0x80, 1, 0}, {0x80, 0x73, 0xA7, 1, 0xff, 0},
	} {
		var before, after uint64
		for _, n := range r.Stats().Drops {
			before += n
		}
		r.socket(100, data).is()
		for _, n := range r.Stats().Drops {
			after += n
		}
		if after != before+1 {
			t.Errorf("datagram %d was counted %d times", i, after-before)
		}
	}
	// None of them was a sign of life.
	r.now += s
	r.tick()
	if got := only(r.lines(), "silent"); len(got) != 1 {
		t.Errorf("got %q, want a time-out", r.lines())
	}
}
