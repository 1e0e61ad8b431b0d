package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// golden holds the bytes of every message, as protocol.md lays them out.
var golden = []struct {
	name   string
	append func(b []byte) []byte
	hex    string
}{
	{"cookie request", AppendCookieRequest, "8073a7010108 0000000000000000"},
	{"cookie", func(b []byte) []byte { return AppendCookie(b, [8]byte{1, 2, 3, 4, 5, 6, 7, 8}) },
		"8073a7010108 0102030405060708"},
	{"prepare", func(b []byte) []byte {
		return AppendPrepare(b, []byte{1, 2, 3, 4, 5, 6, 7, 8}, []byte("abc"), 0x11223344, UniqueSessionID)
	}, "8073a7010214 0102030405060708 03 616263 11223344 00000001"},
	{"prepare of an old client", func(b []byte) []byte {
		return AppendPrepare(b, []byte{1, 2, 3, 4, 5, 6, 7, 8}, []byte("abc"), 1, 0)
	}, "8073a7010210 0102030405060708 03 616263 00000001"},
	{"prepare with a short cookie", func(b []byte) []byte { return AppendPrepare(b, []byte{9}, nil, 1, 0) },
		"8073a701020d 0900000000000000 00 00000001"},
	{"prepare without tunnel ID", func(b []byte) []byte {
		return AppendPrepareNoID(b, []byte{1, 2, 3, 4, 5, 6, 7, 8}, []byte("abc"))
	}, "8073a701020c 0102030405060708 03 616263"},
	{"error", AppendError, "8073a7010300 000000000000"},
	{"error with reason", func(b []byte) []byte { return AppendErrorReason(b, ReasonClientShutdown) },
		"8073a7010301 11 0000000000"},
	{"tunnel", func(b []byte) []byte { return AppendTunnel(b, 0x01020304, UniqueSessionID) },
		"8073a7010408 01020304 00000001"},
	{"tunnel without features", func(b []byte) []byte { return AppendTunnel(b, 0x01020304, 0) },
		"8073a7010404 01020304 0000"},
	{"keepalive", func(b []byte) []byte { return AppendKeepalive(b, 0x0102) }, "8073a7010502 0102 00000000"},
	{"client keepalive", func(b []byte) []byte { return AppendClientKeepalive(b, 0x01020304) },
		"8073a7010504 01020304 0000"},
	{"pmtud", func(b []byte) []byte { return AppendPMTUD(b, 20) },
		"8073a7010600 0000000000000000000000000000"},
	{"pmtud below the least size", func(b []byte) []byte { return AppendPMTUD(b, 3) }, "8073a7010600 000000000000"},
	{"pmtud header", AppendPMTUDHeader, "8073a7010600"},
	{"pmtud ack", func(b []byte) []byte { return AppendPMTUDAck(b, 1472) }, "8073a7010702 05c0 00000000"},
	{"rel ack", func(b []byte) []byte { return AppendRelAck(b, 0xfffe) }, "8073a7010802 fffe 00000000"},
	{"pmtu ntfy", func(b []byte) []byte { return AppendPMTUNtfy(b, 1446) }, "8073a7010902 05a6 00000000"},
	{"usage request", func(b []byte) []byte { return AppendUsageRequest(b, UniqueSessionID) },
		"8073a7010a0c 0000000000000000 00000001"},
	{"usage request of an old client", func(b []byte) []byte { return AppendUsageRequest(b, 0) },
		"8073a7010a08 0000000000000000"},
	{"usage", func(b []byte) []byte { return AppendUsage(b, 65535) }, "8073a7010a02 ffff 00000000"},
	{"limit", func(b []byte) []byte { return AppendLimit(b, 7, 2000) }, "8073a7018008 0007 01 04 000007d0"},
}

