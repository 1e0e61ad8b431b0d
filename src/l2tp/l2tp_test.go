package l2tp

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
)

// What Linux 6.1.0-56-amd64 and 6.12.100-amd64 answer to L2TP_CMD_TUNNEL_GET and L2TP_CMD_SESSION_GET, without the genlmsghdr; the
// big-endian ones are the same with the numbers turned round.
const (
	stats = "7c001e000c00010000000000000000000c00020000000000000000000c00030000000000000000000c00040000000000000000000c00050000000000000000000c00060000000000000000000c000a0000000000000000000c00070000000000000000000c00080000000000000000000c000b000000000000000000"

	tunnel4 = "0500070003000000080009006400000008000a000700000008001100000000000600020000000000" + stats +
		"05000d000100000006001a003500000006001b0067120000080018007f000001080019007f000002"
	tunnel6 = "0500070003000000080009006500000008000a000800000008001100000000000600020000000000" + stats +
		"06001a003500000006001b006712000014001f00000000000000000000000000000000011400200000000000000000000000000000000001"
	tunnel4big = "000500070300000000080009000000640008000a00000007000800110000000000060002000000000005000d01000000" +
		"0006001a003500000006001b12670000000800187f000001000800197f000002"
	session    = "080009006400000008000b00c800000008000a000700000008000c000900000008001100000000000600010005000000100008006c3274703130302d32303000050012000000000005001300000000000500140000000000" + stats
	sessionBig = "00080009000000640008000b000000c80008000a000000070008000c0000000900080011000000000006000100050000001000086c3274703130302d3230300000050012000000000005001300000000"
)

func TestParseTunnel(t *testing.T) {
	four := TunnelInfo{100, 7, 3, true, netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("127.0.0.2:4711")}
	six := TunnelInfo{101, 8, 3, true, netip.MustParseAddrPort("[::1]:53"), netip.MustParseAddrPort("[::1]:4711")}
	for _, test := range []struct {
		name  string
		order nl.Order
		hex   string
		want  TunnelInfo
	}{
		{"IPv4", binary.LittleEndian, tunnel4, four},
		{"IPv6", binary.LittleEndian, tunnel6, six},
		{"IPv4 big-endian", binary.BigEndian, tunnel4big, four},
	} {
		a := nl.Parse(test.order, unhex(t, test.hex))
		if got := parseTunnel(&a); got != test.want || a.Err() != nil {
			t.Errorf("%s: %+v, %v; want %+v", test.name, got, a.Err(), test.want)
		}
	}
}

func TestParseSession(t *testing.T) {
	want := SessionInfo{100, 7, 200, 9, true, "l2tp100-200"}
	for order, text := range map[nl.Order]string{binary.LittleEndian: session, binary.BigEndian: sessionBig} {
		a := nl.Parse(order, unhex(t, text))
		if got := parseSession(&a); got != want || a.Err() != nil {
			t.Errorf("%v: %+v, %v; want %+v", order, got, a.Err(), want)
		}
	}
}

const family = 0x1c

// kernel is a fake one that knows the family and answers everything else with answer.
func kernel(answer func(command uint8, request []byte) []any) *nl.Conn {
	return nl.Fake(func(r []byte) []any {
		if nl.Host.Uint16(r[4:]) != unix.GENL_ID_CTRL {
			return answer(r[16], r)
		}
		return knows(r)
	})
}

func knows(r []byte) []any {
	m := nl.NewMessage(nl.Host)
	m.Begin("", 0, 0)
	m.Raw(1, 2, 0, 0)
	m.U16(unix.CTRL_ATTR_FAMILY_ID, family)
	return []any{nl.Reply(r, unix.GENL_ID_CTRL, 0, m.Bytes()[16:]...), nl.Ack(r, 0, "")}
}

func noModules(module string) error { return errors.New("no " + module) }

// Every request's command and attributes, as a list of kinds and values.
func TestRequests(t *testing.T) {
	type attribute struct {
		kind  uint16
		value string // hexadecimal, as the host has it
	}
	var command uint8
	var got []attribute
	c, err := dial(kernel(func(cmd uint8, r []byte) []any {
		if nl.Host.Uint16(r[4:]) != family || r[17] != 1 {
			t.Errorf("family %d, version %d", nl.Host.Uint16(r[4:]), r[17])
		}
		command, got = cmd, nil
		a := nl.Parse(nl.Host, r[20:])
		for a.Next() {
			got = append(got, attribute{a.Type(), hex.EncodeToString(a.Bytes())})
		}
		return []any{nl.Ack(r, 0, "")}
	}), noModules)
	if err != nil {
		t.Fatal(err)
	}
	n16 := func(v uint16) string { return hex.EncodeToString(nl.Host.AppendUint16(nil, v)) }
	n32 := func(v uint32) string { return hex.EncodeToString(nl.Host.AppendUint32(nil, v)) }
	for _, test := range []struct {
		call    func() error
		command uint8
		want    []attribute
	}{
		{func() error { return c.CreateTunnel(Tunnel{ID: 100, PeerID: 1, FD: 12}) }, 1,
			[]attribute{{9, n32(100)}, {10, n32(1)}, {7, "03"}, {2, n16(0)}, {23, n32(12)}}},
		{func() error { return c.DeleteTunnel(100) }, 2, []attribute{{9, n32(100)}}},
		{func() error { return c.CreateSession(Session{100, 101, 1, "l2tp0"}) }, 5,
			[]attribute{{9, n32(100)}, {11, n32(101)}, {12, n32(1)}, {1, n16(5)}, {5, "01"}, {8, "6c3274703000"}}},
		{func() error { return c.DeleteSession(100, 101) }, 6, []attribute{{9, n32(100)}, {11, n32(101)}}},
	} {
		if err := test.call(); err != nil || command != test.command || !reflect.DeepEqual(got, test.want) {
			t.Errorf("command %d: %v %v; want %d: %v", command, got, err, test.command, test.want)
		}
	}
	if err := c.CreateTunnel(Tunnel{ID: 1, PeerID: 1, FD: -1}); !errors.Is(err, unix.EBADF) {
		t.Errorf("no descriptor: %v", err)
	}
}

