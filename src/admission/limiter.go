package admission

import (
	"net/netip"
	"time"
)

// sweep is how many entries a full Limiter looks at for one to give up.
const sweep = 16

// Limiter allows each key count times per period, with the whole count at once
// as burst. It remembers at most max keys. When it is full, a new key takes the
// place of the one that is nearest to being allowed everything again, which
// loses the least: a flood of forged identities costs memory for max keys and
// no more.
//
// It keeps one number a key: the time at which the key has its whole burst
// back (the generic cell rate algorithm), so a key whose time has passed is
// the same as one never seen.
type Limiter[K comparable] struct {
	step    time.Duration // what one use costs
	period  time.Duration // burst: how far ahead of now a key's time may run
	index   map[K]int
	entries []entry[K]
	max     int
	hand    int
}

type entry[K comparable] struct {
	key  K
	full time.Duration // when the key has its whole burst back
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
		l.entries[i].full = min(l.entries[i].full, now+period)
	}
}

// Allow tells whether key may go on at now, and counts it if so. A refused try
// does not count: who waits long enough gets in.
func (l *Limiter[K]) Allow(key K, now time.Duration) bool {
	if l.step == 0 {
		return true
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
	full := max(l.entries[i].full, now) + l.step
	if full-now > l.period {
		return false
	}
	l.entries[i].full = full
	return true
}

// Len is the number of keys remembered.
func (l *Limiter[K]) Len() int { return len(l.entries) }

// place finds room for a new key: the end, while there is some, or the entry
// among the next few that is the least use to keep.
func (l *Limiter[K]) place(now time.Duration) int {
	best := -1
	for n := 0; n < min(sweep, len(l.entries)); n++ {
		l.hand = (l.hand + 1) % len(l.entries)
		if best < 0 || l.entries[l.hand].full < l.entries[best].full {
			best = l.hand
		}
	}
	if best >= 0 && (l.entries[best].full <= now || len(l.entries) >= l.max) {
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

// Each calls f for every key with when it has its whole burst back, in an order
// in which Put makes a Limiter that forgets in the same order.
func (l *Limiter[K]) Each(f func(key K, full time.Duration)) {
	for n := range l.entries {
		e := &l.entries[(l.hand+n)%len(l.entries)]
		f(e.key, e.full)
	}
}

// Put takes in what Each of another Limiter gave, as far as there is room.
func (l *Limiter[K]) Put(key K, full time.Duration) {
	if _, known := l.index[key]; known || l.step == 0 || len(l.entries) >= l.max {
		return
	}
	l.index[key] = len(l.entries)
	l.entries = append(l.entries, entry[K]{key, full})
}
