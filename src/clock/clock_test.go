package clock

import "testing"

// Both are one clock, which does not go back.
func TestClock(t *testing.T) {
	before := SinceBoot()
	c := New()
	now := c.Now()
	if after := SinceBoot(); before <= 0 || now < before || now > after+1e6 {
		t.Errorf("%v is not between %v and %v", now, before, after)
	}
}
