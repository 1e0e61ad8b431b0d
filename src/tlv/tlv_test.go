package tlv

import (
	"bytes"
	"errors"
	"math"
	"net/netip"
	"testing"
	"time"
)

func TestRoundTrip(t *testing.T) {
	at := netip.MustParseAddrPort("[fe80::1%2]:53")
	b := AppendUint(nil, 1, math.MaxUint64)
	b = AppendInt(b, 2, -7)
	b = AppendTime(b, 3, time.Hour)
	b = AppendBool(b, 4, true)
	b = AppendString(b, 5, "")
	b = AppendAddrPort(b, 6, at)
	b, mark := Begin(b, 7)
	b = AppendInt(b, 1, math.MinInt64)
	b = AppendAddr(b, 2, at.Addr())
	b = End(b, mark)
	b = AppendUint(b, 8, 0)
	b = AppendBool(b, 9, false)
	b = AppendUint(b, 1<<40, 1) // a tag of the future

	f := Read(b)
	seen := 0
	for f.Next() {
		seen++
		ok := true
		switch f.Tag() {
		case 1:
			ok = f.Uint() == math.MaxUint64
		case 2:
			ok = f.Int() == -7
		case 3:
			ok = f.Time() == time.Hour
		case 4:
			ok = f.Bool()
		case 5:
			ok = f.String() == ""
		case 6:
			ok = f.AddrPort() == at
		case 7:
			in := Read(f.Bytes())
			ok = in.Next() && in.Int64() == math.MinInt64 && in.Next() && in.Addr() == at.Addr() && !in.Next() && in.Err() == nil
		case 8, 9:
			t.Errorf("field %d is zero and was written", f.Tag())
		}
		if !ok {
			t.Errorf("field %d reads wrong", f.Tag())
		}
	}
	if f.Err() != nil || seen != 8 {
		t.Errorf("%d fields, error %v", seen, f.Err())
	}
}

// Values that don't have the form that is asked for.
func TestMalformed(t *testing.T) {
	for name, ask := range map[string]func(*Fields){
		"uint":   func(f *Fields) { f.Uint() },
		"bool":   func(f *Fields) { f.Bool() },
		"uint8":  func(f *Fields) { f.Uint8() },
		"uint16": func(f *Fields) { f.Uint16() },
		"uint32": func(f *Fields) { f.Uint32() },
		"addr":   func(f *Fields) { f.Addr() },
		"addr+":  func(f *Fields) { f.AddrPort() },
	} {
		for _, value := range [][]byte{{0xff}, bytes.Repeat([]byte{0xff}, 11), {1, 1}, {0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}} {
			f := Read(AppendBytes(nil, 1, value))
			f.Next()
			if name == "uint" && len(value) == 6 || name == "addr+" && len(value)%4 == 2 {
				continue // these have the form
			}
			if ask(&f); !errors.Is(f.Err(), ErrMalformed) || f.Next() {
				t.Errorf("%s of % x: no error", name, value)
			}
		}
	}
}

// FuzzFields: whatever it reads, it stays within bounds, and what it reads as a
// record is the same when it is written again.
func FuzzFields(f *testing.F) {
	f.Add([]byte{})
	f.Add(AppendString(AppendUint(nil, 1, 300), 2, "x"))
	f.Add([]byte{1, 0x80, 0x80, 0x80, 0x00, 2, 1})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		r := Read(b)
		for r.Next() {
			again = AppendBytes(again, r.Tag(), r.Bytes())
			for _, ask := range []func(*Fields){
				func(f *Fields) { f.Uint() }, func(f *Fields) { f.Int() }, func(f *Fields) { f.Bool() },
				func(f *Fields) { f.AddrPort() }, func(f *Fields) { f.Addr() },
			} {
				one := r
				ask(&one)
			}
		}
		if r.Err() == nil {
			x, y := Read(b), Read(again)
			for x.Next() {
				if !y.Next() || x.Tag() != y.Tag() || !bytes.Equal(x.Bytes(), y.Bytes()) {
					t.Fatalf("% x reads otherwise than % x", again, b)
				}
			}
		}
	})
}
