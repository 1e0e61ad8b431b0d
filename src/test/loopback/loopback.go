// Package loopback gives tests addresses and ports of this machine's loopback
// that nobody else takes between being given and being used: so a test need not
// hold a port and then hope.
package loopback

import (
	"errors"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// Host is an address of 127.0.0.0/8 that only this process uses, while it runs:
// its process ID is in it. Clients that dial it come from 127.0.0.1.
func Host() netip.Addr {
	pid := os.Getpid()
	return netip.AddrFrom4([4]byte{127, byte(64 | pid>>16), byte(pid >> 8), byte(pid)})
}

// Ports that Linux gives to nobody who does not name them: they are below
// net.ipv4.ip_local_port_range as it is by default.
const first, last = 20000, 32767

var given atomic.Uint32

// Port is a UDP port of Host, another one with each call, that is free there. A
// program of this machine that listens on every address has its own, which is
// passed over.
func Port(t testing.TB) uint16 {
	t.Helper()
	for range last - first + 1 {
		port := first + int(given.Add(1)-1)%(last-first+1)
		switch err := try(port); {
		case err == nil:
			return uint16(port)
		case !errors.Is(err, unix.EADDRINUSE):
			t.Fatalf("port %d of %v: %v", port, Host(), err)
		}
	}
	t.Fatalf("no port of %v is free", Host())
	return 0
}

func try(port int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrInet4{Addr: Host().As4(), Port: port})
}
