package broker

import (
	"fmt"
	"slices"
	"testing"

	"tunneldigger/src/wire"
)

// sent is how many bytes of UDP payload the effects of the last action are.
func (r *rig) sentBytes() (n int) {
	for i := range r.out {
		if e := &r.out[i]; e.Kind == EffectReply || e.Kind == EffectSend {
			n += max(e.Size, len(e.Message()))
		}
	}
	return n
}

// anything are datagrams of every type and many sizes, whole, padded and cut off.
func anything() (all [][]byte) {
	fills := []byte{0, 1, 4, 0x5c, 0xff}
	for kind := range 256 {
		for _, length := range []int{0, 1, 2, 3, 4, 7, 8, 9, 10, 12, 16, 17, 32, 64, 128, 255} {
			for _, fill := range fills {
				if fill != 0 && length == 0 {
					continue
				}
				d := append([]byte{0x80, 0x73, 0xA7, 1, byte(kind), byte(length)}, slices.Repeat([]byte{fill}, length)...)
				all = append(all, d)
				if len(d) < wire.MinSize {
					all = append(all, append(slices.Clone(d), make([]byte, wire.MinSize-len(d))...))
				}
			}
		}
	}
	for _, size := range []int{6, 7, 11, 12, 13, 100, 1472} {
		all = append(all, append([]byte{0x80, 0x73, 0xA7, 1, byte(wire.TypePMTUD), 0}, make([]byte, size-6)...))
	}
	for _, mtu := range []uint16{0, 1280, 1346, 1400, 1446, 1500, 65535} {
		all = append(all, wire.AppendPMTUNtfy(nil, mtu))
	}
	for _, size := range []uint16{1306, 1372, 1422, 1448, 1464, 1472, 1500} {
		all = append(all, wire.AppendPMTUDAck(nil, size), wire.AppendPMTUDAck(nil, size)[:8])
	}
	all = append(all, wire.AppendLimit(nil, 1, 1000), wire.AppendLimit(nil, 1, 1000)[:8],
		wire.AppendPrepare(nil, make([]byte, 8), []byte("a"), 1, unique), wire.AppendPrepareNoID(nil, make([]byte, 8), []byte("a")))
	for n := range 20 { // nothing of ours at all
		all = append(all, make([]byte, n), slices.Repeat([]byte{0x80}, n))
	}
	return all
}

// Whatever somebody sends who has no cookie, and whoever's address he puts on it,
// the answer is no larger. At the listener or at a tunnel's socket it comes
// from an address that nothing is known of, which is one and the same to the core, or
// in the name of the client of a tunnel.
//
// With a cookie, which only goes to its address, a PREPARE is answered at once by
// no more than itself, save that a repeated one is told the MTU as well.
func TestAmplification(t *testing.T) {
	for _, mtu := range []int{0, 1400} {
		c := probing
		c.PMTU = mtu
		for _, way := range []struct {
			name string
			from pair
			id   uint32
		}{{"a stranger", bob, 0}, {"a client's name at the listener", alice, 0}, {"a client's name at its socket", alice, 100}} {
			for _, measured := range []bool{false, true} {
				start := func() *rig {
					r := newRig(t, c, Options{})
					r.alone = true
					r.up(alice, "a", 7, unique)
					if measured {
						r.run(s) // a round of probes has begun
					}
					return r
				}
				r := start()
				for _, data := range anything() {
					if way.id != 0 {
						r.socket(way.id, data)
					} else {
						r.listener(way.from, data)
					}
					if n := r.sentBytes(); n > len(data) {
						t.Fatalf("fixed MTU %d, %s: %d bytes %q in answer to %d: % x", mtu, way.name, n, r.lines(), len(data), data)
					}
					if r.tunnels.get(100).state != up { // it was an ERROR
						r = start()
					}
				}
			}
		}
	}
}

// What a good PREPARE is answered by.
func TestAmplificationWithCookie(t *testing.T) {
	c := quiet
	c.RateInterval = 12 * s // room for one
	for _, uuid := range []string{"a", "not good!", "-", "", "a-uuid-of-some-length"} {
		for _, old := range []bool{false, true} {
			r := newRig(t, c, Options{})
			for i, from := range []pair{alice, bob, carol, dave} { // let in, queued, refused
				data := wire.AppendPrepare(nil, r.cookie(from), []byte(uuid), uint32(i), unique)
				if old {
					data = wire.AppendPrepareNoID(nil, r.cookie(from), []byte(uuid))
				}
				for range 2 {
					if r.listener(from, data); r.sentBytes() > len(data) {
						t.Errorf("%q: %d bytes in answer to %d: %q", uuid, r.sentBytes(), len(data), r.lines())
					}
				}
			}
		}
	}
}

// Not at once, but in time: what one forged datagram in the name of a client
// changes about what that is sent. Only a round of probes is larger, of which
// there is one at once and then, however often it is asked for, ever fewer.
func TestAmplificationLater(t *testing.T) {
	flood := func(every int, data func(i int) []byte) (probes int) {
		r := newRig(t, probing, Options{})
		r.alone = true
		r.up(alice, "a", 7, unique)
		for i := range 3600 {
			for _, l := range r.run(s) {
				var at float64
				var id, size int
				if n, _ := fmt.Sscanf(l, "%g %d ← PMTUD %d", &at, &id, &size); n == 3 {
					probes += size
					if size == 1472 { // the client is there
						r.socket(100, wire.AppendPMTUDAck(nil, 1472))
					}
				}
			}
			r.socket(100, wire.AppendClientKeepalive(nil, 1))
			if i%every == 0 {
				r.socket(100, data(i))
			}
		}
		return probes
	}
	quietly := flood(1, func(i int) []byte { return wire.AppendClientKeepalive(nil, uint32(i)) })
	for name, data := range map[string]func(i int) []byte{
		"PMTU_NTFY": func(i int) []byte { return wire.AppendPMTUNtfy(nil, uint16(1300+i%2)) },
		"PMTUD_ACK": func(i int) []byte { return wire.AppendPMTUDAck(nil, uint16(1306+i%2*66)) },
		"LIMIT":     func(i int) []byte { return wire.AppendLimit(nil, uint16(i), uint32(i)) },
		"TUNNEL":    func(i int) []byte { return wire.AppendTunnel(nil, 1, 1) },
	} {
		// A round is 8528 bytes here. An hour has 8 rounds of its own.
		if got := flood(1, data); got > quietly+20*8528 {
			t.Errorf("%s every second for an hour: %d bytes of probes instead of %d", name, got, quietly)
		}
	}
}
