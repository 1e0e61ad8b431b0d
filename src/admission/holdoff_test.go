package admission

import (
	"testing"
	"time"
)

// come checks and takes at once, as a client does that nothing else is in the way
// of.
func come(l *Limiter[string], key string, now time.Duration) Verdict {
	v := l.Check(key, now)
	if v == Free {
		l.Take(key, now)
	}
	return v
}

func TestHoldOff(t *testing.T) {
	const s = time.Second
	type try struct {
		at   time.Duration
		want Verdict
	}
	for _, test := range []struct {
		name  string
		tries []try
	}{
		{"who keeps away gets what it has back", []try{
			{0, Free}, {0, Free}, {0, TooMany}, {10 * s, Free}, {10 * s, TooMany}, {20 * s, Free}}},
		{"the rest of a hold-off is not longer for coming again", []try{
			{0, Free}, {0, Free}, {0, TooMany}, {1 * s, HeldOff}, {9 * s, HeldOff}, {10*s - 1, HeldOff}, {10 * s, Free}}},
		{"but the next one is", []try{
			{0, Free}, {0, Free}, {0, TooMany}, {1 * s, HeldOff}, {10 * s, Free}, {11 * s, TooMany},
			{21 * s, HeldOff}, {31*s - 1, HeldOff}, {31 * s, Free}, {31 * s, Free}, {31 * s, TooMany}, {71*s - 1, HeldOff}, {71 * s, Free}}},
		{"what was obeyed is forgotten", []try{
			{0, Free}, {0, Free}, {0, TooMany}, {1 * s, HeldOff}, {10 * s, Free}, {10 * s, TooMany}, // for 20 s
			{30 * s, Free}, {30 * s, Free}, {30 * s, TooMany}, {40 * s, Free}}},
		{"what is long ago is forgotten", []try{
			{0, Free}, {0, Free}, {0, TooMany}, {1 * s, HeldOff}, {20 * s, Free}, {20 * s, Free}, {20 * s, TooMany}, {30 * s, Free}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := NewLimiter[string](2, 20*s, 8)
			for i, try := range test.tries {
				if got := come(l, "a", 1000*s+try.at); got != try.want {
					t.Errorf("try %d at %v: got %v, want %v", i, try.at, got, try.want)
				}
			}
		})
	}
}

// Who never stops gets its burst once in 640 s or four periods, and no less.
func TestHoldOffLongest(t *testing.T) {
	for _, test := range []struct{ period, longest time.Duration }{
		{10 * time.Second, 40 * time.Second}, {60 * time.Second, 240 * time.Second}, {200 * time.Second, 640 * time.Second},
	} {
		l := NewLimiter[string](3, test.period, 8)
		var free []time.Duration
		for now := time.Duration(0); now < 4*time.Hour; now += time.Second {
			if come(l, "a", now) == Free {
				free = append(free, now)
			}
		}
		// It takes at most twice the longest to get there; then three each time.
		if want := int(3 * 4 * time.Hour / test.longest); len(free) < want*9/10 || len(free) > want+18 {
			t.Errorf("period %v: let in %d times in 4 hours, want about %d", test.period, len(free), want)
		}
		for i := 1; i < len(free); i++ {
			if gap := free[i] - free[i-1]; gap > test.longest+10*time.Second {
				t.Errorf("period %v: shut out for %v", test.period, gap)
			}
		}
	}
}

// Many clients behind one address, each of which comes again: they are all let in
// nearly as soon as the limit alone would have it.
func TestHoldOffOfASite(t *testing.T) {
	l := NewLimiter[string](10, 60*time.Second, 8)
	waiting, now := 30, time.Duration(0)
	for ; waiting > 0 && now < time.Hour; now += 500 * time.Millisecond {
		if come(l, "a", now) == Free {
			waiting--
		}
	}
	if waiting > 0 || now > 180*time.Second {
		t.Errorf("%d wait after %v, the limit alone takes 120 s", waiting, now)
	}
}

// A hold-off is worth more than the use of a key that came once: a flood of new
// keys does not end it.
func TestHoldOffOutlivesAFlood(t *testing.T) {
	const most = 256
	l := NewLimiter[int](1, 200*time.Second, most)
	now := 1000 * time.Second
	l.Take(-1, now)
	l.Check(-1, now)
	for i := 0; i < 8; i++ { // to 640 s
		now = l.entries[0].until - 1
		l.Check(-1, now)
		now++
		l.Take(-1, now)
		l.Check(-1, now)
	}
	if got := l.Held(now); got != 1 {
		t.Errorf("%d are held off", got)
	}
	for key := 0; key < 20*most; key++ {
		now += 10 * time.Millisecond
		if l.Check(key, now) != Free {
			t.Fatal("a new key is refused")
		}
		l.Take(key, now)
	}
	if got := l.Check(-1, now); got != HeldOff || l.Len() > most {
		t.Errorf("after the flood: %v, %d keys", got, l.Len())
	}
}

func TestHoldOffWithoutLimit(t *testing.T) {
	l := NewLimiter[string](0, 0, 8)
	for i := 0; i < 10; i++ {
		if come(l, "a", 0) != Free {
			t.Fatal("refused without a limit")
		}
	}
	if l.Len() != 0 || l.Held(0) != 0 {
		t.Error("remembers without a limit")
	}
}
