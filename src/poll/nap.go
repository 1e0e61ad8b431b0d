package poll

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Nap blocks for d, or less when a signal comes, so that events can gather. It is for a millisecond or so, since other goroutines
// may have to wait for it: it keeps its processor, for the same reason as Wait gives it away. (time.Sleep would not do: every event of a
// Poller wakes the runtime.)
func Nap(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
	runtime.Gosched()
}
