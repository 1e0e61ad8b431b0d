package broker

import (
	"net/netip"
	"time"

	"tunneldigger/src/admission"
	"tunneldigger/src/cookie"
)

const (
	seenPeriod  = 4 * time.Second // a client says something every 5 s
	seenPeriods = 3
	seenBits    = 1 << 19
)

// seen remembers, roughly, which conversations were heard in the last few periods, by two
// bits for each (a Bloom filter): of 5000 forged ones a second it takes one in a hundred
// for one that was heard before. Its 192 kB are taken when they are first needed.
type seen struct {
	period time.Duration // a number, not a time
	bits   [seenPeriods][]uint64
	had    [sources]uint8 // told in this period, by source
}

// note remembers that peer was heard, and reports whether it was heard in a period before
// this one, and whether few of its source were told in this one.
func (s *seen) note(now time.Duration, peer netip.AddrPort, jar *cookie.Jar) (before, fair bool) {
	if s.bits[0] == nil {
		for i := range s.bits {
			s.bits[i] = make([]uint64, seenBits/64)
		}
	}
	if period := now / seenPeriod; period != s.period {
		s.period = max(s.period, period-seenPeriods) // what is older has gone by then
		for s.period != period {
			s.period++
			clear(s.bits[s.period%seenPeriods])
		}
		clear(s.had[:])
	}
	sum, current := jar.Issue(peer, notACookie), s.period%seenPeriods
	first, second := bit(sum[0:3]), bit(sum[3:6])
	for i, bits := range s.bits {
		if time.Duration(i) != current && bits[first/64]&(1<<(first%64)) != 0 && bits[second/64]&(1<<(second%64)) != 0 {
			before = true
		}
	}
	s.bits[current][first/64] |= 1 << (first % 64)
	s.bits[current][second/64] |= 1 << (second % 64)
	return before, s.had[source(peer.Addr(), jar)] < tellShare
}

// count remembers that one of addr's source was told.
func (s *seen) count(addr netip.Addr, jar *cookie.Jar) {
	if had := &s.had[source(addr, jar)]; *had < tellShare {
		*had++
	}
}

func bit(sum []byte) uint { return (uint(sum[0])<<16 | uint(sum[1])<<8 | uint(sum[2])) % seenBits }

// notACookie is a tick that is never that of a cookie, so that sums tell nobody one.
const notACookie = ^uint32(0)

// source is a number below sources that stands for many addresses (IPv6: /64s). Nobody
// without the key can choose whose number he shares.
func source(addr netip.Addr, jar *cookie.Jar) uint {
	sum := jar.Issue(netip.AddrPortFrom(admission.AddrKey(addr), 0), notACookie)
	return (uint(sum[0])<<8 | uint(sum[1])) % sources
}
