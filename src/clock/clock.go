// Package clock has the time since boot, which goes on across exec, and which all processes
// of a machine have alike.
package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// What the time was as the process began, by both clocks: after that Go's is asked, which takes no system call. (A time.Time in a
// struct would bring the calendar with it, 50 kB of a router's flash, once anything prints what has the struct in it.)
var sinceBoot, start = SinceBoot(), time.Now()

// Now is the time since boot, without what the machine slept (CLOCK_MONOTONIC). It is behind by what passed between those two as the process began: mostly less
// than a microsecond.
func Now() time.Duration { return sinceBoot + time.Since(start) }

// SinceBoot is the same as other processes see it, by a system call.
func SinceBoot() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return time.Duration(ts.Nano())
}
