package sock

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"tunneldigger/src/sockaddr"
)

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func listen(t testing.TB, addr, device string) *Listener {
	t.Helper()
	l, err := Listen(ap(addr), device)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// client is a plain socket of x/sys, bound to addr, so that the tests do not believe this package about its own work.
type client struct {
	t    testing.TB
	fd   int
	addr netip.AddrPort
}

func newClient(t testing.TB, addr string) *client {
	t.Helper()
	at := ap(addr)
	family := unix.AF_INET
	if at.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, plain(at)); err != nil {
		t.Fatal(err)
	}
	// A datagram over loopback arrives at once: this is only there to end a test that fails.
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10})
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return &client{t: t, fd: fd, addr: fromPlain(name)}
}

func plain(addr netip.AddrPort) unix.Sockaddr {
	if addr.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	scope, _ := sockaddr.ScopeID(addr.Addr())
	return &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16(), ZoneId: scope}
}

func fromPlain(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(sockaddr.WithScope(netip.AddrFrom16(sa.Addr), sa.ZoneId), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

func (c *client) send(to netip.AddrPort, text string) {
	c.t.Helper()
	if err := unix.Sendto(c.fd, []byte(text), 0, plain(to)); err != nil {
		c.t.Fatalf("send to %s: %v", to, err)
	}
}

// expect waits for a datagram and checks it.
func (c *client) expect(from netip.AddrPort, text string) {
	c.t.Helper()
	buf := make([]byte, 65536)
	n, sa, err := unix.Recvfrom(c.fd, buf, 0)
	if err != nil {
		c.t.Fatalf("no %q from %s: %v", text, from, err)
	}
	if got := fromPlain(sa); got != from || string(buf[:n]) != text {
		c.t.Errorf("got %q from %s, want %q from %s", buf[:n], got, text, from)
	}
}

// readable waits for fd to have something, an error included.
func readable(t testing.TB, fd int) {
	t.Helper()
	set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(set, 10_000)
		if err == unix.EINTR {
			continue
		}
		if n != 1 || err != nil {
			t.Fatalf("nothing arrives: %d, %v", n, err)
		}
		return
	}
}

// one waits for exactly one datagram.
func (l *Listener) one(t testing.TB) Datagram {
	t.Helper()
	readable(t, l.FD())
	got, faults := l.Receive()
	if len(got) != 1 || faults != 0 {
		t.Fatalf("%d datagrams, %d faults", len(got), faults)
	}
	return got[0]
}

func (l *Listener) nothing(t testing.TB) {
	t.Helper()
	if got, faults := l.Receive(); len(got) != 0 || faults != 0 {
		t.Fatalf("unexpected %+v, %d faults", got, faults)
	}
}
