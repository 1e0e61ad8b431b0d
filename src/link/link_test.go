package link

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
)

// Links as Linux 6.1.0-56-amd64 tells them: a bridge, its isolated port (without some attributes that nobody reads here), and
// the port's beginning as a big-endian kernel has it.
const (
	bridge = "00000100020000000210000000000000" + "080003006272300008000d00e80300000500100002000000050011000000000008000400a6050000" +
		"18001200" + "0b0001006272696467650000" + "0800020008000100"
	port = "0000010003000000c300010000000000" + "09000300706f72740000000008000d00e80300000500100000000000050011000000000008000400a6050000" +
		"08000a0002000000" + "0500210001000000" + "4c0112000a00010064756d6d790000000b000400627269646765000030010500050001000000000006000200200000000800030064000000050004000000000005000500000000000500060000000000050007000000000005001c00000000000500080001000000050009000100000005001b000100000005001e000100000005000a000000000005000c00000000000c000d00800016415ee3b68a0c000e00800016415ee3b68a06000f00018000000600100000000000060011000180000006001200010000000500130000000000050014000000000005001d000000000006001f0000000000050020000000000005002300000000000500240000000000050021000100000005002700000000000c00150000000000000000000c00160000000000000000000c0017000000000000000000050019000100000008002500000200000800260000000000"
	portBig = "0000000100000003000100c300000000" + "00090003706f72740000000000080004000005a60008000a00000002" + "001000120009000164756d6d79000000"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name, hex  string
		order      nl.Order
		want       Link
		link, kind string
	}{
		{"bridge", bridge, binary.LittleEndian, Link{Index: 2, MTU: 1446}, "br0", "bridge"},
		{"port", port, binary.LittleEndian, Link{Index: 3, MTU: 1446, Master: 2, Up: true}, "port", "dummy"},
		{"big-endian", portBig, binary.BigEndian, Link{Index: 3, MTU: 1446, Master: 2, Up: true}, "port", "dummy"},
	} {
		e, name, kind, err := parseIn(test.order, unhex(t, test.hex))
		if e != test.want || string(name) != test.link || string(kind) != test.kind || err != nil {
			t.Errorf("%s: %+v %s %s, %v", test.name, e, name, kind, err)
		}
	}
	for _, short := range []string{"", "000001000200", bridge[:len(bridge)-2]} {
		if _, _, _, err := parseIn(binary.LittleEndian, unhex(t, short)); !errors.Is(err, nl.ErrMalformed) {
			t.Errorf("%q: %v", short, err)
		}
	}
}

// body makes a message's body in host order.
func body(family byte, index, flags uint32, add func(m *nl.Message)) []byte {
	m := nl.NewMessage(nl.Host)
	m.Begin("", 0, 0)
	m.Raw(family, 0, 0, 0)
	m.Raw32(index)
	m.Raw32(flags)
	m.Raw32(0)
	if add != nil {
		add(m)
	}
	return m.Bytes()[16:]
}

func TestRequests(t *testing.T) {
	var kind uint16
	var got []byte
	c := &Conn{nl: nl.Fake(func(r []byte) []any {
		kind, got = nl.Host.Uint16(r[4:]), append([]byte(nil), r[16:]...)
		return []any{nl.Ack(r, 0, "")}
	})}
	const up = unix.IFF_UP
	change := func(index, flags uint32, add func(m *nl.Message)) []byte {
		b := body(0, index, flags, add)
		nl.Host.PutUint32(b[12:], flags)
		return b
	}
	for _, test := range []struct {
		name string
		call func() error
		kind uint16
		want []byte
	}{
		{"Up", func() error { return c.Up(7, 1446) }, unix.RTM_SETLINK, change(7, up, func(m *nl.Message) { m.U32(4, 1446) })},
		{"UpAttach", func() error { return c.UpAttach(7, 1446, 3) }, unix.RTM_SETLINK,
			change(7, up, func(m *nl.Message) { m.U32(4, 1446); m.U32(10, 3) })},
		{"SetMTU", func() error { return c.SetMTU(7, 1280) }, unix.RTM_SETLINK, change(7, 0, func(m *nl.Message) { m.U32(4, 1280) })},
		{"Detach", func() error { return c.Detach(7) }, unix.RTM_SETLINK, change(7, 0, func(m *nl.Message) { m.U32(10, 0) })},
		{"Isolate", func() error { return c.Isolate(7) }, unix.RTM_NEWLINK, change(7, 0, func(m *nl.Message) {
			defer m.End(m.Nest(18))
			m.String(4, "bridge")
			defer m.End(m.Nest(5))
			m.U8(33, 1)
		})},
	} {
		if err := test.call(); err != nil || kind != test.kind || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v\n got %d %x\nwant %d %x", test.name, err, kind, got, test.kind, test.want)
		}
	}
	c.nl = nl.Fake(func(r []byte) []any { return []any{nl.Ack(r, unix.EXFULL, "")} })
	if err := c.UpAttach(7, 1446, 3); !errors.Is(err, unix.EXFULL) {
		t.Errorf("refused: %v", err)
	}
}

