package pmtu

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/wire"
)

const (
	ms = time.Millisecond
	s  = time.Second
)

// route is the way to the peer and back, as it is at a time.
type route struct {
	at     time.Duration // from when
	mtu    int           // largest packet that passes
	local  int           // larger ones fail with EMSGSIZE here; 0: none do
	icmp   bool          // a router says so when a packet is too large
	silent bool          // the peer is not there
	loss   float64       // each way
}

// travel runs a Prober over a changing route from 0 to the end and returns
// what came out, each as "seconds:MTU".
func travel(p *Prober, routes []route, end time.Duration, seed uint64) []string {
	return travelWith(p, routes, end, seed, func() {})
}

// travelWith does so and calls each before every step.
func travelWith(p *Prober, routes []route, end time.Duration, seed uint64, each func()) []string {
	const trip = 40 * ms
	type arrival struct {
		at   time.Duration
		ack  int // payload
		icmp int
	}
	random := rand.New(rand.NewPCG(seed, 0))
	var mail []arrival
	var got []string
	var heard time.Duration
	note := func(now time.Duration, changed bool) {
		if changed {
			got = append(got, fmt.Sprintf("%.2f:%d", now.Seconds(), p.MTU()))
		}
	}
	for now := time.Duration(0); now <= end; now += 10 * ms {
		each()
		r := routes[0]
		for _, next := range routes[1:] {
			if next.at <= now {
				r = next
			}
		}
		for len(mail) > 0 && mail[0].at <= now {
			if m := mail[0]; m.ack != 0 {
				note(now, p.Ack(now, m.ack))
			} else {
				note(now, p.TooBig(now, m.icmp))
			}
			mail = mail[1:]
		}
		if !r.silent {
			heard = now
		}
		if p.Due() > now {
			continue
		}
		probes, changed := p.Fire(now, heard, nil)
		note(now, changed)
		for _, payload := range probes {
			size := payload + wire.UDPOverhead(p.v6)
			switch {
			case r.local != 0 && size > r.local:
				note(now, p.TooBig(now, r.local))
			case r.silent || random.Float64() < r.loss || random.Float64() < r.loss:
			case size <= r.mtu:
				mail = append(mail, arrival{at: now + trip, ack: payload})
			case r.icmp:
				mail = append(mail, arrival{at: now + trip, icmp: r.mtu})
			}
		}
	}
	return got
}

// outcomes are routes and what is found on them.
var outcomes = []struct {
	name   string
	v6     bool
	routes []route
	end    time.Duration
	want   string
}{
	{"1500 takes one round trip", false, []route{{mtu: 1500}}, 700 * s, "0.04:1446"},
	{"1492", false, []route{{mtu: 1492}}, 20 * s, "2.00:1438"},
	{"1400 takes two bursts", false, []route{{mtu: 1400}}, 700 * s, "2.00:1346"},
	{"1334", false, []route{{mtu: 1334}}, 20 * s, "2.00:1280"},
	{"between two sizes", false, []route{{mtu: 1480}}, 20 * s, "2.00:1422"},
	{"nothing passes but the peer is heard", false, []route{{mtu: 1300}}, 20 * s, "5.00:1280"},
	{"nobody answers at all", false, []route{{silent: true}}, 700 * s, ""},
	{"IPv6 1500", true, []route{{mtu: 1500}}, 20 * s, "0.04:1426"},
	{"IPv6 1400", true, []route{{mtu: 1400}}, 20 * s, "2.00:1326"},
	{"IPv6 1334 is raised to what IPv6 needs", true, []route{{mtu: 1334}}, 20 * s, "2.00:1280"},
	{"this host can't send more", false, []route{{mtu: 1500, local: 1400}}, 20 * s, "0.04:1346"},
	{"this host can't send more than between two sizes", false, []route{{mtu: 1500, local: 1480}}, 20 * s, "0.04:1422"},
	{"a router says so", false, []route{{mtu: 1400, icmp: true}}, 20 * s, "0.04:1346"},
	{"1500, 1400 from 40 s, found at the round of 90 s", false, []route{{mtu: 1500}, {at: 40 * s, mtu: 1400}}, 100 * s, "0.04:1446 95.08:1346"},
	{"1400, 1500 from 10 s, found at the round of 35 s", false, []route{{mtu: 1400}, {at: 10 * s, mtu: 1500}}, 100 * s, "2.00:1346 35.04:1446"},
	{"the peer comes late", false, []route{{silent: true}, {at: 20 * s, mtu: 1500}}, 100 * s, "35.04:1446"},
	{"the peer goes", false, []route{{mtu: 1500}, {at: 10 * s, silent: true}}, 700 * s, "0.04:1446"},
	{"up, down, up", false, []route{{mtu: 1500}, {at: 20 * s, mtu: 1400, icmp: true}, {at: 32 * s, mtu: 1500}}, 70 * s,
		"0.04:1446 30.08:1346 60.12:1446"},
}

