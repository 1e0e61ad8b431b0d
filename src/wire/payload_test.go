package wire

import (
	"bytes"
	"errors"
	"testing"
)

func TestParsePrepare(t *testing.T) {
	const cookie = "0102030405060708"
	tests := []struct {
		name, hex string
		uuid      string
		id        uint32
		features  Features
		err       error
	}{
		{"features", cookie + "03616263 00000007 00000001", "abc", 7, 1, nil},
		{"features unknown to us", cookie + "03616263 00000007 80000003", "abc", 7, 0x80000003, nil},
		{"no features", cookie + "03616263 00000007", "abc", 7, 0, nil},
		{"no tunnel ID", cookie + "03616263", "abc", 1, 0, nil},
		{"a field of the future", cookie + "03616263 00000007 00000001 ff", "abc", 7, 1, nil},
		{"no UUID", cookie + "00 00000007", "", 7, 0, nil},
		{"empty", "", "", 0, 0, ErrPayload},
		{"no UUID length", cookie, "", 0, 0, ErrPayload},
		{"UUID past the end", cookie + "04616263", "", 0, 0, ErrPayload},
		{"half a tunnel ID", cookie + "03616263 000007", "", 0, 0, ErrPayload},
		{"half the features", cookie + "03616263 00000007 0000", "", 0, 0, ErrPayload},
	}
	for _, tt := range tests {
		m, err := ParsePrepare(unhex(t, tt.hex))
		if !errors.Is(err, tt.err) || string(m.UUID) != tt.uuid || m.TunnelID != tt.id || m.Features != tt.features {
			t.Errorf("%s: %+v, %v", tt.name, m, err)
		}
		if err == nil && m.Cookie != [8]byte{1, 2, 3, 4, 5, 6, 7, 8} {
			t.Errorf("%s: cookie %x", tt.name, m.Cookie)
		}
	}
}

func TestParseTunnel(t *testing.T) {
	tests := []struct {
		hex      string
		id       uint32
		features Features
		err      error
	}{
		{"00000064", 100, 0, nil},
		{"00000064 00000001", 100, 1, nil},
		{"00000064 00000001 00", 100, 1, nil},
		{"", 0, 0, ErrPayload},
		{"000064", 0, 0, ErrPayload},
		{"00000064 00", 0, 0, ErrPayload},
	}
	for _, tt := range tests {
		id, f, err := ParseTunnel(unhex(t, tt.hex))
		if id != tt.id || f != tt.features || !errors.Is(err, tt.err) {
			t.Errorf("%q: %d, %d, %v", tt.hex, id, f, err)
		}
	}
}

func TestParseSmall(t *testing.T) {
	if v, ok := ParseUint16([]byte{1, 2, 3}); v != 0x0102 || !ok {
		t.Error(v, ok)
	}
	if v, ok := ParseUint16([]byte{1}); v != 0 || ok {
		t.Error(v, ok)
	}
	if c, ok := ParseCookie([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}); c != [8]byte{1, 2, 3, 4, 5, 6, 7, 8} || !ok {
		t.Error(c, ok)
	}
	if _, ok := ParseCookie(make([]byte, 7)); ok {
		t.Error("a cookie of 7 bytes")
	}
	for hex, want := range map[string]Features{
		"": 0, "00": 0, "0000000000000000": 0, "0000000000000000 000000": 0,
		"0000000000000000 00000001": 1, "0000000000000000 80000000 00": 0x80000000,
	} {
		if got := ParseUsageRequest(unhex(t, hex)); got != want {
			t.Errorf("usage request %q: %d, want %d", hex, got, want)
		}
	}
}

func TestParseLimit(t *testing.T) {
	tests := []struct {
		name, hex string
		seq       uint16
		hasSeq    bool
		err       error
		kbit      uint32
		bandwidth bool
	}{
		{"bandwidth", "0007 01 04 000007d0", 7, true, nil, 2000, true},
		{"trailing bytes", "0007 01 04 000007d0 ff", 7, true, nil, 2000, true},
		{"unknown type", "0007 02 04 000007d0", 7, true, nil, 0, false},
		{"short config", "0007 01 02 07d0", 7, true, nil, 0, false},
		{"long config", "0007 01 05 000007d000", 7, true, nil, 0, false},
		{"no config", "0007 01 00", 7, true, nil, 0, false},
		{"config past the end", "0007 01 04 0007d0", 7, true, ErrPayload, 0, false},
		{"no config length", "0007 01", 7, true, ErrPayload, 0, false},
		{"sequence number alone", "0007", 7, true, ErrPayload, 0, false},
		{"half a sequence number", "07", 0, false, ErrPayload, 0, false},
		{"empty", "", 0, false, ErrPayload, 0, false},
	}
	for _, tt := range tests {
		m, hasSeq, err := ParseLimit(unhex(t, tt.hex))
		if m.Seq != tt.seq || hasSeq != tt.hasSeq || !errors.Is(err, tt.err) {
			t.Errorf("%s: %+v, %v, %v", tt.name, m, hasSeq, err)
		}
		if kbit, ok := m.Bandwidth(); kbit != tt.kbit || ok != tt.bandwidth {
			t.Errorf("%s: bandwidth %d, %v", tt.name, kbit, ok)
		}
	}
}

