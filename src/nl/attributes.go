package nl

import (
	"errors"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
)

// ErrMalformed is what Attributes and messages report, wrapped with the place, when lengths do not fit together.
var ErrMalformed = errors.New("malformed netlink data")

// Attributes walks over a list of netlink attributes:
//
//	a := nl.Parse(nl.Host, body)
//	for a.Next() {
//		switch a.Type() {
//		case unix.IFLA_MTU:
//			mtu = a.U32()
//		}
//	}
//	return a.Err()
//
// The first fault sticks: Next returns false from then on, values are zero, and Err tells. Values alias the parsed bytes.
type Attributes struct {
	order  Order
	rest   []byte
	kind   uint16
	value  []byte
	parent *Attributes
	err    error
}

// Parse returns the attributes in b, none read yet. Nothing is copied.
func Parse(order Order, b []byte) Attributes { return Attributes{order: order, rest: b} }

// Next goes to the next attribute; false means the end or a fault.
func (a *Attributes) Next() bool {
	if a.err != nil || len(a.rest) == 0 {
		a.value = nil
		return false
	}
	if len(a.rest) < attributeLen {
		a.fail("bytes left after the last attribute", len(a.rest))
		return false
	}
	length := int(a.order.Uint16(a.rest))
	if length < attributeLen || length > len(a.rest) {
		a.fail("attribute length", length)
		return false
	}
	a.kind = a.order.Uint16(a.rest[2:])
	a.value = a.rest[attributeLen:length]
	a.rest = a.rest[min(padded(length), len(a.rest)):]
	return true
}

// Type is the kind of the current attribute, without the flags for nesting and byte order.
func (a *Attributes) Type() uint16 {
	return a.kind &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
}

// Bytes is the value of the current attribute. It aliases the parsed bytes.
func (a *Attributes) Bytes() []byte { return a.value }

// String is the value as text, without the zero bytes that end it.
func (a *Attributes) String() string { return string(Text(a.value)) }

// U8 is an 8-bit value; a fault if the attribute is not one byte.
func (a *Attributes) U8() uint8 {
	if !a.sized(1) {
		return 0
	}
	return a.value[0]
}

// U16 is a 16-bit value; a fault if the attribute is not two bytes.
func (a *Attributes) U16() uint16 {
	if !a.sized(2) {
		return 0
	}
	return a.order.Uint16(a.value)
}

// U32 is a 32-bit value; a fault if the attribute is not four bytes.
func (a *Attributes) U32() uint32 {
	if !a.sized(4) {
		return 0
	}
	return a.order.Uint32(a.value)
}

// U64 is a 64-bit value; a fault if the attribute is not eight bytes.
func (a *Attributes) U64() uint64 {
	if !a.sized(8) {
		return 0
	}
	return a.order.Uint64(a.value)
}

// Nested walks over the attributes within the current one. Its faults become the outer list's faults as well.
func (a *Attributes) Nested() Attributes {
	return Attributes{order: a.order, rest: a.value, parent: a, err: a.err}
}

// Err is the first fault, or nil. It wraps ErrMalformed.
func (a *Attributes) Err() error { return a.err }

func (a *Attributes) sized(want int) bool {
	if a.err == nil && len(a.value) != want {
		a.fail("value length", len(a.value))
	}
	return a.err == nil
}

func (a *Attributes) fail(what string, n int) {
	err := phrase.Errorf("%w: attribute %d: %s %d", ErrMalformed, a.Type(), what, n)
	for ; a != nil && a.err == nil; a = a.parent {
		a.err, a.value, a.rest = err, nil, nil
	}
}

// Text cuts a text that the kernel ends with a zero byte. It aliases b.
func Text(b []byte) []byte {
	for i, c := range b {
		if c == 0 {
			return b[:i]
		}
	}
	return b
}
