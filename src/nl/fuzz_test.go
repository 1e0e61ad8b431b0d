package nl

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// FuzzAttributes reads arbitrary bytes as attributes in both byte orders, nests included, builds what it has read anew and
// reads that again: it must be the same, and nothing may panic or read past the end.
func FuzzAttributes(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, order := range []Order{binary.LittleEndian, binary.BigEndian} {
			m := NewMessage(order)
			m.Begin("fuzz", 1, 0)
			a := Parse(order, b)
			for a.Next() {
				m.Data(a.kind, a.Bytes())
				apart := a // faults within a value are not faults of the list here
				_, _, _ = a.String(), a.Type(), walk(apart.Nested(), 0)
			}
			if a.Err() == nil && a.Next() {
				t.Fatal("goes on after the end")
			}
			first, second := Parse(order, b), Parse(order, m.Bytes()[headerLen:])
			for first.Next() {
				if !second.Next() || first.kind != second.kind || !bytes.Equal(first.Bytes(), second.Bytes()) {
					t.Fatalf("built anew: %v", second.Err())
				}
			}
			if second.Next() || second.Err() != nil {
				t.Fatalf("built anew, there is more: %v", second.Err())
			}
			// The same bytes as a batch of messages, and as the body of an acknowledgement.
			for rest := b; len(rest) > 0; {
				h, body, next, err := cut(order, rest)
				if err != nil {
					break
				}
				_, _ = acknowledged("fuzz", order, h.Flags, body), finished("fuzz", order, h.Flags, body)
				rest = next
			}
			_ = acknowledged("fuzz", order, 0xffff, b)
			_ = acknowledged("fuzz", order, 0xfeff, b)
		}
	})
}

func walk(a Attributes, depth int) (values int) {
	for depth < 8 && a.Next() {
		switch len(a.Bytes()) {
		case 1:
			values += int(a.U8())
		case 2:
			values += int(a.U16())
		case 4:
			values += int(a.U32() & 1)
		case 8:
			values += int(a.U64() & 1)
		}
		values += walk(a.Nested(), depth+1)
	}
	return values
}