func TestList(t *testing.T) {
	a, b := []byte{4, 1, 0, 0}, []byte{4, 1, 0, 0}
	m := nl.NewMessage(nl.Host)
	for id, body := range []*[]byte{&a, &b} {
		m.Begin("", 0, 0)
		m.U32(attrConnID, uint32(id+1))
		*body = append(*body, m.Bytes()[16:]...)
	}
	answer := func(r []byte) []any {
		return []any{append(nl.Reply(r, family, 2, a...), nl.Reply(r, family, 2, b...)...), nl.Done(r)}
	}
	c, err := dial(kernel(func(_ uint8, r []byte) []any { return answer(r) }), noModules)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Tunnels(); err != nil || len(got) != 2 || got[0].ID != 1 || got[1].ID != 2 {
		t.Errorf("tunnels %v, %v", got, err)
	}
	if got, err := c.Sessions(); err != nil || len(got) != 2 || got[1].TunnelID != 2 {
		t.Errorf("sessions %v, %v", got, err)
	}
	a[4], a[5] = 3, 3 // attribute length
	if _, err := c.Tunnels(); !errors.Is(err, nl.ErrMalformed) {
		t.Errorf("malformed: %v", err)
	}
	answer = func(r []byte) []any { return []any{nl.Ack(r, unix.EPERM, "")} }
	if _, err := c.Tunnels(); !errors.Is(err, unix.EPERM) {
		t.Errorf("refused: %v", err)
	}
}

func TestNoL2TP(t *testing.T) {
	_, err := dial(nl.Fake(func(r []byte) []any { return []any{nl.Ack(r, unix.ENOENT, "")} }), noModules)
	if !errors.Is(err, ErrNoL2TP) || !errors.Is(err, unix.ENOENT) {
		t.Errorf("error %v", err)
	}
	_, err = dial(nl.Fake(func(r []byte) []any { return []any{nl.Ack(r, unix.EIO, "")} }), noModules)
	if errors.Is(err, ErrNoL2TP) || !errors.Is(err, unix.EIO) {
		t.Errorf("error %v", err)
	}
	loaded := ""
	late := nl.Fake(func(r []byte) []any {
		if loaded == "" {
			return []any{nl.Ack(r, unix.ENOENT, "")}
		}
		return knows(r)
	})
	if _, err := dial(late, func(m string) error { loaded += m; return nil }); err != nil || loaded != "l2tp_netlink" {
		t.Errorf("loaded %q, %v", loaded, err)
	}
}

// Prove leaves nothing behind, whatever step fails.
func TestProve(t *testing.T) {
	for _, test := range []struct {
		name    string
		refuse  uint8 // command
		errno   unix.Errno
		times   int
		want    error
		tunnels int
		loaded  string
	}{
		{"fine", 0, 0, 0, nil, 0, ""},
		{"ID taken twice", cmdTunnelCreate, unix.EEXIST, 2, nil, 0, ""},
		{"no rights", cmdTunnelCreate, unix.EPERM, 1, unix.EPERM, 0, ""},
		{"module missing, loads", cmdSessionCreate, unix.EPROTONOSUPPORT, 1, nil, 0, "l2tp_eth"},
		{"module missing", cmdSessionCreate, unix.EPROTONOSUPPORT, 2, ErrNoEthernet, 0, "l2tp_eth"},
		{"no session", cmdSessionCreate, unix.ENOMEM, 1, unix.ENOMEM, 0, ""},
		{"session stays", cmdSessionDelete, unix.EIO, 1, unix.EIO, 0, ""},
		{"tunnel stays", cmdTunnelDelete, unix.EIO, 1, unix.EIO, 1, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			tunnels, loaded := 0, ""
			c, err := dial(kernel(func(command uint8, r []byte) []any {
				if command == test.refuse && test.times > 0 {
					test.times--
					return []any{nl.Ack(r, test.errno, "")}
				}
				switch command {
				case cmdTunnelCreate:
					tunnels++
				case cmdTunnelDelete:
					tunnels--
				}
				return []any{nl.Ack(r, 0, "")}
			}), func(m string) error { loaded += m; return nil })
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Prove(); !errors.Is(err, test.want) || tunnels != test.tunnels || loaded != test.loaded {
				t.Errorf("error %v, %d tunnels left, loaded %q", err, tunnels, loaded)
			}
		})
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
