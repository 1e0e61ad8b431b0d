// Package clock has the time since boot, which goes on across exec, and which all processes
// of a machine have alike.
package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// SinceBoot is that time, without what the machine slept (CLOCK_MONOTONIC).
func SinceBoot() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return time.Duration(ts.Nano())
}

// Clock gives it without a system call.
type Clock struct {
	base  time.Duration
	start time.Time
}

// New makes a Clock.
func New() Clock { return Clock{SinceBoot(), time.Now()} }

// Now is the time since boot.
func (c *Clock) Now() time.Duration { return c.base + time.Since(c.start) }
