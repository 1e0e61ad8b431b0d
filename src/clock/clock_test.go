package clock

import "testing"

// It is the kernel's clock, and does not go back.
func TestClock(t *testing.T) {
	before := monotonic()
	now := Now()
	if after := monotonic(); before <= 0 || now < before-1e6 || now > after+1e6 || Now() < now {
		t.Errorf("%v is not between %v and %v", now, before, after)
	}
}
