package tlv

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
)

// ErrMalformed is the error for a state that is cut off or was not written by
// this package.
var ErrMalformed = errors.New("the state is damaged")

// Fields reads the fields of one record. What it gives aliases the bytes that
// it reads. A value that does not have the form that is asked for reads as zero,
// ends the reading, and shows in Err.
type Fields struct {
	rest  []byte
	tag   Tag
	value []byte
	err   error
}

// Read begins to read a record.
func Read(record []byte) Fields { return Fields{rest: record} }

// Next goes to the next field; false at the end, or where something is wrong.
func (f *Fields) Next() bool {
	if f.err != nil || len(f.rest) == 0 {
		return false
	}
	tag, n := binary.Uvarint(f.rest)
	if n <= 0 {
		f.fail()
		return false
	}
	length, m := binary.Uvarint(f.rest[n:])
	if m <= 0 || length > uint64(len(f.rest)-n-m) {
		f.fail()
		return false
	}
	f.tag, f.value = Tag(tag), f.rest[n+m:n+m+int(length)]
	f.rest = f.rest[n+m+int(length):]
	return true
}

// Tag is the tag of the field.
func (f *Fields) Tag() Tag { return f.tag }

// Err is what was wrong, nil if nothing.
func (f *Fields) Err() error { return f.err }

// Bytes is the field's value, or the record in it.
func (f *Fields) Bytes() []byte { return f.value }

// String is the field's value as a text.
func (f *Fields) String() string { return string(f.value) }

// Uint is the number that AppendUint wrote.
func (f *Fields) Uint() uint64 {
	v, n := binary.Uvarint(f.value)
	if n <= 0 || n != len(f.value) {
		f.fail()
		return 0
	}
	return v
}

// Uint32 is a number of 32 bits, a larger one is an error.
func (f *Fields) Uint32() uint32 { return uint32(f.bounded(1<<32 - 1)) }

// Uint16 is a number of 16 bits.
func (f *Fields) Uint16() uint16 { return uint16(f.bounded(1<<16 - 1)) }

// Uint8 is a number of 8 bits.
func (f *Fields) Uint8() uint8 { return uint8(f.bounded(1<<8 - 1)) }

// Int is the number that AppendInt wrote; one that an int does not hold here is
// an error.
func (f *Fields) Int() int {
	v := f.Int64()
	if int64(int(v)) != v {
		f.fail()
		return 0
	}
	return int(v)
}

// Int64 is the number that AppendInt wrote.
func (f *Fields) Int64() int64 {
	v := f.Uint()
	return int64(v>>1) ^ -int64(v&1)
}

// Time is the time that AppendTime wrote.
func (f *Fields) Time() time.Duration { return time.Duration(f.Int64()) }

// Bool is the flag that AppendBool wrote.
func (f *Fields) Bool() bool { return f.bounded(1) == 1 }

// AddrPort is the address and port that AppendAddrPort wrote.
func (f *Fields) AddrPort() (v netip.AddrPort) {
	if v.UnmarshalBinary(f.value) != nil {
		f.fail()
	}
	return v
}

// Addr is the address that AppendAddr wrote.
func (f *Fields) Addr() (v netip.Addr) {
	if v.UnmarshalBinary(f.value) != nil {
		f.fail()
	}
	return v
}

func (f *Fields) bounded(most uint64) uint64 {
	v := f.Uint()
	if v > most {
		f.fail()
		return 0
	}
	return v
}

func (f *Fields) fail() { f.err = ErrMalformed }
