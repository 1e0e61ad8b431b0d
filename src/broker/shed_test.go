package broker

import (
	"net/netip"
	"testing"
	"time"

	"tunneldigger/src/wire"
)

// flooded asks for cookies at a rate for some seconds and tells how many answers
// the flood and a newcomer, who asks ten times a second, got a second.
func flooded(t *testing.T, answers, rate, seconds int, from func(i int) netip.Addr) (flood, newcomer int) {
	t.Helper()
	c := quiet
	c.AnswerRate = answers
	r := newRig(t, c, Options{})
	request := wire.AppendCookieRequest(nil)
	ask := func(a netip.Addr) int {
		return len(r.listener(pair{netip.AddrPortFrom(a, 1000), here}, request).out)
	}
	gap := time.Second / time.Duration(rate)
	start := r.now
	for i := range rate * seconds {
		r.now = start + time.Duration(i)*gap
		n := ask(from(i))
		if i%(rate/10) == rate/20 {
			newcomer += ask(alice.peer.Addr())
		}
		if i >= rate { // the burst is over
			flood += n
		}
	}
	stats := r.Stats()
	if asked := uint64(rate*seconds + 10*seconds); stats.Cookies+stats.Drops[DropShed] != asked {
		t.Errorf("%d answered and %d shed of %d", stats.Cookies, stats.Drops[DropShed], asked)
	}
	return flood / (seconds - 1), newcomer / seconds
}

func TestShed(t *testing.T) {
	one := netip.MustParseAddr("203.0.113.7")
	few := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, byte(i % 8)}) }
	forged := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for _, test := range []struct {
		name                       string
		answers, rate              int
		from                       func(i int) netip.Addr
		least, most, leastNewcomer int
	}{
		{"no limit", 0, 20000, forged, 20000, 20000, 10},
		{"below it", 5000, 4000, forged, 4000, 4000, 10},
		{"one source", 1000, 20000, func(int) netip.Addr { return one }, 980, 1010, 10},
		{"few sources", 1000, 20000, few, 800, 1010, 10},
		{"forged", 1000, 20000, forged, 900, 1010, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			flood, newcomer := flooded(t, test.answers, test.rate, 5, test.from)
			if flood < test.least || flood > test.most || newcomer < test.leastNewcomer {
				t.Errorf("a flood of %d/s got %d answers a second, want %d–%d; a newcomer %d of 10, want %d",
					test.rate, flood, test.least, test.most, newcomer, test.leastNewcomer)
			}
		})
	}
}

// Whoever asks again and again gets through: the share that is answered is the
// same for everybody, however the requests of a flood fall.
func TestShedEvenly(t *testing.T) {
	c := quiet
	c.AnswerRate = 1000
	r := newRig(t, c, Options{})
	request := wire.AppendCookieRequest(nil)
	answered := [16]int{}
	const rounds = 2000
	for i := range rounds * 32 { // 32 at once, every 4 ms: 8000 a second
		r.now = 1000*s + time.Duration(i/32)*4*time.Millisecond
		from := netip.AddrFrom4([4]byte{203, byte(i >> 16), byte(i >> 8), byte(i)})
		who := (i%32 + 7*(i/32)) % 16 // each has another place in every batch
		answered[who] += len(r.listener(pair{netip.AddrPortFrom(from, 1), here}, request).out)
	}
	for who, n := range answered {
		if share := float64(n) / (2 * rounds); share < 0.10 || share > 0.20 {
			t.Errorf("sender %d: %.3f answered, want about 0.125 and some from the burst", who, share)
		}
	}
}

// An established tunnel is served whatever the listener sheds, and nobody is shed
// who has a cookie.
func TestShedSparesThoseWithACookie(t *testing.T) {
	c := quiet
	c.AnswerRate = 1
	r := newRig(t, c, Options{})
	id := r.up(alice, "a", 7, unique)
	for range 10 {
		r.listener(bob, wire.AppendCookieRequest(nil))
	}
	if r.Stats().Drops[DropShed] != 9 {
		t.Errorf("%d shed of 10", r.Stats().Drops[DropShed])
	}
	if r.socket(id, wire.AppendPMTUD(nil, 1300)); len(r.out) != 1 {
		t.Errorf("a tunnel got %q", r.lines())
	}
	if r.prepare(carol, "c", 8, unique); len(r.out) != 1 || r.out[0].Kind != EffectCreate {
		t.Errorf("a PREPARE got %q", r.lines())
	}
}

func BenchmarkShed(b *testing.B) {
	c := quiet
	c.AnswerRate = 1000
	r := newRig(nil, c, Options{})
	ev := Event{Kind: EventDatagram, Local: here, Data: wire.AppendCookieRequest(nil)}
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		ev.Peer = netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, byte(i >> 16), byte(i >> 8), byte(i)}), 1)
		r.now += 10 * time.Microsecond
		r.out = r.Handle(r.now, &ev, r.out[:0])
	}
}

func TestShedIsReconfigured(t *testing.T) {
	c := quiet
	c.AnswerRate = 1
	r := newRig(t, c, Options{})
	ask := func() int { return len(r.listener(bob, wire.AppendCookieRequest(nil)).out) }
	if ask() != 1 || ask() != 0 {
		t.Fatal("one answer a second was wanted")
	}
	c.AnswerRate = 0
	r.Reconfigure(r.now, c, Options{}, nil)
	if ask()+ask() != 2 {
		t.Error("still shed")
	}
}
