package poll

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Hold is Wait for a goroutine that keeps its thread (runtime.LockOSThread) and expects the next event soon: it waits in the kernel, for timeout at
// most, which is whole milliseconds, and is not woken by way of the runtime. That is three times as fast, and as long as it lasts the
// runtime's monitor is awake.
func (p *Poller) Hold(timeout time.Duration, events []Event) (int, error) {
	if len(events) == 0 {
		return 0, unix.EINVAL
	}
	if len(p.raw) < len(events) {
		p.raw = make([]unix.EpollEvent, len(events))
	}
	p.arm(-1)
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p.raw))), uintptr(len(events)),
		uintptr(milliseconds(timeout)), 0, 0)
	if p.n, p.errno = int(n), errno; errno == unix.EINTR {
		return 0, nil
	}
	return p.collect(events)
}
