package offload

import (
	"math/rand/v2"
	"testing"
)

// slow is RFC 1071 as it is written: 16 bits at a time, big-endian.
func slow(b []byte) uint16 {
	s := uint32(0)
	for i, v := range b {
		if i%2 == 0 {
			s += uint32(v) << 8
		} else {
			s += uint32(v)
		}
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func TestSumIsRFC1071(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 3000)
	for range 3000 {
		n := r.IntN(len(b))
		if r.IntN(4) == 0 {
			n = r.IntN(80)
		}
		for i := range b[:n] {
			b[i] = byte(r.Uint32())
			if r.IntN(3) == 0 {
				b[i] = 0xff // carries
			}
		}
		want := slow(b[:n])
		for name, f := range map[string]func([]byte, uint64) uint64{"sum": sum, "sum32": sum32} {
			var got [2]byte
			native.PutUint16(got[:], fold(f(b[:n], 0)))
			if be.Uint16(got[:]) != want {
				t.Fatalf("%s of %d bytes is %x, want %04x", name, n, got, want)
			}
			// A start that overflows.
			native.PutUint16(got[:], fold(f(b[:n], ^uint64(0))))
			if v := be.Uint16(got[:]); v != want && (want != 0 || v != 0xffff) {
				t.Fatalf("%s of %d bytes on top of all ones is %04x, want %04x", name, n, v, want)
			}
		}
	}
}

func BenchmarkSum(b *testing.B) {
	src := make([]byte, 1394)
	b.SetBytes(int64(len(src)))
	for range b.N {
		sum(src, 0)
	}
}
