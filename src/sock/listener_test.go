package sock

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestWildcardLearnsAndAnswersFromTheLocalAddress(t *testing.T) {
	l := listen(t, "0.0.0.0:0", "")
	c := newClient(t, "127.0.0.9:0")
	for _, at := range []string{"127.0.0.2", "127.0.0.1", "127.9.8.7"} {
		to := netip.AddrPortFrom(netip.MustParseAddr(at), l.Addr().Port())
		c.send(to, "question")
		d := l.one(t)
		if d.Peer != c.addr || d.Local != to || string(d.Data) != "question" {
			t.Errorf("%s: %+v", at, d)
		}
		if err := l.Send(d.Local.Addr(), d.Peer, []byte("answer")); err != nil {
			t.Error(err)
		}
		c.expect(to, "answer")
		l.Queue(d.Local.Addr(), d.Peer, []byte("queued"))
		if sent, err := l.Flush(); sent != 1 || err != nil {
			t.Error(sent, err)
		}
		c.expect(to, "queued")
	}
	l.nothing(t)
}

func TestIPv6(t *testing.T) {
	for _, addr := range []string{"[::]:0", "[::1]:0"} {
		l := listen(t, addr, "")
		c := newClient(t, "[::1]:0")
		to := netip.AddrPortFrom(netip.MustParseAddr("::1"), l.Addr().Port())
		c.send(to, "question")
		d := l.one(t)
		if d.Peer != c.addr || d.Local != to {
			t.Errorf("%+v", d)
		}
		if err := l.Send(d.Local.Addr(), d.Peer, []byte("answer")); err != nil {
			t.Error(err)
		}
		c.expect(to, "answer")
	}
	// IPv4 is another socket's.
	l := listen(t, "[::]:0", "")
	if busy, err := Busy(netip.AddrPortFrom(netip.IPv4Unspecified(), l.Addr().Port()), ""); busy || err != nil {
		t.Errorf("IPv4 beside IPv6: %v, %v", busy, err)
	}
}

func TestDevice(t *testing.T) {
	l := listen(t, "0.0.0.0:0", "lo")
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), l.Addr().Port())
	c := newClient(t, "127.0.0.1:0")
	c.send(to, "question")
	d := l.one(t)
	fd, err := Connect(d.Local, d.Peer, "lo")
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := Send(fd, []byte("tunnel")); err != nil {
		t.Error(err)
	}
	c.expect(to, "tunnel")
}

func TestBroadcastAndMulticastAreLeftOut(t *testing.T) {
	l := listen(t, "0.0.0.0:0", "")
	c := newClient(t, "127.0.0.1:0")
	if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
		t.Fatal(err)
	}
	c.send(netip.AddrPortFrom(netip.MustParseAddr("127.255.255.255"), l.Addr().Port()), "to all")
	c.send(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), l.Addr().Port()), "to one")
	if d := l.one(t); string(d.Data) != "to one" {
		t.Errorf("%+v", d)
	}

	// Loopback has no IPv6 multicast, so here the kernel's part is played by hand.
	l = listen(t, "[::]:0", "")
	for addr, want := range map[string]bool{"ff02::1": false, "2001:db8::1": true, "fe80::1": true} {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&l.inControl[0]))
		h.Level, h.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
		h.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
		info := (*unix.Inet6Pktinfo)(unsafe.Pointer(uintptr(unsafe.Pointer(h)) + uintptr(unix.CmsgLen(0))))
		*info = unix.Inet6Pktinfo{Addr: netip.MustParseAddr(addr).As16(), Ifindex: 7}
		l.in[0].hdr.SetControllen(unix.CmsgSpace(unix.SizeofInet6Pktinfo))
		got, ok := l.destination(0)
		if ok != want || got.Addr().WithZone("") != netip.MustParseAddr(addr) || got.Port() != l.Addr().Port() {
			t.Errorf("%s: %s, %v", addr, got, ok)
		}
	}
	l.in[0].hdr.SetControllen(0)
	if got, ok := l.destination(0); ok {
		t.Errorf("without packet info: %s", got)
	}
}

