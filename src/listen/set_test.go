package listen

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tunneldigger/src/config"
	"tunneldigger/src/occupant"
)

// place is a Listener without a socket.
type place struct {
	at     netip.AddrPort
	closed *[]netip.AddrPort
}

func (p *place) Addr() netip.AddrPort                     { return p.at }
func (p *place) FDs() []int                               { return []int{int(p.at.Port())} }
func (p *place) Queue(netip.Addr, netip.AddrPort, []byte) {}
func (p *place) Flush() (int, error)                      { return 0, nil }
func (p *place) Close() error                             { *p.closed = append(*p.closed, p.at); return nil }

// rig is a Set over a machine that is none.
type rig struct {
	*Set
	host   Host
	fault  map[uint16]error // by port: why it can't be had
	ready  error
	device int
	closed []netip.AddrPort
}

func newRig(b *config.Broker) *rig {
	r := &rig{fault: map[uint16]error{}}
	r.Set = New(1, b, func(Listener) {})
	r.host = Host{
		Ready: func() error { return r.ready }, Look: new(occupant.Look), Index: func(string) int { return r.device },
		Ours: func() map[uint16]bool { return map[uint16]bool{53: true, 123: true, 8942: true} }, // so that nobody looks at this machine
		Open: func(at netip.AddrPort, number uint32) (Listener, error) {
			if err := r.fault[at.Port()]; err != nil {
				return nil, err
			}
			return &place{at, &r.closed}, nil
		},
	}
	return r
}

func section(ports ...uint16) *config.Broker {
	return &config.Broker{Name: "wan", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Ports: ports}
}

// Each place goes by itself: what is in the way of one is said once, and it opens when that has gone.
func TestOpen(t *testing.T) {
	r := newRig(section(53, 123))
	r.fault[53] = unix.EADDRNOTAVAIL
	n := r.Open(&r.host)
	if len(n.Waits) != 1 || !strings.Contains(n.Waits[0], "127.0.0.1:53") || !n.Listens || n.Lacks != 1 || n.Missing != nil || r.Len() != 1 || r.Again() != RetryGap {
		t.Errorf("%+v, %d listeners, again after %v", n, r.Len(), r.Again())
	}
	if report := r.Report(); len(report) != 2 || report[0].Why != n.Waits[0] || report[1].Why != "" || len(r.Waits()) != 1 {
		t.Errorf("%+v", report)
	}
	if n := r.Open(&r.host); len(n.Waits) != 0 || n.Listens {
		t.Errorf("said twice: %+v", n)
	}
	delete(r.fault, 53)
	if n := r.Open(&r.host); !n.Listens || n.Lacks != 0 || r.Len() != 2 || r.Again() != 0 || len(r.Waits()) != 0 {
		t.Errorf("%+v, %d listeners, again after %v", n, r.Len(), r.Again())
	}
	if number, ok := r.At(netip.MustParseAddrPort("127.0.0.1:53")); !ok || Section(number) != 1 {
		t.Errorf("listener %d, %v", number, ok)
	}
	if _, ok := r.At(netip.MustParseAddrPort("127.0.0.2:53")); ok {
		t.Error("another address is served")
	}
}

// What is missing for all of a section is said once, and closes nothing that is open.
func TestMissing(t *testing.T) {
	r := newRig(section(53))
	r.ready = errors.New("br-mesh is not there")
	if n := r.Open(&r.host); n.Missing == nil || n.Listens || r.Missing() != r.ready.Error() || r.Report()[0].Why != r.ready.Error() {
		t.Errorf("%+v, missing %q", n, r.Missing())
	}
	if n := r.Open(&r.host); n.Missing != nil {
		t.Errorf("said twice: %+v", n)
	}
	r.ready, r.fault[53] = nil, unix.ENODEV
	if n := r.Open(&r.host); !errors.Is(n.Missing, unix.ENODEV) {
		t.Errorf("%+v", n)
	}
	delete(r.fault, 53)
	if n := r.Open(&r.host); !n.Listens || r.Missing() != "" {
		t.Errorf("%+v, missing %q", n, r.Missing())
	}
	without := newRig(&config.Broker{Interface: config.NoDevice + "mesh", Ports: []uint16{53}})
	if n := without.Open(&without.host); n.Missing == nil || !strings.Contains(n.Missing.Error(), "mesh") {
		t.Errorf("%+v", n)
	}
}

// Listeners of the configuration before are outdated until they are closed, and their numbers do not come again soon.
func TestReconfigure(t *testing.T) {
	r := newRig(section(53, 123))
	r.Open(&r.host)
	b := section(123, 8942)
	r.Reconfigure(b)
	if n := r.Open(&r.host); !n.Listens || len(r.Stale()) != 1 || r.Len() != 2 {
		t.Errorf("%+v, %d stay, %v do not", n, r.Len(), r.Stale())
	}
	old := r.Stale()[0]
	if l, stays := r.Get(old); l == nil || stays || l.Addr().Port() != 53 {
		t.Errorf("listener %d: %v, %v", old, l, stays)
	}
	if _, ok := r.At(netip.MustParseAddrPort("127.0.0.1:53")); ok {
		t.Error("one that is to be closed was found")
	}
	r.Close(old)
	if len(r.closed) != 1 || r.closed[0].Port() != 53 || len(r.Stale()) != 0 {
		t.Errorf("closed %v", r.closed)
	}
	r.Reconfigure(section(123, 8942, 53))
	r.Open(&r.host)
	if number, _ := r.At(netip.MustParseAddrPort("127.0.0.1:53")); number == old {
		t.Errorf("listener %d came again", number)
	}
	next := newRig(section(123, 8942, 53))
	next.Restore(r.State())
	for number := range r.FDs() {
		l, _ := r.Get(number)
		next.Adopt(number, l)
	}
	if n := next.Open(&next.host); n.Listens || next.Len() != 3 || next.State() != r.State() {
		t.Errorf("handed over: %+v, %+v", n, next.State())
	}
	r.Leave()
	if r.Len() != 0 || len(r.Stale()) != 3 {
		t.Errorf("%d stay", r.Len())
	}
}

// An interface that has gone takes the listeners with it, and one of its name that comes has new ones.
func TestGone(t *testing.T) {
	b := section(53)
	b.Interface = "wan0"
	r := newRig(b)
	r.device = 7
	r.Open(&r.host)
	if r.Gone(6) || r.Compare(r.host.Index) || r.Len() != 1 {
		t.Error("another interface went")
	}
	r.device = 8
	if !r.Compare(r.host.Index) || r.Len() != 0 || r.Again() == 0 {
		t.Error("not made anew")
	}
	if n := r.Open(&r.host); !n.Listens || r.State().Device != 8 || !r.Gone(8) {
		t.Errorf("%+v, %+v", n, r.State())
	}
}
