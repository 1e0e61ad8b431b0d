//go:build vm || native

package e2e

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/wire"
)

// shaped is a tunnel whose throughput towards the client is measured.
type shaped struct {
	t              *testing.T
	server, client *Host
	iface          string
	inside         netip.Addr // the client's address in the tunnel
}

// newShaped gives both ends of a tunnel addresses, of the n-th /30.
func newShaped(t *testing.T, server, client *Host, iface, tun string, n int) *shaped {
	t.Helper()
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, byte(128 + 4*n + i)}) }
	server.WaitLink(iface, soon)
	client.WaitLink(tun, soon)
	server.IP("addr add " + at(1).String() + "/30 dev " + iface)
	client.IP("addr add " + at(2).String() + "/30 dev " + tun)
	s := &shaped{t, server, client, iface, at(2)}
	if err := server.Ping(s.inside); err != nil {
		t.Fatal(err)
	}
	return s
}

// kbit reads the limit in the kernel, 0 for none.
func (s *shaped) kbit() int {
	s.t.Helper()
	// class htb 1:1 root leaf 2: prio 0 rate 1500Kbit ceil 1500Kbit burst …
	_, rate, found := strings.Cut(s.server.Run("tc", "class", "show", "dev", s.iface), " rate ")
	if !found {
		return 0
	}
	rate, _, _ = strings.Cut(rate, "bit ")
	var value int
	var unit string
	if _, err := fmt.Sscanf(rate, "%d%s", &value, &unit); err != nil {
		s.t.Fatalf("tc class: rate %q: %v", rate, err)
	}
	return value * map[string]int{"K": 1, "M": 1000}[unit]
}

// waitLimit waits until the kernel has the limit.
func (s *shaped) waitLimit(kbit int) {
	s.t.Helper()
	s.server.World.Wait(soon, fmt.Sprintf("%s limited to %d kbit/s", s.iface, kbit), func() bool { return s.kbit() == kbit })
}

// measure offers more than the limit and holds what arrives to want ± 10 %. What counts are Ethernet frames, as they enter the tunnel. A machine that
// stands still for a moment makes it less, or, when what has gathered comes at once, more; a wrong limit is wrong every time.
func (s *shaped) measure(what string, offered, want int) {
	s.t.Helper()
	flow := Flow{From: s.server, To: s.client, Dst: s.inside, Payload: 1000, Kbits: offered, Settle: time.Second, During: 2 * time.Second}
	for range 5 {
		got := flow.Measure().Kbits(42)
		s.t.Logf("%s: %.0f kbit/s arrive of %d offered, want %d", what, got, offered*1042/1000, want)
		if math.Abs(got-float64(want)) <= float64(want)/10 {
			return
		}
	}
	s.t.Errorf("%s: never %d kbit/s within 10 %%", what, want)
}

// limit sends a LIMIT with the given payload behind its number and waits for its acknowledgement.
func (p *peer) limit(number uint16, config ...byte) {
	p.t.Helper()
	payload := append([]byte{byte(number >> 8), byte(number)}, config...)
	message := append([]byte{0x80, 0x73, 0xa7, 1, byte(wire.TypeLimit), byte(len(payload))}, payload...)
	if len(message) < wire.MinSize {
		message = append(message, make([]byte, wire.MinSize-len(message))...)
	}
	m := p.ask(message, wire.TypeRelAck)
	if got, ok := wire.ParseUint16(m.Payload); !ok || got != number {
		p.t.Errorf("LIMIT %d was acknowledged as %d", number, got)
	}
}

// A client that asks for a bandwidth gets it, until it asks for another; a section may have its own idea.
func TestLimit(t *testing.T) {
	w := New(t)
	server, router := w.Host("broker"), w.Host("client")
	b := server.StartBroker("config broker 'free'\n\tlist port '8942'\n\toption connection_rate_limit '0'\n\toption max_tunnels '10'\n\n"+
		"config broker 'paid'\n\tlist port '53'\n\toption connection_rate_limit '0'\n\toption max_tunnels '10'\n\toption tunnel_id_base '200'\n"+
		"\toption bandwidth_down_default '1500'\n\toption bandwidth_down_max '3000'\n", 8942, 53)

	// The client's own option.
	router.StartClient("-f", "-u", "asks", "-b", server.Addr4.String()+":8942", "-i", "tun0", "-t", "50", "-L", "2000")
	s := newShaped(t, server, router, b.tunnelOf("asks"), "tun0", 0)
	s.waitLimit(2000)
	s.measure("-L 2000", 3000, 2000)

	// Later LIMITs, by hand.
	p := router.peer(0, netip.AddrPortFrom(server.Addr4, 8942))
	a := p.connect("changes", 51, wire.UniqueSessionID)
	p.carry("tun1", 51, a)
	s = newShaped(t, server, router, a.iface(), "tun1", 1)
	kbit := func(n int) []byte {
		return []byte{wire.LimitBandwidthDown, 4, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	}
	if got := s.kbit(); got != 0 {
		t.Errorf("limited to %d kbit/s from the beginning", got)
	}
	p.limit(0, kbit(2000)...)
	s.waitLimit(2000)
	s.measure("LIMIT 2000", 3000, 2000)
	p.limit(1, kbit(0)...)
	s.waitLimit(0)
	s.measure("LIMIT 0", 4000, 4168)
	p.limit(2, kbit(1000)...)
	s.waitLimit(1000)
	s.measure("LIMIT 1000", 1500, 1000)
	// An older one, and the same again: acknowledged, and nothing changes.
	p.limit(1, kbit(5000)...)
	p.limit(2, kbit(5000)...)
	// Malformed ones: an unknown type, no four bytes, less than it says, nothing but the number.
	before := strings.Count(b.Log(), "bandwidth limit ")
	for i, bad := range [][]byte{{2, 4, 0, 0, 0, 1}, {1, 3, 0, 0, 1}, {1, 4, 0}, {}} {
		p.limit(uint16(10+i), bad...)
		b.waitLines(i+1, "a LIMIT that can't be understood was ignored broker=free tunnel="+fmt.Sprint(a.id)+" uuid=changes", soon)
	}
	if got := s.kbit(); got != 1000 || strings.Count(b.Log(), "bandwidth limit ") != before {
		t.Errorf("a LIMIT that says nothing new changed the limit to %d kbit/s", got)
	}
	p.limit(3, kbit(1200)...)
	s.waitLimit(1200)

	// What the section gives and allows.
	p = router.peer(0, netip.AddrPortFrom(server.Addr4, 53))
	a = p.connect("pays", 52, wire.UniqueSessionID)
	p.carry("tun2", 52, a)
	s = newShaped(t, server, router, a.iface(), "tun2", 2)
	s.waitLimit(1500)
	s.measure("bandwidth_down_default 1500", 2200, 1500)
	for i, c := range []struct{ ask, get int }{{5000, 3000}, {2500, 2500}, {0, 3000}} {
		p.limit(uint16(i), kbit(c.ask)...)
		s.waitLimit(c.get)
	}
	if strings.Contains(b.Log(), "can't limit") {
		t.Error("the kernel refused a limit")
	}
}