func TestList(t *testing.T) {
	first := body(0, 2, unix.IFF_UP, func(m *nl.Message) { m.String(3, "br0"); m.U32(4, 1500) })
	second := body(0, 3, 0, func(m *nl.Message) { m.String(3, "l2tp1-1"); m.U32(4, 1446); m.U32(10, 2) })
	broken := body(0, 4, 0, func(m *nl.Message) { m.U16(4, 1446) })
	for _, test := range []struct {
		name  string
		items [][]byte
		want  []Link
		err   error
	}{
		{"two", [][]byte{first, second}, []Link{{Index: 2, Name: "br0", MTU: 1500, Up: true}, {Index: 3, Name: "l2tp1-1", Master: 2, MTU: 1446}}, nil},
		{"none", nil, nil, nil},
		{"malformed", [][]byte{broken, second}, []Link{{Index: 3, Name: "l2tp1-1", Master: 2, MTU: 1446}}, nl.ErrMalformed},
	} {
		c := &Conn{nl: nl.Fake(func(r []byte) (answers []any) {
			for _, item := range test.items {
				answers = append(answers, nl.Reply(r, unix.RTM_NEWLINK, unix.NLM_F_MULTI, item...))
			}
			return append(answers, nl.Done(r))
		})}
		var got []Link
		if err := c.List(func(e Link) { got = append(got, e) }); !errors.Is(err, test.err) || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, %v", test.name, got, err)
		}
	}
}

func notification(kind uint16, body []byte) []byte {
	return nl.Reply(make([]byte, 16), kind, 0, body...)
}

func TestMonitor(t *testing.T) {
	queue := make(chan any, 20)
	m := &Monitor{nl.FakeListener(queue)}
	named := func(index uint32, name string) []byte {
		return body(0, index, unix.IFF_UP, func(m *nl.Message) { m.String(3, name) })
	}
	var got []string
	read := func() error {
		got = nil
		return m.Read(func(index int, name string) { got = append(got, fmt.Sprint(index, " ", name)) })
	}
	queue <- append(notification(unix.RTM_DELLINK, named(5, "l2tp1-1")), notification(unix.RTM_NEWLINK, named(6, "mesh1"))...)
	queue <- notification(unix.RTM_DELLINK, body(unix.AF_BRIDGE, 6, 0, nil)) // detached from its bridge
	queue <- notification(unix.RTM_NEWADDR, named(6, "mesh1"))
	queue <- notification(unix.RTM_DELLINK, named(6, "mesh1"))
	if err := read(); err != nil || !reflect.DeepEqual(got, []string{"5 l2tp1-1", "6 mesh1"}) {
		t.Errorf("%q, %v", got, err)
	}
	if err := read(); err != nil || got != nil {
		t.Errorf("empty: %v %v", got, err)
	}

	queue <- notification(unix.RTM_DELLINK, named(6, "a"))
	queue <- unix.ENOBUFS
	queue <- notification(unix.RTM_DELLINK, named(7, "b"))
	if err := read(); !errors.Is(err, nl.ErrOverrun) || len(got) != 2 {
		t.Errorf("overrun: %v %q", err, got)
	}
	queue <- notification(unix.RTM_DELLINK, []byte{0, 0, 0})
	queue <- notification(unix.RTM_DELLINK, named(8, "c"))
	if err := read(); !errors.Is(err, nl.ErrMalformed) || len(got) != 1 {
		t.Errorf("malformed: %v %q", err, got)
	}
	queue <- unix.EBADF
	if err := read(); !errors.Is(err, unix.EBADF) {
		t.Errorf("broken: %v", err)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
