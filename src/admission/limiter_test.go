package admission

import (
	"net/netip"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	type try struct {
		at   time.Duration
		key  string
		want bool
	}
	const s = time.Second
	for _, test := range []struct {
		name   string
		count  int
		period time.Duration
		tries  []try
	}{
		{"off without a count", 0, s, []try{{0, "a", true}, {0, "a", true}, {0, "a", true}}},
		{"off without a period", 1, 0, []try{{0, "a", true}, {0, "a", true}, {0, "a", true}}},
		{"the whole count at once", 3, 30 * s, []try{
			{0, "a", true}, {0, "a", true}, {0, "a", true}, {0, "a", false}}},
		{"then one per part of the period", 3, 30 * s, []try{
			{0, "a", true}, {0, "a", true}, {0, "a", true},
			{10*s - 1, "a", false}, {10 * s, "a", true}, {10 * s, "a", false}, {20 * s, "a", true}}},
		{"unused time is saved up to one count", 2, 20 * s, []try{
			{1000 * s, "a", true}, {1000 * s, "a", true}, {1000 * s, "a", false},
			{2000 * s, "a", true}, {2000 * s, "a", true}, {2000 * s, "a", false}}},
		{"a refused try costs nothing", 1, 10 * s, []try{
			{0, "a", true}, {9 * s, "a", false}, {9 * s, "a", false}, {10 * s, "a", true}}},
		{"keys do not share", 1, 10 * s, []try{
			{0, "a", true}, {0, "b", true}, {0, "a", false}, {0, "b", false}}},
		{"a period that the count does not divide", 3, s, []try{
			{0, "a", true}, {0, "a", true}, {0, "a", true}, {0, "a", false},
			{333333331, "a", false}, {333333332, "a", true}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := NewLimiter[string](test.count, test.period, 8)
			for i, try := range test.tries {
				if got := l.Allow(try.key, try.at); got != try.want {
					t.Errorf("try %d (%s at %v): got %v", i, try.key, try.at, got)
				}
			}
		})
	}
}

// Over any time the rate is kept, however the tries fall.
func TestLimiterRate(t *testing.T) {
	const count, period = 7, 13 * time.Second
	l := NewLimiter[int](count, period, 4)
	allowed := 0
	for now := time.Duration(0); now < 100*period; now += 37 * time.Millisecond {
		if l.Allow(0, now) {
			allowed++
		}
	}
	if want := 101 * count; allowed < want-2 || allowed > want {
		t.Errorf("%d allowed in 100 periods of %d, want about %d", allowed, count, want)
	}
}

func TestLimiterMemory(t *testing.T) {
	const most = 64
	l := NewLimiter[int](2, 10*time.Second, most)
	for key := 0; key < 100000; key++ {
		if !l.Allow(key, time.Duration(key)*time.Microsecond) {
			t.Fatalf("new key %d refused", key)
		}
		if l.Len() > most || len(l.index) != l.Len() {
			t.Fatalf("%d entries and %d in the index, want at most %d", l.Len(), len(l.index), most)
		}
	}
	for i, e := range l.entries {
		if l.index[e.key] != i {
			t.Errorf("key %d is entry %d, the index says %d", e.key, i, l.index[e.key])
		}
	}
}

// Keys whose time has passed give way first, so quiet times cost no memory.
func TestLimiterReuse(t *testing.T) {
	l := NewLimiter[int](1, time.Second, 1000)
	for key := 0; key < 10000; key++ {
		l.Allow(key, time.Duration(key)*time.Second)
	}
	if l.Len() > 2 {
		t.Errorf("%d keys remembered, want 2: never more than one was of use", l.Len())
	}
}

// A flood of new keys must not free an address that is over its limit.
func TestLimiterEvictionKeepsTheUseful(t *testing.T) {
	const most = 256
	l := NewLimiter[int](10, 100*time.Second, most)
	for i := 0; i < 10; i++ {
		if !l.Allow(-1, 0) {
			t.Fatal("refused within its count")
		}
	}
	for key := 0; key < 20*most; key++ {
		l.Allow(key, time.Second)
	}
	if l.Allow(-1, time.Second) {
		t.Error("a flood of other keys gave an exhausted key its count back")
	}
}

func TestLimiterDoesNotAllocate(t *testing.T) {
	l := NewLimiter[netip.Addr](1, time.Hour, 16)
	addr := netip.MustParseAddr("192.0.2.0")
	for i := 0; i < 64; i++ {
		l.Allow(addr, 0)
		addr = addr.Next()
	}
	if n := testing.AllocsPerRun(1000, func() {
		l.Allow(addr, 0)
		l.Allow(addr, 0)
		l.Check(addr, 0)
		addr = addr.Next()
	}); n != 0 {
		t.Errorf("%v allocations for a new key in a full limiter", n)
	}
}

func TestAddrKey(t *testing.T) {
	for _, test := range []struct{ addr, want string }{
		{"192.0.2.7", "192.0.2.7"},
		{"::ffff:192.0.2.7", "192.0.2.7"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
		{"2001:db8:1:2::", "2001:db8:1:2::"},
		{"fe80::1%eth0", "fe80::"},
	} {
		if got := AddrKey(netip.MustParseAddr(test.addr)); got != netip.MustParseAddr(test.want) {
			t.Errorf("%s counts as %s, want %s", test.addr, got, test.want)
		}
	}
	if got := AddrKey(netip.Addr{}); got.IsValid() {
		t.Errorf("no address counts as %s", got)
	}
}

func TestLimiterSet(t *testing.T) {
	l := NewLimiter[int](1, 30*time.Second, 4)
	const at = 100 * time.Second
	allow := func(now time.Duration, want bool) {
		t.Helper()
		if l.Allow(1, now) != want {
			t.Errorf("at %v: want %v", now, want)
		}
	}
	allow(at, true)
	l.Set(at, 1, 10*time.Second)
	allow(at+9*time.Second, false)
	allow(at+10*time.Second, true)
	l.Set(at+10*time.Second, 2, 10*time.Second)
	allow(at+10*time.Second, false)
	allow(at+15*time.Second, true)
	l.Set(at+15*time.Second, 0, 0)
	allow(at+15*time.Second, true)
	if l.Len() != 0 {
		t.Errorf("%d keys kept for nothing", l.Len())
	}
	l.Set(at+15*time.Second, 1, time.Second)
	allow(at+15*time.Second, true)
	allow(at+15*time.Second, false)
}