// FuzzParse holds every parser to its promises on any datagram, and checks that
// what was understood is appended as it came.
func FuzzParse(f *testing.F) {
	for _, tt := range golden {
		f.Add(tt.append(nil))
	}
	f.Fuzz(func(t *testing.T, d []byte) {
		m, err := Parse(d)
		if err != nil {
			return
		}
		if m.Size != len(d) || !bytes.HasPrefix(d[HeaderSize:], m.Payload) || len(m.Payload) != int(d[5]) {
			t.Fatalf("%x: %+v", d, m)
		}
		var again []byte
		switch m.Type {
		case TypeCookie:
			if c, ok := ParseCookie(m.Payload); ok && len(m.Payload) == 8 {
				again = AppendCookie(nil, c)
			}
		case TypeError:
			if r, ok := ParseError(m.Payload); ok && len(m.Payload) == 1 {
				again = AppendErrorReason(nil, r)
			}
		case TypeTunnel:
			if id, features, err := ParseTunnel(m.Payload); err == nil && len(m.Payload) <= 8 && (len(m.Payload) == 4) == (features == 0) {
				again = AppendTunnel(nil, id, features)
			}
		case TypePMTUDAck, TypePMTUNtfy, TypeRelAck, TypeUsage:
			if v, ok := ParseUint16(m.Payload); ok && len(m.Payload) == 2 {
				again = appendUint16(nil, m.Type, v)
			}
			ParseUsageRequest(m.Payload)
		case TypePrepare:
			ParsePrepare(m.Payload)
		case TypeLimit:
			ParseLimit(m.Payload)
		}
		if again == nil {
			return
		}
		// Only the header and the payload are the sender's to choose.
		if n := HeaderSize + len(m.Payload); !bytes.Equal(again[:n], d[:n]) {
			t.Fatalf("%x became %x", d, again)
		}
	})
}

func FuzzPrepare(f *testing.F) {
	f.Add([]byte("12345678"), []byte("uuid"), uint32(1), uint32(1))
	f.Add([]byte("12345678"), []byte{}, uint32(0), uint32(0))
	f.Add([]byte("1234"), bytes.Repeat([]byte{'x'}, 255), uint32(1<<31), uint32(1<<31))
	f.Fuzz(func(t *testing.T, cookie, uuid []byte, id, features uint32) {
		m, err := Parse(AppendPrepare(nil, cookie, uuid, id, Features(features)))
		if err != nil || m.Type != TypePrepare {
			t.Fatal(m, err)
		}
		p, err := ParsePrepare(m.Payload)
		if err != nil {
			t.Fatal(err)
		}
		var c [8]byte
		copy(c[:], cookie)
		if p.Cookie != c || !bytes.Equal(p.UUID, uuid[:min(len(uuid), MaxUUID)]) || p.TunnelID != id || p.Features != Features(features) {
			t.Fatalf("%+v", p)
		}
	})
}

func FuzzLimit(f *testing.F) {
	f.Add([]byte{0, 7, 1, 4, 0, 0, 7, 0xd0})
	f.Add([]byte{0, 7, 1, 200, 0})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, hasSeq, err := ParseLimit(payload)
		if hasSeq != (len(payload) >= 2) || (err == nil && !hasSeq) {
			t.Fatalf("%x: %+v, %v, %v", payload, m, hasSeq, err)
		}
		kbit, ok := m.Bandwidth()
		if !ok {
			return
		}
		again, err := Parse(AppendLimit(nil, m.Seq, kbit))
		if err != nil || !bytes.Equal(again.Payload, payload[:8]) {
			t.Fatalf("%x became %x, %v", payload, again.Payload, err)
		}
	})
}
