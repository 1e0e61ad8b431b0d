// Package notify tells systemd how the service that this process is fares: the protocol of sd_notify(3).
package notify

import (
	"os"

	"golang.org/x/sys/unix"

	"tunneldigger/src/clock"
	"tunneldigger/src/phrase"
)

// States that systemd knows.
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
)

// Reloading gives the state of a service that reads its configuration again, from now on until Ready. The time tells
// systemd which reload it is that Ready ends.
func Reloading() string {
	return phrase.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", clock.SinceBoot().Microseconds())
}

// Send gives a state to the socket that NOTIFY_SOCKET names: a path, or with a leading "@" an abstract address. It
// does nothing where the variable is not set, as nobody waits for it there, and never blocks.
func Send(state string) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return phrase.Errorf("notify socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, []byte(state), unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: name}); err != nil {
		return phrase.Errorf("notify %s: %w", name, err)
	}
	return nil
}