func TestOutcome(t *testing.T) {
	for _, test := range outcomes {
		t.Run(test.name, func(t *testing.T) {
			p := New(test.v6, 0)
			if got := strings.Join(travel(&p, test.routes, test.end, 1), " "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// With a quarter of all datagrams lost in each direction no outcome is ever too
// large, and few of those that rounds end with are too small.
func TestLoss(t *testing.T) {
	const seeds = 400
	wrong := 0
	for seed := uint64(1); seed <= seeds; seed++ {
		p := New(false, 0)
		for _, g := range travel(&p, []route{{mtu: 1476, loss: 0.25}}, 60*s, seed) {
			if _, mtu, _ := strings.Cut(g, ":"); mtu > "1422" {
				t.Errorf("seed %d: outcome %s, larger than the path", seed, g)
			}
		}
		if p.MTU() != 1422 {
			wrong++
		}
	}
	// Five probes and their answers are all lost with a chance of 1.6 %.
	if wrong > seeds/25 {
		t.Errorf("%d of %d runs end with less than passes", wrong, seeds)
	}
}

// Probes of one round: all sizes, then what is larger than the best, then rest.
func TestRound(t *testing.T) {
	p := New(false, 0)
	all := []int{1472, 1464, 1448, 1422, 1372, 1306}
	fire := func(now time.Duration, want ...int) {
		t.Helper()
		if p.Due() != now {
			t.Fatalf("due at %v, want %v", p.Due(), now)
		}
		got, _ := p.Fire(now, now, nil)
		if !slices.Equal(got, want) {
			t.Fatalf("at %v probes %v, want %v", now, got, want)
		}
	}
	fire(0, all...)
	if p.Ack(100*ms, 1306) {
		t.Error("an outcome although larger ones may still be answered")
	}
	fire(1*s, all[:5]...)
	p.Ack(1*s, 1422)
	p.Ack(1*s, 1372) // overtaken
	if p.MTU() != 0 {
		t.Errorf("MTU %d before the second burst was waited for", p.MTU())
	}
	fire(2*s, all[:3]...)
	if p.MTU() != 1396 {
		t.Errorf("MTU %d after two bursts, want 1396", p.MTU())
	}
	fire(3*s, all[:3]...)
	fire(4*s, all[:3]...)
	if p.Resting() {
		t.Error("at rest in the middle of a round")
	}
	fire(5 * s)
	if !p.Resting() {
		t.Error("the round did not end")
	}
	fire(35*s, all...)
}

// Rounds without news come at 30, 60, 120 … 600 s; news start this again.
func TestRest(t *testing.T) {
	p := New(false, 0)
	answer := func(path int) time.Duration {
		began := p.Due()
		now := began
		for {
			_, _ = p.Fire(now, now, nil)
			p.Ack(now, path-28)
			if p.idle {
				return p.Due() - now
			}
			now = p.Due()
		}
	}
	for round, test := range []struct {
		path int
		want time.Duration
	}{
		{1500, 30 * s}, {1500, 60 * s}, {1500, 120 * s}, {1500, 240 * s}, {1500, 480 * s}, {1500, 600 * s}, {1500, 600 * s},
		{1400, 30 * s}, {1400, 60 * s}, {1400, 120 * s}, {1500, 30 * s}, {1500, 60 * s},
	} {
		if got := answer(test.path); got != test.want {
			t.Errorf("round %d: rest of %v, want %v", round, got, test.want)
		}
	}
}

// found makes a Prober whose first round, at 0, found the path.
func found(t *testing.T, path int) Prober {
	t.Helper()
	p := New(false, 0)
	travel(&p, []route{{mtu: path}}, 6*s, 1)
	if p.MTU() != path-54 || !p.idle {
		t.Fatalf("MTU %d", p.MTU())
	}
	return p
}

func TestHint(t *testing.T) {
	p := New(false, 0)
	p.Fire(0, 0, nil)
	p.Ack(1*s, 1472)
	p.Hint(2 * s) // too soon after the round
	if p.Due() != 6*s {
		t.Errorf("due at %v, want 6 s: two rounds keep their distance", p.Due())
	}
	p.Hint(3 * s)
	if p.Due() != 6*s {
		t.Errorf("due at %v after a second hint", p.Due())
	}
	p.Fire(6*s, 6*s, nil)
	p.Hint(6 * s) // in a round: nothing to do
	if p.Due() != 7*s {
		t.Errorf("due at %v in a round", p.Due())
	}
	p.Ack(6*s, 1472)
	p.Hint(20 * s)
	if p.Due() != 20*s {
		t.Errorf("due at %v, want at once", p.Due())
	}
}

func TestTooBig(t *testing.T) {
	t.Run("between rounds it starts one", func(t *testing.T) {
		p := found(t, 1500)
		if p.TooBig(10*s, 1400) || p.MTU() != 1446 {
			t.Error("a claim alone changed the outcome")
		}
		if p.Due() != 10*s {
			t.Fatalf("due at %v", p.Due())
		}
		if got, _ := p.Fire(10*s, 10*s, nil); !slices.Equal(got, []int{1372, 1306}) {
			t.Errorf("probes %v", got)
		}
		if !p.Ack(10*s, 1372) || p.MTU() != 1346 {
			t.Errorf("MTU %d", p.MTU())
		}
	})
	t.Run("what is known already changes nothing", func(t *testing.T) {
		p := found(t, 1400)
		due := p.Due()
		if p.TooBig(10*s, 1400) || p.TooBig(10*s, 1450) || p.Due() != due {
			t.Error("a stale claim started a round")
		}
	})
	t.Run("a forged one passes with its round", func(t *testing.T) {
		p := found(t, 1500)
		p.TooBig(10*s, 1334)
		got := travel(&p, []route{{mtu: 1500}}, 60*s, 1)
		if want := []string{"10.04:1280", "40.08:1446"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	t.Run("absurd ones are ignored", func(t *testing.T) {
		p := found(t, 1500)
		due := p.Due()
		for _, size := range []int{1333, 576, 68, 0, -1} {
			if p.TooBig(10*s, size) || p.Due() != due {
				t.Errorf("size %d was believed", size)
			}
		}
		p.Fire(due, due, nil)
		if p.TooBig(due, 68) || p.limit != 0 {
			t.Error("an absurd size was believed in a round")
		}
	})
	t.Run("with no acknowledgement it is no outcome", func(t *testing.T) {
		p := found(t, 1500)
		p.TooBig(10*s, 1400)
		if got := travel(&p, []route{{silent: true}}, 60*s, 1); len(got) != 0 || p.MTU() != 1446 {
			t.Errorf("outcome %v without a peer", got)
		}
	})
}

func TestAckIgnores(t *testing.T) {
	p := found(t, 1400)
	if p.Ack(10*s, 1472) || p.MTU() != 1346 {
		t.Error("an acknowledgement between rounds counted")
	}
	p.Fire(p.Due(), p.Due(), nil)
	for _, payload := range []int{0, 12, 1471, 1473, 65535, -28} {
		if p.Ack(p.Due(), payload) || p.best != 0 {
			t.Errorf("an acknowledgement of %d bytes, which were never sent, counted", payload)
		}
	}
}

// A round without an acknowledgement says something only if the peer was heard
// after it began: a client may need long to make its end of a new tunnel.
func TestSilentRound(t *testing.T) {
	for _, test := range []struct {
		heard time.Duration
		want  int
	}{{9 * s, 0}, {10 * s, 0}, {10*s + 1, 1280}} {
		p := New(false, 10*s)
		for i := 0; i <= bursts; i++ {
			p.Fire(p.Due(), test.heard, nil)
		}
		if !p.idle || p.MTU() != test.want {
			t.Errorf("last heard at %v, round from 10 s: MTU %d, want %d", test.heard, p.MTU(), test.want)
		}
	}
}

// Whatever comes, the outcome is a size that was acknowledged or the least, and
// Due moves on.
func TestAnything(t *testing.T) {
	for seed := uint64(0); seed < 300; seed++ {
		random := rand.New(rand.NewPCG(seed, 1))
		p := New(seed%2 == 0, 0)
		now, probes := time.Duration(0), 0
		acked := map[int]bool{0: true, 1280: true}
		for i := 0; i < 500; i++ {
			before := p.MTU()
			changed := false
			switch random.IntN(5) {
			case 0, 1:
				now = max(now, p.Due())
				var sizes []int
				sizes, changed = p.Fire(now, time.Duration(random.Int64N(int64(now)+1)), nil)
				probes += len(sizes)
				if p.Due() <= now {
					t.Fatalf("seed %d: due at %v after Fire at %v", seed, p.Due(), now)
				}
			case 2:
				path := sizes[random.IntN(len(sizes))]
				acked[max(path-wire.TunnelOverhead(p.v6), 1280)] = true
				changed = p.Ack(now, path-wire.UDPOverhead(p.v6))
			case 3:
				changed = p.TooBig(now, random.IntN(1600))
			case 4:
				p.Hint(now)
			}
			if changed != (p.MTU() != before) && max(before, p.MTU()) > 1280 {
				t.Fatalf("seed %d: changed %v, MTU %d → %d", seed, changed, before, p.MTU())
			}
			if !acked[p.MTU()] {
				t.Fatalf("seed %d: MTU %d was never acknowledged", seed, p.MTU())
			}
			now += time.Duration(random.Int64N(int64(3 * s)))
		}
		if probes > 500*len(sizes) {
			t.Fatalf("seed %d: %d probes", seed, probes)
		}
	}
}

func TestFireDoesNotAllocate(t *testing.T) {
	p := New(false, 0)
	out := make([]int, 0, len(sizes))
	if n := testing.AllocsPerRun(1000, func() {
		out, _ = p.Fire(p.Due(), p.Due(), out[:0])
		p.Ack(p.Due(), 1372)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
