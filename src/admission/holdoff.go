package admission

import "time"

const (
	// firstHold is the first hold-off. A client that was refused and knows no other
	// broker begins anew after 5 s: one that has to wait no longer than that for its
	// limit is let in by its second or third try.
	firstHold = 10 * time.Second
	// holdDoublings is how often it is doubled at most: 640 s, near the longest
	// rest of anything in this protocol. Who has learned nothing by then will not,
	// and one that was repaired meanwhile should not wait for longer.
	holdDoublings = 6
	// holdPeriods is how many periods of the limit it lasts at most: whoever never
	// stops, or many behind one address, still get a quarter of what the limit is.
	holdPeriods = 4
)

// Verdict is what a Limiter says about a key.
type Verdict uint8

// The verdicts. A key that has nothing left is held off for 10 s: until then it
// gets nothing, whatever it would have back by then. If it comes again before
// that has passed, its next hold-off is twice as long, up to 640 s or four
// periods, and so on until it has kept away for once as long as it was told to.
// What it has back meanwhile it may use in between: an address with many clients
// behind it, of which each one comes again, is slowed down and not shut out.
const (
	Free    Verdict = iota // it may go on
	TooMany                // it has nothing left, and is held off from now on
	HeldOff                // it came again too soon
)

// holdOff is how a key that was refused is to stay away.
type holdOff struct {
	until time.Duration // its end; 0: there was none
	level uint8         // how often it was doubled
	again bool          // the key came again before its end
}

// length is how long the hold-off is under a limit of that period.
func (h *holdOff) length(period time.Duration) time.Duration {
	return min(firstHold<<h.level, holdPeriods*period)
}

// forgotten is when it makes no difference any more.
func (h *holdOff) forgotten(period time.Duration) time.Duration {
	if h.until == 0 {
		return 0
	}
	return h.until + h.length(period)
}

// holds reports whether a key that comes now is still to stay away, and remembers
// that it came.
func (h *holdOff) holds(now time.Duration) bool {
	if now < h.until {
		h.again = true
		return true
	}
	return false
}

// begin holds the key off from now on.
func (h *holdOff) begin(now, period time.Duration) {
	switch {
	case !h.again || now >= h.forgotten(period):
		h.level = 0
	case h.level < holdDoublings:
		h.level++
	}
	h.until, h.again = now+h.length(period), false
}
