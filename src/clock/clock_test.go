package clock

import (
	"testing"
	"time"
)

// Both are one clock, which does not go back. (A busy machine may have stopped the process between its two first readings.)
func TestClock(t *testing.T) {
	before := SinceBoot()
	now := Now()
	if again := Now(); before <= 0 || now < before-time.Minute || again < now || again > SinceBoot() {
		t.Errorf("%v and %v are not between %v and %v", now, again, before, SinceBoot())
	}
}
