package poll

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
)

// Hold is Wait for a goroutine that expects the next event soon: it waits in the kernel, for timeout at most, which is whole milliseconds, and few of them. It
// is not woken by way of the runtime, whose threads would each time be woken as well and look for work, and it keeps its processor: there have to be
// others (GOMAXPROCS) for those who are not to wait meanwhile. A garbage collection ends it, as any signal does; then nothing is ready.
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
	// A call that the runtime knows of would have its monitor wake up to 50000 times a second, see Wait, and others look for work with the processor.
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p.raw))), uintptr(len(events)),
		uintptr(milliseconds(timeout)), 0, 0)
	if p.n, p.errno = int(n), errno; errno == unix.EINTR {
		return 0, nil
	}
	return p.collect(events)
}
