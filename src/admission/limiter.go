package admission

import (
	"net/netip"
	"time"
)

// sweep is how many entries a full Limiter looks at for one to give up.
const sweep = 16

// Limiter allows each key count times per period, with the whole count at once
// as burst. It remembers at most max keys. When it is full, a new key takes the
// place of the one that is nearest to being the same as one never seen, which
// loses the least: a flood of forged identities costs memory for max keys and
// no more.
//
// It keeps one number a key: the time at which the key has its whole burst
// back (the generic cell rate algorithm), so a key whose time has passed is
// the same as one never seen. For [Limiter.Check] there is a hold-off beside it.
type Limiter[K comparable] struct {
	step    time.Duration // what one use costs
	period  time.Duration // burst: how far ahead of now a key's time may run
	index   map[K]int
	entries []entry[K]
	max     int
	hand    int
}

type entry[K comparable] struct {
	_    [0]func() // not to be compared: that would be code for nothing
	key  K
	full time.Duration // when the key has its whole burst back
	holdOff
}

// NewLimiter makes a Limiter; count below 1 or a period of 0 makes one that
// allows everything and remembers nothing. max is the most keys it keeps.
func NewLimiter[K comparable](count int, period time.Duration, max int) *Limiter[K] {
	l := &Limiter[K]{max: max}
	l.Set(0, count, period)
	return l
}

// Set changes the numbers, which mean the same as for NewLimiter. What keys have
// used stays used, but from now on for the new period at most.
func (l *Limiter[K]) Set(now time.Duration, count int, period time.Duration) {
	if count < 1 || period <= 0 {
		*l = Limiter[K]{max: l.max}
		return
	}
	l.step, l.period = period/time.Duration(count), period
	if l.index == nil {
		l.index = make(map[K]int)
	}
	for i := range l.entries {
		e := &l.entries[i]
		e.full, e.until = min(e.full, now+period), min(e.until, now+holdPeriods*period)
	}
}

// Allow reports whether key may go on at now, and counts it if so. A refused try
// does not count: who waits long enough gets in.
func (l *Limiter[K]) Allow(key K, now time.Duration) bool {
	if i, known := l.index[key]; known && !l.has(i, now) {
		return false
	}
	l.Take(key, now)
	return true
}

// Check reports whether key may go on at now, and does not count it: that is for
// Take, when nothing else is in the way. A refused key is held off for a while,
// and for longer if it comes again all the same, see [Verdict].
func (l *Limiter[K]) Check(key K, now time.Duration) Verdict {
	i, known := l.index[key]
	if !known {
		return Free
	}
	e := &l.entries[i]
	switch {
	case e.holds(now):
		return HeldOff
	case l.has(i, now):
		return Free
	}
	e.begin(now, l.period)
	return TooMany
}

// Spare reports whether key could be used at now once more than others times, without
// counting or holding off anything.
func (l *Limiter[K]) Spare(key K, others int, now time.Duration) bool {
	if l.step == 0 {
		return true
	}
	full := now
	if i, known := l.index[key]; known {
		if full = max(full, l.entries[i].full); now < l.entries[i].until {
			return false
		}
	}
	return full-now+time.Duration(others+1)*l.step <= l.period
}

// has reports whether entry i may be used at now.
func (l *Limiter[K]) has(i int, now time.Duration) bool {
	return max(l.entries[i].full, now)+l.step-now <= l.period
}

// Take counts one use of key.
func (l *Limiter[K]) Take(key K, now time.Duration) {
	if l.step == 0 {
		return
	}
	i, known := l.index[key]
	if !known {
		i = l.place(now)
		if i == len(l.entries) {
			l.entries = append(l.entries, entry[K]{})
		} else {
			delete(l.index, l.entries[i].key)
		}
		l.entries[i] = entry[K]{key: key}
		l.index[key] = i
	}
	e := &l.entries[i]
	e.full = max(e.full, now) + l.step
}

// Len is the number of keys remembered.
func (l *Limiter[K]) Len() int { return len(l.entries) }

// Held is the number of keys that are held off at now.
func (l *Limiter[K]) Held(now time.Duration) (n int) {
	for i := range l.entries {
		if now < l.entries[i].until {
			n++
		}
	}
	return n
}

// useful is until when entry i makes a difference.
func (l *Limiter[K]) useful(i int) time.Duration {
	return max(l.entries[i].full, l.entries[i].forgotten(l.period))
}

// place finds room for a new key: the end, while there is some, or the entry
// among the next few that is the least use to keep.
func (l *Limiter[K]) place(now time.Duration) int {
	best := -1
	for n := 0; n < min(sweep, len(l.entries)); n++ {
		l.hand = (l.hand + 1) % len(l.entries)
		if best < 0 || l.useful(l.hand) < l.useful(best) {
			best = l.hand
		}
	}
	if best >= 0 && (l.useful(best) <= now || len(l.entries) >= l.max) {
		return best
	}
	return len(l.entries)
}

// AddrKey is what a limit per address counts by: an IPv4 address as it is, an
// IPv6 address by its /64, since that is what one site has.
func AddrKey(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return addr
	}
	return prefix.Addr()
}

// Used is all that a Limiter remembers of a key.
type Used struct {
	Full  time.Duration // when it has its whole burst back
	Until time.Duration // end of its last hold-off, 0: there was none
	Level uint8         // how often that was doubled
	Again bool          // it came again before that end
}

// Each calls f for every key, in an order in which Put makes a Limiter that
// forgets in the same order.
func (l *Limiter[K]) Each(f func(K, Used)) {
	for n := range l.entries {
		e := &l.entries[(l.hand+n)%len(l.entries)]
		f(e.key, Used{e.full, e.until, e.level, e.again})
	}
}

// Put takes in what Each of another Limiter gave, as far as there is room.
func (l *Limiter[K]) Put(key K, u Used) {
	if _, known := l.index[key]; known || l.step == 0 || len(l.entries) >= l.max {
		return
	}
	l.index[key] = len(l.entries)
	l.entries = append(l.entries, entry[K]{key: key, full: u.Full, holdOff: holdOff{u.Until, min(u.Level, holdDoublings), u.Again}})
}
