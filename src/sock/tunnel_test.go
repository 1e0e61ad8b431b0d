package sock

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/sockaddr"
)

func tunnel(t testing.TB, local, peer netip.AddrPort) int {
	t.Helper()
	fd, err := Connect(local, peer, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// Both families, a listener on the address itself and one on all of them.
var places = []struct{ listener, address string }{
	{"127.0.0.1:0", "127.0.0.1"}, {"0.0.0.0:0", "127.0.0.1"}, {"[::1]:0", "::1"}, {"[::]:0", "::1"},
}

func TestTunnelBesideListener(t *testing.T) {
	for _, p := range places {
		l := listen(t, p.listener, "")
		addr := netip.MustParseAddr(p.address)
		at := netip.AddrPortFrom(addr, l.Addr().Port())
		var clients []*client
		var fds []int
		for range 5 {
			c := newClient(t, netip.AddrPortFrom(addr, 0).String())
			clients = append(clients, c)
			fds = append(fds, tunnel(t, at, c.addr))
		}
		stranger := newClient(t, netip.AddrPortFrom(addr, 0).String())
		for round := range 3 {
			for i, c := range clients {
				text := fmt.Sprint(round, i)
				c.send(at, text)
				peer := NewPeer(c.addr)
				buf := make([]byte, 16)
				n, own, from, err := Receive(fds[i], buf, &peer)
				if string(buf[:n]) != text || !own || from.IsValid() || err != nil {
					t.Errorf("%s: %q, own %v, from %s, %v", p.listener, buf[:n], own, from, err)
				}
				if err := Send(fds[i], []byte("back")); err != nil {
					t.Error(err)
				}
				c.expect(at, "back")
			}
			stranger.send(at, "hello")
			if d := l.one(t); d.Peer != stranger.addr || d.Local != at {
				t.Errorf("%s: %+v", p.listener, d)
			}
		}
	}
}

// What strangers send between bind and connect is there afterwards, at the listener or at the tunnel, with their own addresses.
func TestWindowLosesNothing(t *testing.T) {
	const strangers, each = 20, 20
	for _, p := range places {
		l := listen(t, p.listener, "")
		addr := netip.MustParseAddr(p.address)
		at := netip.AddrPortFrom(addr, l.Addr().Port())
		any := netip.AddrPortFrom(addr, 0).String()
		old := newClient(t, any)
		tunnel(t, at, old.addr) // the group has a connected member already
		c := newClient(t, any)
		fd, err := openTunnel(at, "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		missing := make(map[string]bool)
		for i := range strangers {
			s := newClient(t, any)
			for j := range each {
				text := fmt.Sprint(i, " ", j)
				s.send(at, text)
				missing[s.addr.String()+" "+text] = true
			}
		}
		if err := connect(fd, c.addr); err != nil {
			t.Fatal(err)
		}
		c.send(at, "own")
		strays := 0
		for peer := NewPeer(c.addr); ; {
			buf := make([]byte, 16)
			n, own, from, err := Receive(fd, buf, &peer)
			if err == unix.EAGAIN {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if own {
				if string(buf[:n]) != "own" {
					t.Errorf("own: %q", buf[:n])
				}
				continue
			}
			delete(missing, from.String()+" "+string(buf[:n]))
			strays++
		}
		for {
			got, faults := l.Receive()
			if len(got) == 0 {
				break
			}
			if faults != 0 {
				t.Error(faults)
			}
			for _, d := range got {
				delete(missing, d.Peer.String()+" "+string(d.Data))
			}
		}
		if len(missing) != 0 || strays == 0 {
			t.Errorf("%s: %d lost, %d strays", p.listener, len(missing), strays)
		}
	}
}

func TestConnectErrors(t *testing.T) {
	before := descriptors(t)
	for _, c := range []struct {
		local, peer, device string
		want                unix.Errno
	}{
		{"192.0.2.1:1", "127.0.0.1:1", "", unix.EADDRNOTAVAIL},
		{"127.0.0.1:0", "[::1]:1", "", unix.EAFNOSUPPORT},
		{"127.0.0.1:0", "[fe80::1%lo]:1", "", unix.EINVAL},
		{"127.0.0.1:0", "127.0.0.1:1", "nosuchdev", unix.ENODEV},
		{"127.0.0.1:0", "255.255.255.255:1", "", unix.EACCES},
	} {
		if fd, err := Connect(ap(c.local), ap(c.peer), c.device); !errors.Is(err, c.want) || fd != -1 {
			t.Errorf("%+v: %d, %v", c, fd, err)
		} else if c.peer != "127.0.0.1:1" && strings.Contains(err.Error(), ap(c.peer).Addr().String()) {
			t.Errorf("names the peer: %v", err)
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("descriptors: %d, then %d", before, after)
	}
}

func descriptors(t *testing.T) (n int) {
	for fd := range 1024 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}

func TestErrorQueueRefused(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1"} {
		at := netip.AddrPortFrom(netip.MustParseAddr(address), 0)
		c := newClient(t, at.String())
		fd := tunnel(t, at, c.addr)
		unix.Close(c.fd) // nobody there any more
		c.fd = -1
		if mtu, count := DrainErrors(fd); mtu != 0 || count != 0 {
			t.Errorf("%s: before: mtu %d, %d errors", address, mtu, count)
		}
		if err := Send(fd, []byte("anybody?")); err != nil {
			t.Errorf("%s: %v", address, err)
		}
		readable(t, fd)
		if mtu, count := DrainErrors(fd); mtu != 0 || count == 0 {
			t.Errorf("%s: mtu %d, %d errors", address, mtu, count)
		}
		set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(set, 0); n != 0 || err != nil {
			t.Errorf("%s: still ready: %#x, %v", address, set[0].Revents, err)
		}
		peer := NewPeer(c.addr)
		if _, _, _, err := Receive(fd, make([]byte, 1), &peer); err != unix.EAGAIN {
			t.Errorf("%s: %v", address, err)
		}
		// Without draining, each call reports one and clears it.
		Send(fd, nil)
		readable(t, fd)
		if _, _, _, err := Receive(fd, make([]byte, 1), &peer); err != unix.ECONNREFUSED {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// The control messages of an error queue as the kernel lays them out, for every word width and byte order.
func TestPathMTU(t *testing.T) {
	message := func(level, kind int32, errno unix.Errno, info uint32) []byte {
		size := int(unsafe.Sizeof(unix.SockExtendedErr{}))
		b := make([]byte, unix.CmsgSpace(size))
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		h.Level, h.Type = level, kind
		h.SetLen(unix.CmsgLen(size))
		*(*unix.SockExtendedErr)(unsafe.Pointer(&b[unix.CmsgLen(0)])) = unix.SockExtendedErr{Errno: uint32(errno), Origin: unix.SO_EE_ORIGIN_ICMP, Info: info}
		return b
	}
	other := message(unix.SOL_SOCKET, unix.SO_TIMESTAMP, unix.EMSGSIZE, 7)
	v4 := message(unix.IPPROTO_IP, unix.IP_RECVERR, unix.EMSGSIZE, 1400)
	cut := bytes.Clone(v4)
	(*unix.Cmsghdr)(unsafe.Pointer(&cut[0])).SetLen(unix.CmsgLen(4))
	huge := bytes.Clone(v4)
	(*unix.Cmsghdr)(unsafe.Pointer(&huge[0])).SetLen(len(huge) + 1)
	for name, c := range map[string]struct {
		control []byte
		want    int
	}{
		"IPv4":           {v4, 1400},
		"IPv6":           {message(unix.IPPROTO_IPV6, unix.IPV6_RECVERR, unix.EMSGSIZE, 1280), 1280},
		"after another":  {append(bytes.Clone(other), v4...), 1400},
		"refused":        {message(unix.IPPROTO_IP, unix.IP_RECVERR, unix.ECONNREFUSED, 99), 0},
		"beyond IP":      {message(unix.IPPROTO_IP, unix.IP_RECVERR, unix.EMSGSIZE, 1<<32-1), 65535},
		"nothing":        {nil, 0},
		"half a header":  {v4[:7], 0},
		"no length":      {make([]byte, 64), 0},
		"short":          {cut, 0},
		"length too big": {huge, 0},
	} {
		if got := pathMTU(c.control); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func FuzzPathMTU(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		var aligned [64]uint64
		control := unsafe.Slice((*byte)(unsafe.Pointer(&aligned)), unsafe.Sizeof(aligned))
		if mtu := pathMTU(control[:copy(control, data)]); mtu < 0 || mtu > 65535 {
			t.Errorf("%d", mtu)
		}
	})
}

func TestNoAllocation(t *testing.T) {
	for _, p := range places {
		l := listen(t, p.listener, "")
		addr := netip.MustParseAddr(p.address)
		at := netip.AddrPortFrom(addr, l.Addr().Port())
		c := newClient(t, netip.AddrPortFrom(addr, 0).String())
		stranger := newClient(t, netip.AddrPortFrom(addr, 0).String())
		fd := tunnel(t, at, c.addr)
		peer := NewPeer(c.addr)
		buf := make([]byte, 2048)
		keepalive := make([]byte, 12)
		to := plain(at)
		count := 0
		if n := testing.AllocsPerRun(50, func() {
			unix.Sendto(c.fd, keepalive, 0, to)
			unix.Sendto(stranger.fd, keepalive, 0, to)
			if _, own, _, err := Receive(fd, buf, &peer); own && err == nil {
				count++
			}
			if _, _, _, err := Receive(fd, buf, &peer); err != nil && Send(fd, keepalive) == nil {
				count++
			}
			got, _ := l.Receive()
			for _, d := range got {
				l.Queue(d.Local.Addr(), d.Peer, keepalive)
				if l.Send(d.Local.Addr(), d.Peer, keepalive) == nil {
					count++
				}
			}
			sent, _ := l.Flush()
			count += sent
			DrainErrors(fd)
		}); n != 0 || count != 51*4 {
			t.Errorf("%s: %v allocations, %d steps", p.listener, n, count)
		}
	}
}

// A Peer of an address that can't be equals nothing; a mapped one is IPv4.
func TestPeer(t *testing.T) {
	if p := NewPeer(ap("[fe80::1%eth0]:1")); p.raw.Same(&sockaddr.Address{Raw: unix.RawSockaddrInet6{Family: unix.AF_INET6}}) {
		t.Error("a Peer without an address equals something")
	}
	if p := NewPeer(ap("[::ffff:192.0.2.1]:1")); p.Addr() != ap("192.0.2.1:1") || p.raw.Raw.Family != unix.AF_INET {
		t.Errorf("mapped: %+v", p)
	}
}
