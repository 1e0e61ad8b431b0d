package broker

import (
	"net/netip"
	"time"

	"tunneldigger/src/cookie"
)

const (
	answerBurst = time.Second // of the set rate, that may be answered at once
	sources     = 512         // by which answers are counted while many are asked for
	fairShare   = 20          // answers a second to a source, before it waits behind those who have had fewer
)

// shedder bounds how many COOKIE and USAGE requests are answered a second:
// anybody can send them, with any address, and answers fill an uplink as well as
// a processor. It is a token bucket, of which the second half is kept for
// sources that have asked little: so a flood from few addresses leaves room for
// everybody else, and one from forged addresses is shed evenly, since tokens come
// one by one and whoever asks next has the next one.
//
// A source is a number that stands for many addresses (IPv6: /64s), so that
// memory is bounded; a key makes sure that nobody can choose whose he shares.
type shedder struct {
	step  time.Duration // what an answer costs, 0: nothing
	full  time.Duration // when the bucket is full again
	epoch time.Duration // the second that had counts
	had   [sources]uint8
}

func newShedder(perSecond int) shedder {
	if perSecond <= 0 {
		return shedder{}
	}
	return shedder{step: time.Second / time.Duration(perSecond)}
}

// allow reports whether a request of peer may be answered now.
func (s *shedder) allow(now time.Duration, peer netip.Addr, jar *cookie.Jar) bool {
	if s.step == 0 {
		return true
	}
	full := max(s.full, now) + s.step
	if full-now > answerBurst/2 { // many have asked of late
		if full-now > answerBurst {
			return false
		}
		if second := now / time.Second; second != s.epoch {
			s.epoch = second
			clear(s.had[:])
		}
		had := &s.had[source(peer, jar)]
		if *had >= fairShare {
			return false
		}
		*had++
	}
	s.full = full
	return true
}
