package poll

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
)

// Wake lets any goroutine end the Wait of a loop that watches FD for Read.
type Wake struct{ fd int }

// NewWake returns a Wake that has not been notified. Its descriptor (an eventfd) is non-blocking and closed on exec.
func NewWake() (*Wake, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, phrase.Errorf("eventfd: %w", err)
	}
	return &Wake{fd: fd}, nil
}

// FD is the descriptor to watch; it belongs to the Wake.
func (w *Wake) FD() int { return w.fd }

// Notify makes FD readable until the next Drain. It never blocks and may be called from any goroutine; notifications before a
// Drain count as one.
func (w *Wake) Notify() {
	one := uint64(1) // host byte order
	// The only failure is a counter that is full (EAGAIN), and then FD is readable already.
	unix.RawSyscall(unix.SYS_WRITE, uintptr(w.fd), uintptr(unsafe.Pointer(&one)), 8)
}

// Drain makes FD unreadable again. To be called before looking at what the notification was about, so that none is missed.
func (w *Wake) Drain() {
	var count uint64
	unix.RawSyscall(unix.SYS_READ, uintptr(w.fd), uintptr(unsafe.Pointer(&count)), 8)
}

// Close closes the descriptor; nobody may call Notify any more.
func (w *Wake) Close() error { return unix.Close(w.fd) }
