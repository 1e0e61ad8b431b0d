//go:build vm

package sock

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"
)

// How unconnected sockets of a SO_REUSEPORT group are chosen differs between kernels: the same tests as outside.
func TestKernelGroups(t *testing.T) {
	t.Run("window", TestWindowLosesNothing)
	t.Run("beside", TestTunnelBesideListener)
	t.Run("busy", TestBusy)
}

// Emulated user space (qemu-mips) translates neither the interface index of a link-local address nor the error queue.

func TestLinkLocal(t *testing.T) {
	namespace(t, 65536)
	for _, addr := range []string{"[::]:53", "[fe80::1%1]:53"} {
		l := listen(t, addr, "")
		c := newClient(t, "[fe80::1%1]:0")
		c.send(ap("[fe80::1%1]:53"), "question")
		d := l.one(t)
		if d.Peer != c.addr || d.Local != ap("[fe80::1%1]:53") || d.Peer.Addr().Zone() != "1" {
			t.Errorf("%s: %+v", addr, d)
		}
		if err := l.Send(d.Local.Addr(), d.Peer, []byte("answer")); err != nil {
			t.Error(err)
		}
		c.expect(d.Local, "answer")
		fd, err := Connect(d.Local, d.Peer, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := Send(fd, []byte("tunnel")); err != nil {
			t.Error(err)
		}
		c.expect(d.Local, "tunnel")
		c.send(d.Local, "to the tunnel")
		l.nothing(t)
		p := NewPeer(d.Peer)
		var buf [32]byte
		if n, own, _, err := Receive(fd, buf[:], &p); !own || err != nil || string(buf[:n]) != "to the tunnel" {
			t.Errorf("%q, %v, %v", buf[:n], own, err)
		}
		unix.Close(fd)
		l.Close()
	}
}

func TestErrorQueuePathMTU(t *testing.T) {
	setMTU := namespace(t, 1400)
	for _, address := range []string{"127.0.0.1", "::1"} {
		at := netip.AddrPortFrom(netip.MustParseAddr(address), 0)
		c := newClient(t, at.String())
		fd := tunnel(t, at, c.addr)
		fits := 1400 - 28
		if at.Addr().Is6() {
			fits = 1400 - 48
		}
		if err := Send(fd, make([]byte, fits)); err != nil {
			t.Errorf("%s: %v", address, err)
		}
		if mtu, count := DrainErrors(fd); mtu != 0 || count != 0 {
			t.Errorf("%s: mtu %d, %d errors", address, mtu, count)
		}
		for range 3 {
			if err := Send(fd, make([]byte, fits+1)); err != unix.EMSGSIZE {
				t.Errorf("%s: %v", address, err)
			}
		}
		if mtu, count := DrainErrors(fd); mtu != 1400 || count < 3 {
			t.Errorf("%s: mtu %d, %d errors", address, mtu, count)
		}
		if mtu, count := DrainErrors(fd); mtu != 0 || count != 0 {
			t.Errorf("%s: again: mtu %d, %d errors", address, mtu, count)
		}
		for _, mtu := range []uint32{1350, 1300, 1400} { // of several, the smallest counts
			setMTU(mtu)
			if err := Send(fd, make([]byte, 1400)); err != unix.EMSGSIZE {
				t.Errorf("%s: %v", address, err)
			}
		}
		if mtu, _ := DrainErrors(fd); mtu != 1300 {
			t.Errorf("%s: mtu %d of several", address, mtu)
		}
	}
}

// namespace moves the test's thread into a network namespace of its own, with loopback up, of this MTU, which can be changed, and
// fe80::1 on it. The thread ends with the test.
func namespace(t *testing.T, mtu uint32) (setMTU func(uint32)) {
	t.Helper()
	runtime.LockOSThread() // and never unlock: the runtime throws the thread away
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("a network namespace (needs root): %v", err)
	}
	conn, err := rtnetlink.Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	const lo = 1
	setMTU = func(mtu uint32) {
		t.Helper()
		up := &rtnetlink.LinkMessage{Index: lo, Flags: unix.IFF_UP, Change: unix.IFF_UP, Attributes: &rtnetlink.LinkAttributes{MTU: mtu}}
		if err := conn.Link.Set(up); err != nil {
			t.Fatal(err)
		}
	}
	setMTU(mtu)
	addr := netip.MustParseAddr("fe80::1").AsSlice()
	if err := conn.Address.New(&rtnetlink.AddressMessage{
		Family: unix.AF_INET6, PrefixLength: 64, Scope: unix.RT_SCOPE_LINK, Index: lo,
		Attributes: &rtnetlink.AddressAttributes{Address: addr, Local: addr},
	}); err != nil {
		t.Fatal(err)
	}
	// The kernel makes the address and its route usable a moment later and tells nobody: ask until a datagram passes.
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	bound := false
	at := &unix.SockaddrInet6{Port: 9, Addr: [16]byte(addr), ZoneId: lo}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) {
		if bound = bound || unix.Bind(fd, at) == nil; bound {
			unix.Sendto(fd, []byte("x"), 0, at)
			if _, _, err := unix.Recvfrom(fd, make([]byte, 1), 0); err == nil {
				return setMTU
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("fe80::1 does not become usable")
		}
	}
}
