package broker

import (
	"encoding/binary"
	"net/netip"
	"time"

	"tunneldigger/src/admission"
	"tunneldigger/src/cookie"
)

const (
	seenPeriod  = 4 * time.Second // a client says something every 5 s
	seenPeriods = 3
	seenBits    = 1 << 21
	seenMarks   = 6 // bits for each conversation
)

// seen remembers, roughly, which conversations were heard in the last few periods, by some
// bits for each (a Bloom filter): of 16 000 forged ones a second it takes one or two
// for one that was heard before. Its 768 kB are taken when they are first needed.
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
	place, step := binary.LittleEndian.Uint32(sum[:4]), binary.LittleEndian.Uint32(sum[4:])
	var all [seenPeriods]uint64
	for i := range all {
		all[i] = 1
	}
	for range seenMarks {
		word, shift := place%seenBits/64, place%64
		for i, bits := range s.bits {
			all[i] &= bits[word] >> shift
		}
		s.bits[current][word] |= 1 << shift
		place += step | 1
	}
	for i, heard := range all {
		before = before || heard != 0 && time.Duration(i) != current
	}
	return before, s.had[source(peer.Addr(), jar)] < tellShare
}

// count remembers that one of addr's source was told.
func (s *seen) count(addr netip.Addr, jar *cookie.Jar) {
	if had := &s.had[source(addr, jar)]; *had < tellShare {
		*had++
	}
}

// notACookie is a tick that is never that of a cookie, so that sums tell nobody one.
const notACookie = ^uint32(0)

// source is a number below sources that stands for many addresses (IPv6: /64s). Nobody
// without the key can choose whose number he shares.
func source(addr netip.Addr, jar *cookie.Jar) uint {
	sum := jar.Issue(netip.AddrPortFrom(admission.AddrKey(addr), 0), notACookie)
	return (uint(sum[0])<<8 | uint(sum[1])) % sources
}
