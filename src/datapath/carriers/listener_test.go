package carriers

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"tunneldigger/src/datapath"
	"tunneldigger/src/poll"
	"tunneldigger/src/sock"
	"tunneldigger/src/test/loopback"
)

// The loop waits at a listener of ours by its number, until it is released; so does the next process at what it adopts.
func TestListeners(t *testing.T) {
	poller, err := poll.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { poller.Close() })
	const token = 5 << 32
	c := NewNone(datapath.New(), nil, poller, token)
	at := netip.AddrPortFrom(loopback.Host(), loopback.Port(t))
	l, err := c.Listen(c.None, at, "", 7)
	if err != nil || l.Addr() != at {
		t.Fatalf("%v, %v", l, err)
	}
	client, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(client)
	to := &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	if err := unix.Sendto(client, []byte("x"), 0, to); err != nil {
		t.Fatal(err)
	}
	events := make([]poll.Event, 4)
	if n, err := poller.Wait(-1, events); n != 1 || err != nil || events[0].Token != token|7 {
		t.Errorf("%+v, %v", events[:n], err)
	}
	c.Release(l)
	if n, err := poller.Wait(0, events); n != 0 || err != nil {
		t.Errorf("after its release: %+v, %v", events[:n], err)
	}
	fd, err := unix.Dup(l.FDs()[0])
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	next, err := c.AdoptListener(c.None, []int{fd}, 9)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 || next.Addr() != at {
		t.Errorf("%v at %v, flags %d, %v", next, next.Addr(), flags, err)
	}
	if n, err := poller.Wait(-1, events); n != 1 || err != nil || events[0].Token != token|9 {
		t.Errorf("%+v, %v", events[:n], err)
	}
	if datagrams, _ := next.(*sock.Listener).Receive(); len(datagrams) != 1 {
		t.Errorf("%d datagrams", len(datagrams))
	}
	if l, err := c.AdoptListener(c.None, []int{fd, client}, 9); err == nil || l != nil {
		t.Errorf("two sockets are one listener: %v", l)
	}
	if l, err := c.Listen(c.None, netip.MustParseAddrPort("192.0.2.1:53"), "", 8); err == nil || l != nil {
		t.Errorf("listens at another machine's address: %v", l)
	}
}
