// Package nltest gives tests on a real kernel a network namespace of their own.
package nltest

import (
	"errors"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Namespace puts the test's goroutine, for good, on a thread with a fresh network namespace whose loopback interface is up. It
// takes root.
func Namespace(t testing.TB) {
	t.Helper()
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and the namespace with it
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal("new network namespace:", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, _ := unix.NewIfreq("lo")
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatal("loopback up:", err)
	}
}

// UDP makes a UDP socket that is connected from one address to another, closed at the end of the test.
func UDP(t testing.TB, local, peer string) (fd int) {
	t.Helper()
	from, to := netip.MustParseAddrPort(local), netip.MustParseAddrPort(peer)
	family := unix.AF_INET
	if from.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		t.Cleanup(func() { unix.Close(fd) })
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if err == nil {
		err = unix.Bind(fd, sockaddr(from))
	}
	if err == nil {
		err = unix.Connect(fd, sockaddr(to))
	}
	if err != nil {
		t.Fatalf("UDP socket %s to %s: %v", local, peer, err)
	}
	return fd
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

// Until runs the check until it gives nil, and fails the test with the check's error after a minute. It is for what the kernel
// does in its own time and gives no event for.
func Until(t testing.TB, check func() error) {
	t.Helper()
	err := errors.New("not tried")
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if err = check(); err == nil {
			return
		}
		runtime.Gosched()
	}
	t.Fatal(err)
}
