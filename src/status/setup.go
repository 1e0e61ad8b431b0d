package status

import (
	"time"

	"tunneldigger/src/broker"
)

// bound is the longest time that counts in bucket i; that of the last bucket
// is no bound.
func bound(i int) time.Duration { return time.Millisecond << i }

func setups(s *broker.Setup) (count uint64) {
	for _, n := range s.Buckets {
		count += n
	}
	return count
}

// quantile estimates how long the given part, in percent, of the clients waited
// at most, in whole milliseconds: within a bucket they are taken to be spread
// evenly. Beyond the last bound it is that bound. Without clients it is 0.
func quantile(s *broker.Setup, percent uint64) time.Duration {
	rank := (setups(s)*percent + 99) / 100 // the client whose time it is, counted from 1
	for i, n := range s.Buckets {
		switch {
		case rank > n:
			rank -= n
			continue
		case n == 0:
			return 0
		case i == len(s.Buckets)-1:
			return bound(i - 1)
		}
		low := time.Duration(0)
		if i > 0 {
			low = bound(i - 1)
		}
		at := low + (bound(i)-low)*time.Duration(rank)/time.Duration(n)
		return (at + time.Millisecond - 1).Truncate(time.Millisecond)
	}
	return 0
}
