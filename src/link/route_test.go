package link

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
)

// What is remembered goes only if it says that too little passes.
func TestForgetPathMTU(t *testing.T) {
	peer := netip.MustParseAddr("2001:db8::2")
	reply := func(flags, mtu uint32) []byte {
		m := nl.NewMessage(nl.Host)
		m.Begin("", 0, 0)
		m.Raw(unix.AF_INET6, 128, 0, 0)
		m.Raw(252, 0, 0, 0)
		m.Raw32(flags)
		m.U32(unix.RTA_TABLE, 1000)
		metrics := m.Nest(unix.RTA_METRICS)
		m.U32(rtaxMTU, mtu)
		m.End(metrics)
		return m.Bytes()[unix.NLMSG_HDRLEN:]
	}
	for _, test := range []struct {
		name   string
		peer   netip.Addr
		answer any
		asked  int
		gone   bool
		fails  bool
	}{
		{"smaller", peer, reply(unix.RTM_F_CLONED, 1400), 2, true, false},
		{"large enough", peer, reply(unix.RTM_F_CLONED, 1500), 1, false, false},
		{"the operator's route", peer, reply(0, 1400), 1, false, false},
		{"short answer", peer, []byte{unix.AF_INET6, 128}, 1, false, false},
		{"no route", peer, unix.ENETUNREACH, 1, false, false},
		{"refused", peer, unix.EPERM, 1, false, true},
		{"IPv4", netip.MustParseAddr("192.0.2.2"), nil, 0, false, false},
		{"none", netip.Addr{}, nil, 0, false, false},
	} {
		asked, gone := 0, false
		c := &Conn{nl: nl.Fake(func(r []byte) []any {
			asked++
			if nl.Host.Uint16(r[4:]) == unix.RTM_DELROUTE {
				_, _, table := parseRoute(nl.Host, r[unix.NLMSG_HDRLEN:])
				gone = table == 1000 && nl.Host.Uint32(r[unix.NLMSG_HDRLEN+8:]) == unix.RTM_F_CLONED
				return []any{nl.Ack(r, 0, "")}
			}
			if errno, ok := test.answer.(unix.Errno); ok {
				return []any{nl.Ack(r, errno, "")}
			}
			return []any{nl.Reply(r, unix.RTM_NEWROUTE, 0, test.answer.([]byte)...), nl.Ack(r, 0, "")}
		})}
		err := c.ForgetPathMTU(test.peer, "", 1496)
		if asked != test.asked || gone != test.gone || (err != nil) != test.fails {
			t.Errorf("%s: asked %d times, removed %v, %v", test.name, asked, gone, err)
		}
	}
}
