// Package poll waits for file descriptors: a thin epoll(7) set, level-triggered, for one loop, and an eventfd by which other
// goroutines wake that loop.
package poll

import (
	"fmt"
	"math"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Interest says what a descriptor is watched for. Errors and hang-ups are reported whatever it says.
type Interest uint32

// The two interests; they may be combined.
const (
	Read  Interest = unix.EPOLLIN
	Write Interest = unix.EPOLLOUT
)

// Event is one descriptor that is ready. It is reported again by every Wait until the cause is gone: an Error of a socket stays
// until its error queue and SO_ERROR are read.
type Event struct {
	Token    uint64 // as given to Add
	Readable bool
	Writable bool
	Error    bool // EPOLLERR
	Hup      bool // EPOLLHUP
}

// Poller is a set of watched descriptors. Add, Modify and Remove may be called from any goroutine, Wait from one at a time.
type Poller struct {
	fd     int
	raw    []unix.EpollEvent // reused by Wait
	start  time.Time
	last   time.Duration // since start, when the last Wait came back
	streak int           // how many came back shortly after the one before
}

// A thread that blocks in a system call the way the runtime knows gives its processor back, and at the next event the runtime's
// monitor thread wakes up as well: three more context switches for each turn of the loop. A raw call spares them, but
// keeps the processor, and when it ends without an event the monitor has been running in vain, which costs ten times what an event spares. So Wait
// blocks raw only while events have been coming thick, and only for a moment, shorter than the 10 ms after which the runtime interrupts
// who does not give way.
const (
	moment = 8 * time.Millisecond
	thick  = 32 // returns in a row within a moment of one another
)

// New returns an empty set. Its descriptor is closed on exec.
func New() (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	return &Poller{fd: fd, start: time.Now()}, nil
}

// Close closes the set, not the descriptors in it.
func (p *Poller) Close() error { return unix.Close(p.fd) }

// Add watches fd and reports token for it. A descriptor that is in the set already gives EEXIST.
func (p *Poller) Add(fd int, token uint64, events Interest) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, token, events)
}

// Modify changes token and interest of a watched descriptor.
func (p *Poller) Modify(fd int, token uint64, events Interest) error {
	return p.control(unix.EPOLL_CTL_MOD, fd, token, events)
}

// Remove stops watching fd. To be called before fd is closed: if a duplicate lives on, in another process perhaps, the kernel would
// go on reporting it.
func (p *Poller) Remove(fd int) error {
	return p.control(unix.EPOLL_CTL_DEL, fd, 0, 0)
}

func (p *Poller) control(op, fd int, token uint64, events Interest) error {
	// The kernel keeps 64 bits of user data, which x/sys calls Fd and Pad; they only need to come back as they went.
	ev := unix.EpollEvent{Events: uint32(events), Fd: int32(uint32(token)), Pad: int32(uint32(token >> 32))}
	if err := unix.EpollCtl(p.fd, op, fd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl fd %d: %w", fd, err)
	}
	return nil
}

// Wait fills events with what is ready and returns how many; 0 means that the time-out passed or a signal came. It waits for ever
// when timeout is negative, and not at all when it is 0. A time-out is rounded up to milliseconds, so that a timer is never
// found to be not quite due. It does not allocate once it has seen the largest len(events).
func (p *Poller) Wait(timeout time.Duration, events []Event) (int, error) {
	if len(events) == 0 {
		return 0, unix.EINVAL
	}
	if len(p.raw) < len(events) {
		p.raw = make([]unix.EpollEvent, len(events))
	}
	n, errno := p.wait(milliseconds(timeout), len(events))
	if errno != 0 {
		if errno == unix.EINTR {
			return 0, nil
		}
		return 0, fmt.Errorf("epoll_pwait: %w", errno)
	}
	for i := range n {
		ev := &p.raw[i]
		events[i] = Event{
			Token:    uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32,
			Readable: ev.Events&unix.EPOLLIN != 0,
			Writable: ev.Events&unix.EPOLLOUT != 0,
			Error:    ev.Events&unix.EPOLLERR != 0,
			Hup:      ev.Events&unix.EPOLLHUP != 0,
		}
	}
	return n, nil
}

// wait waits for ms milliseconds, for ever if negative, and fills p.raw.
func (p *Poller) wait(ms, max int) (n int, errno unix.Errno) {
	const brief = int(moment / time.Millisecond)
	switch {
	case p.streak >= thick && (ms < 0 || ms > brief):
		n, errno = p.pwait(brief, max, true)
		if n == 0 && errno == 0 {
			p.streak = 0
			if ms > 0 {
				ms -= brief
			}
			n, errno = p.pwait(ms, max, false)
		}
	default:
		n, errno = p.pwait(ms, max, ms == 0 || p.streak >= thick)
	}
	now := time.Since(p.start)
	if now-p.last < moment {
		p.streak++
	} else {
		p.streak = 0
	}
	p.last = now
	return n, errno
}

// pwait is epoll_pwait without a signal mask: the one call that every architecture has.
func (p *Poller) pwait(ms, max int, raw bool) (int, unix.Errno) {
	var n uintptr
	var errno unix.Errno
	events := unsafe.Pointer(unsafe.SliceData(p.raw))
	if raw {
		n, _, errno = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(events), uintptr(max), uintptr(ms), 0, 0)
	} else {
		n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(events), uintptr(max), uintptr(ms), 0, 0)
	}
	return int(n), errno
}

func milliseconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	if d > math.MaxInt32*time.Millisecond {
		return math.MaxInt32
	}
	return int((d + time.Millisecond - 1) / time.Millisecond)
}