func TestAppend(t *testing.T) {
	for _, tt := range golden {
		want := unhex(t, tt.hex)
		got := tt.append([]byte("before"))
		if !bytes.Equal(got[6:], want) || string(got[:6]) != "before" {
			t.Errorf("%s: %x, want %x", tt.name, got[6:], want)
		}
		if tt.name == "pmtud header" {
			continue
		}
		if len(want) < MinSize {
			t.Errorf("%s: shorter than %d bytes", tt.name, MinSize)
		}
		m, err := Parse(want)
		if err != nil || m.Size != len(want) {
			t.Errorf("%s: parsed as %+v, %v", tt.name, m, err)
		}
	}
	long := AppendPrepare(nil, nil, make([]byte, 300), 1, UniqueSessionID)
	if m, err := Parse(long); err != nil || len(m.Payload) != MaxPayload {
		t.Errorf("a UUID of 300 bytes: %d bytes of payload, %v", len(m.Payload), err)
	}
}

func TestParse(t *testing.T) {
	tests := []struct {
		name, hex string
		want      Message
		err       error
	}{
		{"empty", "", Message{}, ErrShort},
		{"five bytes", "8073a70101", Message{}, ErrShort},
		{"header alone", "8073a7010300", Message{TypeError, nil, 6}, nil},
		{"first magic", "0073a7010300", Message{}, ErrMagic},
		{"second magic", "8074a7010300", Message{}, ErrMagic},
		{"third magic", "8073a8010300", Message{}, ErrMagic},
		{"data packet", "000300000000000100000000", Message{}, ErrMagic},
		{"version 2", "8073a7020300", Message{}, ErrVersion},
		{"version 0", "8073a7000300", Message{}, ErrVersion},
		{"length past the end", "8073a701030101"[:12], Message{}, ErrLength},
		{"length to the end", "8073a701030111", Message{TypeError, []byte{0x11}, 7}, nil},
		{"padding is ignored", "8073a701030111ffffffffff", Message{TypeError, []byte{0x11}, 12}, nil},
		{"unknown type", "8073a701ff00", Message{0xff, nil, 6}, nil},
	}
	for _, tt := range tests {
		got, err := Parse(unhex(t, tt.hex))
		if !errors.Is(err, tt.err) || got.Type != tt.want.Type || got.Size != tt.want.Size || !bytes.Equal(got.Payload, tt.want.Payload) {
			t.Errorf("%s: %+v, %v; want %+v, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

func TestPayloadCannotGrowIntoPadding(t *testing.T) {
	d := AppendErrorReason(nil, ReasonBrokerShutdown)
	m, _ := Parse(d)
	_ = append(m.Payload, 0xff)
	if d[7] != 0 {
		t.Error("appending to a payload overwrote the datagram")
	}
}

func TestTypes(t *testing.T) {
	for typ, name := range map[Type]string{
		TypeCookie: "COOKIE", TypePrepare: "PREPARE", TypeError: "ERROR", TypeTunnel: "TUNNEL",
		TypeKeepalive: "KEEPALIVE", TypePMTUD: "PMTUD", TypePMTUDAck: "PMTUD_ACK", TypeRelAck: "REL_ACK",
		TypePMTUNtfy: "PMTU_NTFY", TypeUsage: "USAGE", TypeLimit: "LIMIT", 0x7f: "0x7f", 0xfe: "0xfe",
	} {
		if typ.String() != name {
			t.Errorf("%d: %s, want %s", typ, typ, name)
		}
		if typ.Reliable() != (typ == TypeLimit || typ == 0xfe) {
			t.Errorf("%s: Reliable is %v", typ, typ.Reliable())
		}
	}
}

func TestReasons(t *testing.T) {
	seen := map[string]Reason{}
	for _, r := range []Reason{
		ReasonBrokerOther, ReasonBrokerShutdown, ReasonBrokerTimeout, ReasonBrokerFailure, ReasonBrokerUndefined,
		ReasonClientOther, ReasonClientShutdown, ReasonClientTimeout, ReasonClientFailure,
	} {
		s := r.String()
		who := "broker"
		if r>>4 == 1 {
			who = "client"
		}
		if strings.HasPrefix(s, "reason") || !strings.Contains(s, who) || seen[s] != 0 {
			t.Errorf("%#x: %q", uint8(r), s)
		}
		seen[s] = r
		m, _ := Parse(AppendErrorReason(nil, r))
		if got, ok := ParseError(m.Payload); got != r || !ok {
			t.Errorf("%#x: parsed as %#x, %v", uint8(r), uint8(got), ok)
		}
	}
	if got := Reason(0xab).String(); got != "reason 0xab" {
		t.Errorf("unknown: %q", got)
	}
	if _, ok := ParseError(nil); ok {
		t.Error("an empty ERROR has a reason")
	}
}

func TestOverhead(t *testing.T) {
	if UDPOverhead(false) != 28 || UDPOverhead(true) != 48 || TunnelOverhead(false) != 54 || TunnelOverhead(true) != 74 {
		t.Error(UDPOverhead(false), UDPOverhead(true), TunnelOverhead(false), TunnelOverhead(true))
	}
	if 1500-TunnelOverhead(false) != DefaultTunnelMTU {
		t.Error("the default MTU is not that of a path of 1500 bytes over IPv4")
	}
}

func TestValidUUID(t *testing.T) {
	tests := map[string]bool{
		"":                         false,
		"a":                        true,
		"fe54-001122334455":        true,
		"A{b}[c](d)!#%*+,.:=?@^_~": true,
		"-rf":                      false,
		"a-":                       true,
		".":                        false,
		"..":                       false,
		"...":                      true,
		"a b":                      false,
		"a\x7f":                    false,
		"a\x1f":                    false,
		"a\x00":                    false,
		"ä":                        false,
		strings.Repeat("x", 128):   true,
		strings.Repeat("x", 129):   false,
	}
	for _, c := range "\"'\\$`;&|<>/\n\t" {
		tests["a"+string(c)] = false
	}
	for uuid, want := range tests {
		if ValidUUID([]byte(uuid)) != want {
			t.Errorf("%q: want %v", uuid, want)
		}
	}
}

func TestEscapeUUID(t *testing.T) {
	for uuid, want := range map[string]string{
		"a b": `a\x20b`, "-rf": `\x2drf`, ".": `\x2e`, "..": `\x2e.`, "ä\n": `\xc3\xa4\x0a`, `a"\`: `a\x22\x5c`, "": "",
		strings.Repeat("x", 129): strings.Repeat("x", 122) + "...", strings.Repeat(" ", 40): strings.Repeat(`\x20`, 31) + "...",
	} {
		if got := EscapeUUID([]byte(uuid)); got != want {
			t.Errorf("%q: got %q, want %q", uuid, got, want)
		}
	}
}

// Whatever a stranger sends comes out bounded and harmless.
func FuzzEscapeUUID(f *testing.F) {
	f.Add([]byte("a b"))
	f.Add([]byte("\x1b[31m\xff"))
	f.Add(bytes.Repeat([]byte("ä"), 127))
	f.Fuzz(func(t *testing.T, uuid []byte) {
		got := EscapeUUID(uuid)
		if plain := strings.ReplaceAll(got, `\x`, ""); len(got) > MaxValidUUID || plain != "" && !ValidUUID([]byte(plain)) && plain != "." {
			t.Errorf("%q gives %q", uuid, got)
		}
	})
}

func TestNoAllocation(t *testing.T) {
	buf := make([]byte, 0, 2048)
	uuid := []byte("uuid")
	cookie := make([]byte, 8)
	n := testing.AllocsPerRun(100, func() {
		buf = AppendPrepare(buf[:0], cookie, uuid, 1, UniqueSessionID)
		m, _ := Parse(buf)
		p, _ := ParsePrepare(m.Payload)
		ValidUUID(p.UUID)
		buf = AppendKeepalive(AppendPMTUD(buf, 1472), 1)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
