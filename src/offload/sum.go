package offload

import (
	"encoding/binary"
	"math/bits"
)

// Internet checksums (RFC 1071) are computed over words in the machine's own byte order, which gives the same bytes in the end. A sum is kept in
// 64 bits until fold. Whatever a sum is of begins at an even place.

var be, native = binary.BigEndian, binary.NativeEndian

// word is a 16-bit number of a header as it counts in a sum.
func word(v uint16) uint64 {
	var b [2]byte
	be.PutUint16(b[:], v)
	return uint64(native.Uint16(b[:]))
}

// fold brings a sum to 16 bits.
func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint16(s>>16 + s&0xffff)
}

// add is the sum of both, with the carry that sums need.
func add(a, b uint64) uint64 {
	s, c := bits.Add64(a, b, 0)
	return s + c
}

// sum adds the bytes to s.
func sum(b []byte, s uint64) uint64 {
	if bits.UintSize == 32 {
		return sum32(b, s)
	}
	var c uint64
	for len(b) >= 64 {
		w := (*[64]byte)(b)
		s, c = bits.Add64(s, native.Uint64(w[0:]), 0)
		s, c = bits.Add64(s, native.Uint64(w[8:]), c)
		s, c = bits.Add64(s, native.Uint64(w[16:]), c)
		s, c = bits.Add64(s, native.Uint64(w[24:]), c)
		s, c = bits.Add64(s, native.Uint64(w[32:]), c)
		s, c = bits.Add64(s, native.Uint64(w[40:]), c)
		s, c = bits.Add64(s, native.Uint64(w[48:]), c)
		s, c = bits.Add64(s, native.Uint64(w[56:]), c)
		s += c
		b = b[64:]
	}
	for len(b) >= 8 {
		s, c = bits.Add64(s, native.Uint64(b), 0)
		s += c
		b = b[8:]
	}
	return tail(b, s)
}

// tail adds the last bytes, fewer than 8; the last one of an odd number counts as if a zero followed.
func tail(b []byte, s uint64) uint64 {
	if len(b) >= 4 {
		s = add(s, uint64(native.Uint32(b)))
		b = b[4:]
	}
	if len(b) >= 2 {
		s = add(s, uint64(native.Uint16(b)))
		b = b[2:]
	}
	if len(b) == 1 {
		s = add(s, uint64(native.Uint16([]byte{b[0], 0})))
	}
	return s
}

// sum32 is sum where 64 bits take two registers.
func sum32(b []byte, s uint64) uint64 {
	var low, carry uint32
	for len(b) >= 4 {
		w := native.Uint32(b)
		low += w
		if low < w {
			carry++
		}
		b = b[4:]
	}
	return tail(b, add(s, uint64(carry)+uint64(low)))
}

// pseudo is the sum of the pseudo-header but for the length (RFC 9293, 3.1; RFC 8200, 8.1). addresses are both, one behind the other.
func pseudo(addresses []byte, proto byte) uint64 { return sum(addresses, word(uint16(proto))) }
