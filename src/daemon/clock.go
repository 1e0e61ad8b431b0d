package daemon

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock gives the time since boot, which goes on across exec. After the first
// reading it costs no system call.
type clock struct {
	base  time.Duration
	start time.Time
}

func newClock() clock {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return clock{time.Duration(ts.Nano()), time.Now()}
}

func (c *clock) now() time.Duration { return c.base + time.Since(c.start) }
