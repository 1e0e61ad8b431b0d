package listen

import (
	"net/netip"
	"slices"
	"testing"
)

// mouth is a Listener without a socket that notes what it is to say.
type mouth struct {
	place
	said []string
}

func (m *mouth) Queue(local netip.Addr, peer netip.AddrPort, data []byte) {
	m.said = append(m.said, local.String()+" "+peer.String()+" "+string(data))
}

// What comes to a listener that has gone finds the one that is there now, in whichever section; so do answers.
func TestAll(t *testing.T) {
	at, any := netip.MustParseAddrPort("192.0.2.1:53"), netip.MustParseAddrPort("0.0.0.0:54")
	one, two := New(1, section(53), func(Listener) {}), New(7, section(53, 54), func(Listener) {})
	first, second, third := &mouth{place: place{at: at, closed: new([]netip.AddrPort)}}, &mouth{place: place{at: at}}, &mouth{place: place{at: any}}
	one.Adopt(Max, first)
	two.Adopt(7*Max, second)
	two.Adopt(7*Max+1, third)
	all := All{one, two}
	want := func(number uint32, local string, gets uint32, ok bool) {
		t.Helper()
		if n, found := all.Entrance(number, netip.MustParseAddrPort(local)); found != ok || ok && n != gets {
			t.Errorf("listener %d for %s: %d, %v", number, local, n, found)
		}
	}
	want(Max, "192.0.2.1:53", Max, true)
	want(Max, "192.0.2.9:54", 7*Max+1, true)    // it can't send from there
	want(7*Max+9, "192.0.2.1:53", Max, true)    // it has gone
	want(99*Max, "192.0.2.9:54", 7*Max+1, true) // so has its section
	want(Max, "192.0.2.1:55", 0, false)
	one.Leave()
	want(Max, "192.0.2.1:53", 7*Max, true) // it is about to go
	peer := netip.MustParseAddrPort("198.51.100.1:4711")
	if !all.Reply(Max, at, peer, []byte("a")) || !slices.Equal(first.said, []string{"192.0.2.1 198.51.100.1:4711 a"}) {
		t.Errorf("%q", first.said) // it was asked, and is there still
	}
	one.Close(Max)
	if l, _ := all.Get(Max); l != nil {
		t.Errorf("%v is there", l)
	}
	if !all.Reply(Max, at, peer, []byte("b")) || len(second.said) != 1 || all.Reply(Max, netip.MustParseAddrPort("192.0.2.1:55"), peer, nil) {
		t.Errorf("%q", second.said)
	}
	ports := map[uint16]bool{}
	if all.Ports(ports); len(ports) != 2 || !ports[53] || !ports[54] {
		t.Errorf("%v", ports)
	}
}
