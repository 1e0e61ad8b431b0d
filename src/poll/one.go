package poll

import (
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
)

// One waits until one descriptor is readable or has an error, or the time-out
// passes, which is no error. It is for callers without a loop.
func One(fd int, timeout time.Duration) error {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(fds, milliseconds(timeout)); err != nil && err != unix.EINTR {
		return phrase.Errorf("poll: %w", err)
	}
	return nil
}
