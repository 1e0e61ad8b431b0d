package broker

import (
	"bytes"
	"net/netip"
	"testing"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// dropped checks that the last action had no effect and was counted as that.
func (r *rig) dropped(before Stats, d Drop) {
	r.t.Helper()
	r.is()
	before.Drops[d]++
	if after := r.Stats(); after.Drops != before.Drops {
		r.t.Fatalf("dropped %v, want %v", after.Drops, before.Drops)
	}
}

// What belongs to a tunnel, before there is one.
func TestOutOfOrderBeforeSetUp(t *testing.T) {
	r := newRig(t, roomy(0), Options{})
	for _, data := range [][]byte{
		wire.AppendErrorReason(nil, wire.ReasonClientShutdown), wire.AppendTunnel(nil, 100, 1), wire.AppendRelAck(nil, 1),
	} {
		before := r.Stats()
		r.listener(alice, data).dropped(before, DropStranger)
	}
	for i, data := range [][]byte{
		wire.AppendClientKeepalive(nil, 1), wire.AppendPMTUD(nil, 1472), wire.AppendPMTUDAck(nil, 1472), wire.AppendPMTUNtfy(nil, 1400),
		wire.AppendLimit(nil, 1, 1000),
	} {
		from := pair{netip.AddrPortFrom(bob.peer.Addr(), uint16(i)), here}
		r.listener(from, data).is(from.peer.String() + " ← ERROR 0x03")
	}
	// While the tunnel is being made, and while it is going, it is not there either.
	r.prepare(alice, "a", 7, unique)
	before := r.Stats()
	r.listener(alice, wire.AppendLimit(nil, 1, 1000)).dropped(before, DropClosing)
	before = r.Stats()
	r.socket(100, wire.AppendError(nil)).dropped(before, DropClosing)
	r.made(100)
	r.socket(100, wire.AppendError(nil)).is("# closed 100 a: the client closed it", "hook session.pre-down 100")
	for _, data := range [][]byte{wire.AppendError(nil), wire.AppendLimit(nil, 1, 1000), wire.AppendPMTUD(nil, 1472), wire.AppendClientKeepalive(nil, 1)} {
		before = r.Stats()
		r.socket(100, data).dropped(before, DropClosing)
	}
	r.hookDone(100, config.EventSessionPreDown).is("destroy 100")
	before = r.Stats()
	r.listener(alice, wire.AppendError(nil)).dropped(before, DropClosing)
	r.destroyed(100)
	before = r.Stats()
	r.listener(alice, wire.AppendError(nil)).dropped(before, DropStranger)
	r.socket(100, wire.AppendError(nil)).is()
}

// Answers to what was never asked, and what only a broker says.
func TestOutOfOrderInATunnel(t *testing.T) {
	r := newRig(t, probing, Options{})
	r.up(alice, "a", 7, unique)
	r.socket(100, wire.AppendPMTUDAck(nil, 1472)).is() // no probe was sent yet
	r.socket(100, wire.AppendRelAck(nil, 9)).is()
	before := r.Stats()
	r.socket(100, wire.AppendTunnel(nil, 101, 1)).dropped(before, DropDirection)
	r.run(s)
	r.socket(100, wire.AppendPMTUDAck(nil, 1471)).is() // not a size that is probed
	r.socket(100, wire.AppendPMTUDAck(nil, 65535)).is()
	// The peer's own requests may come before it has seen its TUNNEL, in any order.
	r.socket(100, wire.AppendLimit(nil, 2, 2000)).is("100 ← REL_ACK 2", "shape 100 2000", "# limit 100 a")
	r.socket(100, wire.AppendLimit(nil, 1, 1000)).is("100 ← REL_ACK 1")
	r.prepare(alice, "a", 7, unique).is("100 ← TUNNEL 100 features 1")
}

// A PREPARE before any COOKIE, with a cookie for another port, for another
// address, of long ago, or of the future.
func TestCookieOfAnother(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(bob, "b", 1, unique)
	with := func(c []byte) []byte { return wire.AppendPrepare(nil, c, []byte("a"), 7, unique) }
	try := func(data []byte) {
		t.Helper()
		before := r.Stats()
		r.listener(alice, data).dropped(before, DropCookie)
	}
	try(with(make([]byte, 8)))
	try(with(r.cookie(elsewhere)))
	try(with(r.cookie(bob)))
	old := r.cookie(alice)
	r.now += 3 * 64 * s
	try(with(old))
	r.now += 64 * s
	future := r.cookie(alice)
	r.now -= 64 * s
	try(with(future))
	r.prepare(alice, "a", 7, unique).is("create l2tp101-101 for alice 7-7 mtu 1400")
}

// Each kind of message at each kind of socket.
func TestWrongSocket(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 7, unique)
	r.up(bob, "b", 1, unique)
	// A tunnel's at the listener: it is that tunnel's.
	r.listener(alice, wire.AppendPMTUD(nil, 1400)).is("100 ← PMTU_NTFY 1400")
	r.listener(bob, wire.AppendLimit(nil, 1, 1000)).is("101 ← REL_ACK 1", "shape 101 1000", "# limit 101 b")
	// A handshake at the socket of the client's own tunnel.
	r.socket(100, wire.AppendCookieRequest(nil)).is("alice ← COOKIE")
	r.socket(100, wire.AppendUsageRequest(nil, unique)).is("alice ← USAGE 32767")
	r.socket(100, wire.AppendPrepare(nil, r.cookie(alice), []byte("a"), 7, unique)).is("100 ← TUNNEL 100 features 1", "100 ← PMTU_NTFY 1400")
	// With the cookie of another client at its own socket: it is nobody else by that.
	before := r.Stats()
	r.socket(100, wire.AppendPrepare(nil, r.cookie(bob), []byte("b"), 1, unique)).dropped(before, DropCookie)
	// Another client's, at the listener: the address decides, nothing in the message.
	r.listener(carol, wire.AppendLimit(nil, 2, 1)).is("carol ← ERROR 0x03")
	r.listener(carol, wire.AppendErrorReason(nil, wire.ReasonClientShutdown)).is()
	// The same client address at another of the broker's addresses is somebody else.
	other := pair{alice.peer, here6}
	r.listener(other, wire.AppendError(nil)).is()
	r.prepare(other, "c", 9, unique).is("create l2tp102-102 for alice 9-9 mtu 1400")
	// A socket that is nobody's any more.
	r.event(Event{Kind: EventTunnelDatagram, Tunnel: 99, Data: wire.AppendError(nil)}).is()
	r.event(Event{Kind: EventTunnelDatagram, Tunnel: 1 << 31, Data: wire.AppendPMTUD(nil, 100)}).is()
	if r.Tunnels() != 3 {
		t.Errorf("%d tunnels", r.Tunnels())
	}
}

