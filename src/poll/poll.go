// Package poll waits for file descriptors: a thin epoll(7) set, level-triggered, for one loop, and an eventfd by which other
// goroutines wake that loop.
package poll

import (
	"math"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/clock"
	"tunneldigger/src/phrase"
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

// Poller is a set of watched descriptors. Add and Remove may be called from any goroutine, Wait from one at a time.
type Poller struct {
	fd    int
	outer int                                // a set with fd alone in it, which is what the runtime watches
	relay *os.File                           // owns outer
	heard bool                               // events are by way of relay; false: Hold leaves the runtime alone
	block func(ask func(uintptr) bool) error // until ask is true
	ask   func(uintptr) bool                 // look, bound once so that Wait does not allocate
	timer int                                // a timerfd in the set
	armed time.Duration                      // when timer goes off, by clock.Now, or never
	raw   []unix.EpollEvent
	room  int        // of raw, that look may fill
	n     int        // events that look found
	errno unix.Errno // that look met
}

const never time.Duration = -1

// New returns an empty set. Its descriptors are closed on exec.
func New() (*Poller, error) {
	p := &Poller{fd: -1, timer: -1, armed: never}
	var err error
	if p.outer, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err == nil {
		_ = unix.SetNonblock(p.outer, true) // means nothing to epoll; os.NewFile then lets the runtime wait for it
		p.relay = os.NewFile(uintptr(p.outer), "epoll")
		p.fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	}
	if err != nil {
		p.Close()
		return nil, phrase.Errorf("epoll_create: %w", err)
	}
	conn, err := p.relay.SyscallConn()
	if err == nil {
		err = p.hear(unix.EPOLL_CTL_ADD, unix.EPOLLIN)
	}
	if err != nil {
		p.Close()
		return nil, phrase.Errorf("epoll: %w", err)
	}
	p.block, p.ask = conn.Read, p.look
	if p.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		p.Close()
		return nil, phrase.Errorf("timerfd_create: %w", err)
	}
	// Edge-triggered, so that it need not be read.
	if err := p.control(unix.EPOLL_CTL_ADD, p.timer, timerToken, unix.EPOLLIN|unix.EPOLLET); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Close closes the set, not the descriptors in it.
func (p *Poller) Close() error {
	if p.timer >= 0 {
		unix.Close(p.timer)
	}
	if p.fd >= 0 {
		unix.Close(p.fd)
	}
	return p.relay.Close()
}

// hear has the runtime hear of events, or not.
func (p *Poller) hear(op int, events uint32) error {
	p.heard = events != 0
	return unix.EpollCtl(p.outer, op, p.fd, &unix.EpollEvent{Events: events})
}

// timerToken is what no other descriptor may have.
const timerToken = math.MaxUint64

// Add watches fd and reports token for it: any but the largest number. A descriptor that is in the set already gives EEXIST.
func (p *Poller) Add(fd int, token uint64, events Interest) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, token, events)
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
		return phrase.Errorf("epoll_ctl fd %d: %w", fd, err)
	}
	return nil
}

// Wait fills events with what is ready and returns how many; 0 means that the time-out passed. It waits for ever when timeout is
// negative, and not at all when it is 0. A time-out is rounded up to milliseconds, so that a timer is never found to be not
// quite due. It does not allocate once it has seen the largest len(events).
//
// It waits where the Go runtime does, in the runtime's own epoll set. A thread that blocks in a system call of its own keeps its
// processor until the runtime's monitor thread takes it away, and that thread wakes up to 50000 times a second to find out whether
// it should: more work than all that the loop does for one event. A timer of the runtime's wakes that thread as well; hence the timerfd.
func (p *Poller) Wait(timeout time.Duration, events []Event) (int, error) {
	if len(events) == 0 {
		return 0, unix.EINVAL
	}
	if len(p.raw) < len(events) {
		p.raw = make([]unix.EpollEvent, len(events))
	}
	p.room, p.n, p.errno = len(events), 0, 0
	if timeout == 0 {
		p.look(0)
	} else {
		if !p.heard {
			if err := p.hear(unix.EPOLL_CTL_MOD, unix.EPOLLIN); err != nil {
				return 0, phrase.Errorf("epoll: %w", err)
			}
		}
		p.arm(timeout)
		if err := p.block(p.ask); err != nil {
			return 0, phrase.Errorf("epoll: %w", err)
		}
	}
	return p.collect(events)
}

// collect turns what was found into events.
func (p *Poller) collect(events []Event) (int, error) {
	if p.errno != 0 {
		return 0, phrase.Errorf("epoll_pwait: %w", p.errno)
	}
	n := 0
	for i := range p.n {
		ev := &p.raw[i]
		token := uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
		if token == timerToken {
			continue
		}
		events[n] = Event{
			Token:    token,
			Readable: ev.Events&unix.EPOLLIN != 0,
			Writable: ev.Events&unix.EPOLLOUT != 0,
			Error:    ev.Events&unix.EPOLLERR != 0,
			Hup:      ev.Events&unix.EPOLLHUP != 0,
		}
		n++
	}
	return n, nil
}

// look takes what is ready now into raw, and reports whether there is something to come back with. It is epoll_pwait without a
// signal mask, the one call that every architecture has.
func (p *Poller) look(uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p.raw))), uintptr(p.room), 0, 0, 0)
	if errno != 0 {
		p.errno = errno
		return true
	}
	p.n = int(n)
	return n > 0
}

// arm sets the timer, on a grid of milliseconds, so that a time-out until the same moment costs nothing the next time. One that has gone
// off need not be cleared: its time is over, so the next one is another.
func (p *Poller) arm(timeout time.Duration) {
	at, in := never, time.Duration(0) // 0 stops the timer
	if timeout > 0 {
		now := clock.Now()
		at = (now + min(timeout, longest) + time.Millisecond - 1) / time.Millisecond * time.Millisecond
		in = at - now
	}
	if at == p.armed {
		return
	}
	p.armed = at
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(in))}
	_ = unix.TimerfdSettime(p.timer, 0, &spec, nil) // can't fail: the descriptor and the time are good
}

// longest is the longest time-out, in the range of what poll(2) takes.
const longest = math.MaxInt32 * time.Millisecond

func milliseconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	if d > longest {
		return math.MaxInt32
	}
	return int((d + time.Millisecond - 1) / time.Millisecond)
}
