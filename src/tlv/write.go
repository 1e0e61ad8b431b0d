package tlv

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Tag says which field a value is, within the record that it stands in.
type Tag uint64

// lengthSize is how many bytes the length of a nested record takes: a varint
// that is padded, since it is not known when the record begins. It holds 28 bits.
const lengthSize = 4

// AppendUint appends a number, unless it is 0: that is what a reader assumes.
func AppendUint(dst []byte, tag Tag, v uint64) []byte {
	if v == 0 {
		return dst
	}
	var b [binary.MaxVarintLen64]byte
	return AppendBytes(dst, tag, b[:binary.PutUvarint(b[:], v)])
}

// AppendInt appends a number that may be negative, unless it is 0.
func AppendInt(dst []byte, tag Tag, v int64) []byte {
	return AppendUint(dst, tag, uint64(v)<<1^uint64(v>>63))
}

// AppendTime appends a time or duration, in nanoseconds.
func AppendTime(dst []byte, tag Tag, t time.Duration) []byte { return AppendInt(dst, tag, int64(t)) }

// AppendBool appends a flag, unless it is off.
func AppendBool(dst []byte, tag Tag, on bool) []byte {
	if on {
		return AppendUint(dst, tag, 1)
	}
	return dst
}

// AppendBytes appends bytes, also when there are none.
func AppendBytes(dst []byte, tag Tag, v []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(tag))
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	return append(dst, v...)
}

// AppendString appends a text, also an empty one.
func AppendString(dst []byte, tag Tag, v string) []byte {
	dst = binary.AppendUvarint(dst, uint64(tag))
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	return append(dst, v...)
}

// AppendAddrPort appends an address with its zone and port.
func AppendAddrPort(dst []byte, tag Tag, v netip.AddrPort) []byte {
	b, _ := v.MarshalBinary() // never fails
	return AppendBytes(dst, tag, b)
}

// AppendAddr appends an address with its zone.
func AppendAddr(dst []byte, tag Tag, v netip.Addr) []byte {
	b, _ := v.MarshalBinary()
	return AppendBytes(dst, tag, b)
}

// Begin opens a record within a record: its fields follow, then End with the
// mark.
func Begin(dst []byte, tag Tag) (_ []byte, mark int) {
	dst = binary.AppendUvarint(dst, uint64(tag))
	return append(dst, make([]byte, lengthSize)...), len(dst) + lengthSize
}

// End closes the record that Begin opened.
func End(dst []byte, mark int) []byte {
	n := len(dst) - mark
	for i := mark - lengthSize; i < mark; i++ {
		dst[i] = byte(n&0x7f) | 0x80
		n >>= 7
	}
	dst[mark-1] &^= 0x80
	return dst
}