// IDs and UUIDs of others in a PREPARE: the ID is only the client's own, and is
// no key to anything here.
func TestAnothersID(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 7, unique)
	r.prepare(bob, "b", 100, unique).is("create l2tp101-101 for bob 100-100 mtu 1400")
	r.made(101)
	r.prepare(carol, "c", 7, unique).is("create l2tp102-102 for carol 7-7 mtu 1400")
	r.made(102)
	r.prepare(dave, "d", 0xffffffff, unique).is("create l2tp103-103 for dave 4294967295-4294967295 mtu 1400")
	r.prepare(alice, "a", 7, unique).is("100 ← TUNNEL 100 features 1", "100 ← PMTU_NTFY 1400")
	check(t, r.Broker)
}

// What was overheard, once more.
func TestReplayed(t *testing.T) {
	r := newRig(t, quiet, Options{})
	data := wire.AppendPrepare(nil, r.cookie(alice), []byte("a"), 7, unique)
	r.listener(alice, data)
	for range 3 { // while it is being made
		r.listener(alice, data).is()
	}
	r.made(100)
	// While it stands it changes nothing, and the answer goes to the client.
	for range 3 {
		r.listener(alice, data).is("100 ← TUNNEL 100 features 1", "100 ← PMTU_NTFY 1400")
	}
	// From elsewhere it is nothing.
	before := r.Stats()
	r.listener(bob, data).dropped(before, DropCookie)
	// A LIMIT of before changes nothing.
	first, second := wire.AppendLimit(nil, 1, 1000), wire.AppendLimit(nil, 2, 2000)
	r.socket(100, first)
	r.socket(100, second)
	r.socket(100, first).is("100 ← REL_ACK 1")
	r.socket(100, second).is("100 ← REL_ACK 2")
	// After its end it makes a tunnel of its own at most, which ends by itself since
	// nobody keeps it alive; and no cookie lives for longer than 192 s.
	r.socket(100, wire.AppendError(nil))
	r.listener(alice, data).is()
	r.hookDone(100, config.EventSessionPreDown)
	r.destroyed(100).is("hook session.down 100", "create l2tp101-101 for alice 7-7 mtu 1400")
	r.made(101)
	same(t, only(r.run(61*s), "closed"), "60 # closed 101 a: the client was silent for too long")
	r.gone(101)
	r.now += 192 * s
	before = r.Stats()
	r.listener(alice, data).dropped(before, DropCookie)
}

