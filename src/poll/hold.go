package poll

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
)

// Hold is Wait for a goroutine that keeps its thread (runtime.LockOSThread) and expects the next event soon: it waits in the kernel, for timeout at
// most, which is whole milliseconds, and is not woken by way of the runtime, which hears of nothing meanwhile. That is three times as fast, and as long
// as it lasts the runtime's monitor is awake. It has to be: a goroutine that is always busy and makes only calls that the runtime does not know of
// would have nobody ask for what others wait for.
func (p *Poller) Hold(timeout time.Duration, events []Event) (int, error) {
	if len(events) == 0 {
		return 0, unix.EINVAL
	}
	if len(p.raw) < len(events) {
		p.raw = make([]unix.EpollEvent, len(events))
	}
	if p.heard {
		if err := p.hear(unix.EPOLL_CTL_MOD, 0); err != nil {
			return 0, phrase.Errorf("epoll: %w", err)
		}
	}
	p.arm(-1)
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p.raw))), uintptr(len(events)),
		uintptr(milliseconds(timeout)), 0, 0)
	if p.n, p.errno = int(n), errno; errno == unix.EINTR {
		return 0, nil
	}
	return p.collect(events)
}
