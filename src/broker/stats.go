package broker

import (
	"math/bits"
	"time"
)

// Drop is why a datagram was dropped without an answer.
type Drop uint8

// The kinds of dropped datagrams; new ones at the end only, as with reasons.
const (
	DropMalformed Drop = iota // not a message of this protocol, or broken inside
	DropCookie                // a PREPARE whose cookie is wrong or too old
	DropStranger              // a tunnel's message from an address that has none
	DropDirection             // a message that only a broker sends
	DropClosing               // a message for a tunnel that is being closed
	DropShed                  // a COOKIE or USAGE above the set rate
	DropFrame                 // a frame that came before its tunnel was there
	DropMisfit                // a frame of another session than the tunnel's
	// DropCount is the number of kinds.
	DropCount
)

// SetupBuckets is the number of buckets of a Setup.
const SetupBuckets = 17

// Setup is how long clients waited for their tunnels, from the accepted PREPARE
// to the TUNNEL answer, the time in the queue included. Bucket i counts those of
// at most 2^i ms that are in no bucket before, the last one all others.
type Setup struct {
	Buckets [SetupBuckets]uint64
	Sum     time.Duration
}

func (s *Setup) add(took time.Duration) {
	took = max(0, took)
	s.Sum += took
	ms := uint64((took + time.Millisecond - 1) / time.Millisecond)
	s.Buckets[min(bits.Len64(max(ms, 1)-1), SetupBuckets-1)]++
}

// Stats counts since the broker was made. Everything only grows.
type Stats struct {
	Cookies, Usages, Prepares uint64 // requests answered or looked at
	Repeats                   uint64 // PREPAREs of a tunnel that stands already
	Opened                    uint64 // tunnels that came up
	Told                      uint64 // clients without a tunnel that were told so
	Twins                     uint64 // UUIDs that two living nodes were seen to have
	Drops                     [DropCount]uint64
	Reasons                   [ReasonCount]uint64 // refusals and closes
	Setup                     Setup
}
