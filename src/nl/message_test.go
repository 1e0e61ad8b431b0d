package nl

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMessageGolden(t *testing.T) {
	for _, test := range []struct {
		name  string
		order Order
		want  string
	}{
		{"little", binary.LittleEndian, "" +
			"44000000 1300 0102 00000000 00000000" +
			"07000000" +
			"0500 0100 ab000000" + "0600 0200 cdab0000" + "0800 0300 04030201" + "0c00 0400 0807060504030201" +
			"0c00 0580 0500 0600 01000000"},
		{"big", binary.BigEndian, "" +
			"00000044 0013 0201 00000000 00000000" +
			"00000007" +
			"0005 0001 ab000000" + "0006 0002 abcd0000" + "0008 0003 01020304" + "000c 0004 0102030405060708" +
			"000c 8005 0005 0006 01000000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := NewMessage(test.order)
			m.Begin("x", unix.RTM_SETLINK, 0x201)
			m.Raw32(7)
			m.U8(1, 0xab)
			m.U16(2, 0xabcd)
			m.U32(3, 0x01020304)
			m.U64(4, 0x0102030405060708)
			mark := m.Nest(5 | unix.NLA_F_NESTED)
			m.U8(6, 1)
			m.End(mark)
			want := unhex(t, test.want)
			if got := m.Bytes(); !bytes.Equal(got, want) {
				t.Errorf("\n got %x\nwant %x", got, want)
			}
		})
	}
}

func TestTextAndData(t *testing.T) {
	m := NewMessage(binary.LittleEndian)
	m.Begin("x", 1, 0)
	m.String(1, "abc")
	m.String(2, "")
	m.Data(3, []byte{1, 2, 3, 4, 5})
	want := unhex(t, "0800 0100 61626300"+"0500 0200 00000000"+"0900 0300 0102030405000000")
	if got := m.Bytes()[headerLen:]; !bytes.Equal(got, want) {
		t.Errorf("\n got %x\nwant %x", got, want)
	}
}

func TestTooLong(t *testing.T) {
	for _, add := range []func(m *Message){
		func(m *Message) { m.String(1, strings.Repeat("x", 65531)) },
		func(m *Message) { m.Data(1, make([]byte, 65532)) },
		func(m *Message) {
			defer m.End(m.Nest(1))
			m.Data(1, make([]byte, 65500))
			m.Data(1, make([]byte, 65500))
		},
	} {
		c := Fake(func([]byte) []any { t.Error("sent"); return nil })
		m := c.Request("x", 1, 0)
		add(m)
		if err := c.Do(nil); !errors.Is(err, unix.EMSGSIZE) {
			t.Errorf("error %v, want EMSGSIZE", err)
		}
		if m.Begin("x", 1, 0); m.Err() != nil {
			t.Error("the error outlives the message")
		}
	}
}

func TestAttributes(t *testing.T) {
	for _, order := range []Order{binary.LittleEndian, binary.BigEndian} {
		m := NewMessage(order)
		m.Begin("x", 1, 0)
		m.U8(1, 0xab)
		m.U16(2, 0xabcd)
		m.U32(3, 0x01020304)
		m.U64(4, 0x0102030405060708)
		m.String(5, "eth0")
		mark := m.Nest(6 | unix.NLA_F_NESTED)
		m.U8(1, 9)
		m.End(mark)
		a := Parse(order, m.Bytes()[headerLen:])
		seen := 0
		for a.Next() {
			seen++
			ok := false
			switch a.Type() {
			case 1:
				ok = a.U8() == 0xab
			case 2:
				ok = a.U16() == 0xabcd
			case 3:
				ok = a.U32() == 0x01020304
			case 4:
				ok = a.U64() == 0x0102030405060708
			case 5:
				ok = a.String() == "eth0"
			case 6:
				n := a.Nested()
				ok = n.Next() && n.Type() == 1 && n.U8() == 9 && !n.Next()
			}
			if !ok {
				t.Errorf("%v: attribute %d has the wrong value", order, a.Type())
			}
		}
		if a.Err() != nil || seen != 6 {
			t.Errorf("%v: %d attributes, error %v", order, seen, a.Err())
		}
	}
}

func TestAttributeFaultsStick(t *testing.T) {
	for name, text := range map[string]string{
		"short header":    "080001",
		"length 3":        "03000100 00000000",
		"length past end": "09000100 00000000",
		"wrong size":      "06000100 01000000 08000200 01000000",
		"fault in nest":   "0a000500 03000100 01000000 08000200 01000000",
	} {
		a := Parse(binary.LittleEndian, unhex(t, text))
		for a.Next() {
			switch a.Type() {
			case 1:
				a.U32()
			case 2:
				t.Errorf("%s: reads on after the fault", name)
			case 5:
				for n := a.Nested(); n.Next(); {
				}
			}
		}
		if !errors.Is(a.Err(), ErrMalformed) || a.Next() || a.U32() != 0 || a.Bytes() != nil {
			t.Errorf("%s: error %v", name, a.Err())
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Helper()
		t.Fatal(err)
	}
	return b
}
