package broker

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"tunneldigger/src/wire"
)

// standing makes a broker with n tunnels.
func standing(t testing.TB, n int) (b *rig) {
	c := quiet
	c.MaxTunnels = n
	b = newRig(nil, c, Options{})
	b.alone = true
	for i := 0; i < n; i++ {
		from := pair{netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 1), here}
		b.prepare(from, fmt.Sprint(i), 1, unique)
		b.made(uint32(100 + i))
		b.now += time.Millisecond
	}
	if b.Stats().Opened != uint64(n) {
		t.Fatalf("%d tunnels", b.Stats().Opened)
	}
	return b
}

// The path that every tunnel takes several times a second must leave no work to
// the garbage collector.
func TestKeepaliveDoesNotAllocate(t *testing.T) {
	r := standing(t, 100)
	keepalive := wire.AppendClientKeepalive(nil, 1)
	ev := Event{Kind: EventTunnelDatagram, Data: keepalive}
	i := uint32(0)
	received := testing.AllocsPerRun(1000, func() {
		ev.Tunnel = 100 + i%100
		i++
		r.out = r.Handle(r.now, &ev, r.out[:0])
	})
	sent, calls := 0, 0
	ticks := testing.AllocsPerRun(1000, func() {
		calls++
		ev.Tunnel = 100 + i%100
		i++
		r.out = r.Handle(r.now, &ev, r.out[:0])
		r.now, _ = r.Due()
		r.out = r.Tick(r.now, r.out[:0])
		sent += len(r.out)
	})
	if received != 0 || ticks != 0 {
		t.Errorf("%v allocations for a keepalive received, %v for one sent", received, ticks)
	}
	if sent < calls || r.Tunnels() != 100 {
		t.Errorf("%d keepalives sent in %d ticks, %d tunnels", sent, calls, r.Tunnels())
	}
}

// Nor what strangers can cause without a cookie.
func TestHandshakeDoesNotAllocate(t *testing.T) {
	r := newRig(t, quiet, Options{})
	r.up(alice, "a", 7, unique)
	r.alone = true
	for _, data := range [][]byte{
		wire.AppendCookieRequest(nil), wire.AppendUsageRequest(nil, unique), wire.AppendPrepare(nil, make([]byte, 8), []byte("b"), 1, unique),
		wire.AppendPrepare(nil, r.cookie(alice), []byte("a"), 7, unique), wire.AppendClientKeepalive(nil, 1), {1, 2, 3}, wire.AppendPMTUD(nil, 1472),
	} {
		for _, from := range []pair{alice, bob} {
			if n := testing.AllocsPerRun(100, func() { r.listener(from, data) }); n != 0 {
				t.Errorf("%v allocations for % x", n, data[:3])
			}
		}
	}
}

// What a message costs in the core: a keepalive in, and now and then one out, as
// with 1000 tunnels that keep alive both ways.
func BenchmarkKeepalive(b *testing.B) {
	r := standing(b, 1000)
	keepalive := wire.AppendClientKeepalive(nil, 1)
	ev := Event{Kind: EventTunnelDatagram, Data: keepalive}
	b.ReportAllocs()
	b.ResetTimer()
	messages := 0
	for messages < b.N {
		// The next 5 ms: one keepalive of a client, one to a client.
		ev.Tunnel = uint32(100 + messages/2%1000)
		r.out = r.Handle(r.now, &ev, r.out[:0])
		r.now += 5 * time.Millisecond
		messages++
		if at, ok := r.Due(); ok && at <= r.now {
			r.out = r.Tick(r.now, r.out[:0])
			messages += len(r.out)
		}
	}
	if r.Tunnels() != 1000 {
		b.Fatalf("%d tunnels are left", r.Tunnels())
	}
}

func BenchmarkCookie(b *testing.B) {
	r := newRig(nil, quiet, Options{})
	ev := Event{Kind: EventDatagram, Peer: alice.peer, Local: here, Data: wire.AppendCookieRequest(nil)}
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		r.out = r.Handle(r.now, &ev, r.out[:0])
	}
}
