package broker

import (
	"net/netip"
	"slices"
	"testing"
)

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// check fails if the broker's own books don't agree with one another.
func check(t *testing.T, b *Broker) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf(format, args...)
	}
	free := map[uint32]bool{}
	take := func(id uint32, what string) {
		if free[id] || b.tunnels.get(id) != nil {
			fail("ID %d is %s and somewhere else as well", id, what)
		}
		if id < b.config.TunnelIDBase || id >= b.config.TunnelIDBase+uint32(b.config.MaxTunnels) {
			fail("ID %d is not of this broker", id)
		}
		free[id] = true
	}
	for i := 0; i < b.ids.count; i++ {
		take(b.ids.free[(b.ids.first+i)%len(b.ids.free)], "free")
	}
	last := b.config.TunnelIDBase + uint32(b.config.MaxTunnels) - 1
	for _, a := range b.ids.aside {
		if a.id <= last { // the limit may have been larger
			take(a.id, "aside")
		}
	}
	above := 0
	b.tunnels.each(func(tun *tunnel) {
		if tun.id > last || tun.id < b.config.TunnelIDBase {
			above++
		}
		if out := tun.id-b.config.TunnelIDBase >= uint32(len(b.tunnels.slots)); out && !tun.fixed || out != slices.Contains(b.tunnels.apart, tun) {
			fail("tunnel %d is in the wrong place", tun.id)
		}
	})
	if used := b.tunnels.count - above; len(free)+used != b.config.MaxTunnels {
		fail("%d IDs free and %d in use, want %d in all", len(free), used, b.config.MaxTunnels)
	}
	pairs, count := 0, 0
	b.tunnels.each(func(tun *tunnel) {
		count++
		id := tun.id
		if b.tunnels.get(id) != tun {
			fail("tunnel %d is listed as %d", tun.id, id)
		}
		if tun.state != down {
			pairs++
			if b.pairs[tun.pair] != tun {
				fail("tunnel %d is not found by its addresses", id)
			}
		}
		if waits := tun.stands() || tun.state == destroying || tun.state == creating && tun.due != 0; waits != (tun.place >= 0) {
			fail("tunnel %d in state %d has place %d among the deadlines", id, tun.state, tun.place)
		}
		if tun.silent && tun.state != destroying && !(tun.again && (tun.state == creating || tun.state == answered)) &&
			!(tun.mourning && tun.state == down) {
			fail("tunnel %d in state %d goes without a word", id, tun.state)
		}
		if tun.again && (tun.state == verifying || tun.state == up || tun.state == closing) {
			fail("tunnel %d in state %d is being made again", id, tun.state)
		}
		if tun.place >= 0 && (tun.place >= len(b.deadlines) || b.deadlines[tun.place].tunnel != tun) {
			fail("tunnel %d is not at its place among the deadlines", id)
		}
		if tun.mtu < 1280 || tun.mtu > 1446 {
			fail("tunnel %d has MTU %d", id, tun.mtu)
		}
		if _, waits := b.queue.Get(tun.pair); waits && tun.state != down {
			fail("the client of tunnel %d waits in the queue", id)
		}
	})
	if count != b.tunnels.count {
		fail("%d tunnels are counted as %d", count, b.tunnels.count)
	}
	if pairs != len(b.pairs) {
		fail("%d pairs for %d tunnels", len(b.pairs), pairs)
	}
	chained := 0
	for uuid, tun := range b.tunnels.uuids {
		for ; tun != nil; tun = b.tunnels.older[tun] {
			if chained++; tun.uuid != uuid || b.tunnels.get(tun.id) != tun || chained > count {
				fail("tunnel %d of %s is among those of %s", tun.id, tun.uuid, uuid)
			}
		}
	}
	if chained != count || len(b.tunnels.uuids)+len(b.tunnels.older) != count {
		fail("%d tunnels by UUID, %d in all", chained, count)
	}
	for i, tun := range b.deadlines {
		if b.tunnels.get(tun.id) != tun.tunnel || tun.due != tun.tunnel.due {
			fail("deadline of a tunnel that is not there, or is due at another time")
		}
		if parent := (i - 1) / 2; i > 0 && b.deadlines[parent].due > tun.due {
			fail("the deadlines are out of order")
		}
	}
	if b.tunnels.count-above > b.limit || b.queue.Len() > max(b.queue.Room(), 0) {
		fail("%d tunnels and %d in the queue", b.tunnels.count, b.queue.Len())
	}
}
