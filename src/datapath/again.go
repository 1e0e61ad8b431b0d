package datapath

import "time"

const (
	lookGap  = 2 * time.Second // between two looks for a master, and before the first new try
	maxGap   = 64 * lookGap    // between two tries, which come at twice the distance each time
	triesNow = 32              // in one Tick: keepalives and handshakes go on between
)

// tryAgain has an interface looked at once more, later each time.
func (s *Interfaces) tryAgain(now time.Duration, i *iface) {
	i.gap = min(max(2*i.gap, lookGap), maxGap)
	s.tryAt(i, now+i.gap)
}

func (s *Interfaces) tryAt(i *iface, at time.Duration) {
	i.at = at
	if !i.queued {
		i.queued = true
		s.again = append(s.again, i)
	}
}

// Due is when Tick is to be called next; false: no need to.
func (s *Interfaces) Due() (at time.Duration, ok bool) {
	at, ok = s.lookAt, s.lookAt != 0
	for _, i := range s.again {
		if !ok || i.at < at {
			at, ok = i.at, true
		}
	}
	return at, ok
}

// Tick tries again what could not be done.
func (s *Interfaces) Tick(now time.Duration) {
	s.now = now
	if s.lookAt != 0 && now >= s.lookAt {
		s.look(now)
	}
	if len(s.again) == 0 {
		return
	}
	again, tries := s.again, 0
	s.again = nil
	for _, i := range again {
		switch {
		case i.replaced || i.index == 0:
			i.queued = false
		case i.at > now || tries == triesNow:
			s.again = append(s.again, i)
		default:
			i.queued = false
			tries++
			s.apply(now, i)
		}
	}
}