func TestBatchesAndTruncation(t *testing.T) {
	l := listen(t, "127.0.0.1:0", "")
	c := newClient(t, "127.0.0.1:0")
	sizes := make([]int, 70)
	for i := range sizes {
		sizes[i] = i * 7
	}
	sizes[40], sizes[41], sizes[50] = slotSize, slotSize+1, 60000
	for i, size := range sizes {
		c.send(l.Addr(), strings.Repeat(string(rune('A'+i%26)), size))
	}
	i, batches := 0, 0
	for end := time.Now().Add(2 * time.Minute); i < len(sizes); {
		got, faults := l.Receive()
		if len(got) > 32 || faults != 0 || time.Now().After(end) {
			t.Fatalf("%d datagrams after %d of %d; %d faults", len(got), i, len(sizes), faults)
		}
		if len(got) > 0 {
			batches++
		}
		for _, d := range got {
			text := strings.Repeat(string(rune('A'+i%26)), min(sizes[i], slotSize))
			if string(d.Data) != text || d.Peer != c.addr || d.Local != l.Addr() {
				t.Errorf("datagram %d: %d bytes", i, len(d.Data))
			}
			i++
		}
	}
	// Three, but that the kernel delivers late on a busy machine, and QEMU ends one early when a signal comes.
	if got, _ := l.Receive(); len(got) != 0 || batches < 3 || batches > len(sizes)/2 {
		t.Errorf("%d batches, and %d datagrams more", batches, len(got))
	}
}

func TestQueue(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "127.0.0.1:0"} {
		l := listen(t, addr, "")
		c := newClient(t, "127.0.0.1:0")
		local := netip.MustParseAddr("127.0.0.1")
		from := netip.AddrPortFrom(local, l.Addr().Port())
		var want []string
		for i := range 70 {
			text := fmt.Sprintf("%02d", i) + strings.Repeat("-", min(i, queued-2))
			data := []byte(text)
			l.Queue(local, c.addr, data)
			clear(data) // it keeps a copy
			want = append(want, text)
			switch i {
			case 30, 31, 32: // among the others and first in a batch: the neighbours go out all the same
				l.Queue(local, netip.AddrPortFrom(local, 0), data)
			case 40:
				l.Queue(local, netip.AddrPort{}, data)
			}
		}
		if sent, err := l.Flush(); sent != 70 || err != unix.EINVAL {
			t.Errorf("%s: sent %d, %v", addr, sent, err)
		}
		for _, text := range want {
			c.expect(from, text)
		}
		long := strings.Repeat("x", queued+1)
		l.Queue(local, c.addr, []byte(long))
		c.expect(from, long) // at once
		if sent, err := l.Flush(); sent != 1 || err != nil {
			t.Errorf("%s: sent %d, %v", addr, sent, err)
		}
		if sent, err := l.Flush(); sent != 0 || err != nil {
			t.Errorf("%s: sent %d, %v", addr, sent, err)
		}
	}
}

func TestSendErrorsAreBare(t *testing.T) {
	l := listen(t, "0.0.0.0:0", "")
	c := newClient(t, "127.0.0.1:0")
	gone := netip.MustParseAddr("192.0.2.1")
	if err := l.Send(gone, c.addr, nil); err != unix.EINVAL && err != unix.ENETUNREACH {
		t.Errorf("from an address that is not local: %v", err)
	}
	if err := l.Send(netip.Addr{}, c.addr, make([]byte, 65508)); err != unix.EMSGSIZE {
		t.Errorf("too long: %v", err)
	}
	if err := l.Send(netip.Addr{}, c.addr, nil); err != nil { // without a local address the kernel chooses
		t.Errorf("empty: %v", err)
	}
	c.expect(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), l.Addr().Port()), "")
}

func TestListenErrors(t *testing.T) {
	taken := newClient(t, "127.0.0.1:0")
	for _, c := range []struct {
		addr, device string
		want         unix.Errno
	}{
		{taken.addr.String(), "", unix.EADDRINUSE},
		{netip.AddrPortFrom(netip.IPv4Unspecified(), taken.addr.Port()).String(), "", unix.EADDRINUSE},
		{"192.0.2.1:53", "", unix.EADDRNOTAVAIL},
		{"[2001:db8::1]:53", "", unix.EADDRNOTAVAIL},
		{"0.0.0.0:0", "nosuchdev", unix.ENODEV},
		{"[fe80::1%lo]:0", "", unix.EINVAL},
	} {
		l, err := Listen(ap(c.addr), c.device)
		if !errors.Is(err, c.want) || l != nil || !strings.Contains(err.Error(), c.addr) || !strings.Contains(err.Error(), c.device) {
			t.Errorf("%s: %v", c.addr, err)
		}
		if c.want != unix.EADDRINUSE {
			if busy, err := Busy(ap(c.addr), c.device); busy || !errors.Is(err, c.want) {
				t.Errorf("busy %s: %v, %v", c.addr, busy, err)
			}
		}
	}
}