// Every message, cut off anywhere: nothing comes of it but what its whole
// fields say.
func TestTruncated(t *testing.T) {
	r := newRig(t, probing, Options{})
	r.up(alice, "a", 7, unique)
	r.run(s)
	for _, whole := range [][]byte{
		wire.AppendCookieRequest(nil), wire.AppendUsageRequest(nil, unique), wire.AppendPrepare(nil, r.cookie(bob), []byte("bob"), 7, unique),
		wire.AppendLimit(nil, 9, 1000), wire.AppendPMTUDAck(nil, 1400), wire.AppendPMTUNtfy(nil, 1400), wire.AppendErrorReason(nil, 1), wire.AppendClientKeepalive(nil, 1),
	} {
		m, _ := wire.Parse(whole)
		end := wire.HeaderSize + len(m.Payload)
		for n := range end { // within the header or the payload
			for _, at := range []func([]byte) *rig{
				func(d []byte) *rig { return r.listener(bob, d) },
				func(d []byte) *rig { return r.listener(alice, d) },
				func(d []byte) *rig { return r.socket(100, d) },
			} {
				before := r.Stats()
				at(whole[:n]).dropped(before, DropMalformed)
			}
		}
		// The length says less than is there: what is there is padding.
		for n := range len(m.Payload) {
			short := bytes.Clone(whole)
			short[5] = byte(n)
			r.listener(bob, short)
			switch m.Type {
			case wire.TypeCookie, wire.TypePrepare, wire.TypeError:
				if m.Type != wire.TypePrepare || n < 9+3 { // the ID and the flags may be missing
					r.is()
				}
			}
			if r.Tunnels() > 1 { // one with no ID, which counts as 1
				if m.Type != wire.TypePrepare || n != 9+3 && n != 9+3+4 {
					t.Fatalf("a tunnel by %v of %d bytes", m.Type, n)
				}
				r.failed(101, FaultOther)
				r.failed(102, FaultOther)
			}
		}
	}
	if r.Tunnels() != 1 || r.tunnels.get(100).state != up || r.tunnels.get(100).bandwidth != 0 {
		t.Errorf("%d tunnels, %+v", r.Tunnels(), r.tunnels.get(100))
	}
}

// Garbled anywhere: never a panic, never an answer that is larger, never a tunnel
// for a wrong cookie. (FuzzCore goes on from here.)
func TestGarbled(t *testing.T) {
	r := newRig(t, probing, Options{})
	r.alone = true
	r.up(alice, "a", 7, unique)
	for _, whole := range [][]byte{
		wire.AppendPrepare(nil, r.cookie(bob), []byte("bob"), 7, unique), wire.AppendLimit(nil, 9, 1000), wire.AppendCookieRequest(nil), wire.AppendPMTUNtfy(nil, 1400),
	} {
		for at := range whole {
			for bit := range 8 {
				data := bytes.Clone(whole)
				data[at] ^= 1 << bit
				if r.listener(bob, data); r.sentBytes() > len(data) {
					t.Fatalf("%q in answer to % x", r.lines(), data)
				}
				if wire.Type(whole[4]) == wire.TypePrepare && at >= 6 && at < 14 && len(r.out) != 0 {
					t.Fatalf("%q with a wrong cookie", r.lines())
				}
				for id := uint32(101); r.Tunnels() > 1; id++ {
					if tun := r.tunnels.get(id); tun != nil {
						r.failed(id, FaultOther)
					}
				}
			}
		}
	}
	check(t, r.Broker)
}