func TestBusy(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"} {
		l := listen(t, addr, "")
		if busy, err := Busy(l.Addr(), ""); !busy || err != nil {
			t.Errorf("%s: %v, %v", addr, busy, err)
		}
		other, err := Listen(l.Addr(), "") // which is why Busy exists
		if err != nil {
			t.Fatal(err)
		}
		other.Close()
		l.Close()
		if busy, err := Busy(l.Addr(), ""); busy || err != nil {
			t.Errorf("%s, closed: %v, %v", addr, busy, err)
		}
	}
}

func TestFromFD(t *testing.T) {
	l := listen(t, "0.0.0.0:0", "")
	again, err := FromFD(l.FD())
	if err != nil || again.Addr() != l.Addr() {
		t.Fatalf("%+v, %v", again, err)
	}
	c := newClient(t, "127.0.0.1:0")
	c.send(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.3"), l.Addr().Port()), "x")
	if d := again.one(t); d.Local.Addr() != netip.MustParseAddr("127.0.0.3") {
		t.Errorf("%+v", d)
	}
	if _, err := FromFD(-1); !errors.Is(err, unix.EBADF) {
		t.Error(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	if _, err := FromFD(pair[0]); !errors.Is(err, unix.EAFNOSUPPORT) {
		t.Error(err)
	}
	// A socket that fails for good is counted and ends.
	again.fd = -1
	if got, faults := again.Receive(); len(got) != 0 || faults == 0 {
		t.Errorf("%d datagrams, %d faults", len(got), faults)
	}
}

// What has come to a listener is given to who drains it, once and no more batches than are asked for; what comes after that goes elsewhere.
func TestDrain(t *testing.T) {
	l := listen(t, "127.0.0.1:0", "")
	newClient(t, "127.0.0.1:0").send(l.Addr(), "before")
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(l.FD()), Events: unix.POLLIN}}, -1); err != nil && err != unix.EINTR {
		t.Fatal(err)
	}
	for _, c := range []struct{ batches, want int }{{0, 0}, {2, 1}, {2, 0}} {
		got := 0
		l.Drain(c.batches, func(d *Datagram) {
			if string(d.Data) == "before" {
				got++
			}
		})
		if got != c.want {
			t.Errorf("%d datagrams in %d batches, want %d", got, c.batches, c.want)
		}
	}
	next := listen(t, l.Addr().String(), "")
	newClient(t, "127.0.0.1:0").send(l.Addr(), "after")
	if d := next.one(t); string(d.Data) != "after" {
		t.Errorf("%q", d.Data)
	}
}

// A listener that is shut keeps what it has and gets nothing more; its neighbour does, or nobody.
func TestShut(t *testing.T) {
	for _, p := range places {
		old := listen(t, p.listener, "")
		at := netip.AddrPortFrom(netip.MustParseAddr(p.address), old.Addr().Port())
		c := newClient(t, netip.AddrPortFrom(at.Addr(), 0).String())
		c.send(at, "before")
		if err := old.Shut(); err != nil {
			t.Fatal(err)
		}
		next := listen(t, old.Addr().String(), "")
		for range 20 {
			stranger := newClient(t, netip.AddrPortFrom(at.Addr(), 0).String())
			stranger.send(at, "after")
			if d := next.one(t); string(d.Data) != "after" {
				t.Errorf("%s: %q", p.listener, d.Data)
			}
		}
		if d := old.one(t); string(d.Data) != "before" {
			t.Errorf("%s: %q", p.listener, d.Data)
		}
		if got, _ := old.Receive(); len(got) != 0 {
			t.Errorf("%s: got %d more", p.listener, len(got))
		}
	}
}
