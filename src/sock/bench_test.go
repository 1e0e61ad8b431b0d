package sock

import (
	"fmt"
	"net/netip"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pump is the other side of a benchmark: connected, so that its own part is small, and the same for both candidates.
func pump(b *testing.B, at netip.AddrPort) (*client, []byte) {
	c := newClient(b, "127.0.0.1:0")
	if err := unix.Connect(c.fd, plain(at)); err != nil {
		b.Fatal(err)
	}
	return c, make([]byte, 12)
}

// One keepalive in and one out on a tunnel's socket, and what is the least that could cost. Both figures hold the other side's share.
func BenchmarkTunnel(b *testing.B) {
	setup := func(b *testing.B) (c *client, keepalive []byte, fd int, peer Peer) {
		l := listen(b, "127.0.0.1:0", "")
		c, keepalive = pump(b, l.Addr())
		b.ReportAllocs()
		return c, keepalive, tunnel(b, l.Addr(), c.addr), NewPeer(c.addr)
	}
	var buf [2048]byte
	b.Run("package", func(b *testing.B) {
		c, keepalive, fd, peer := setup(b)
		for range b.N {
			unix.Write(c.fd, keepalive)
			if n, own, _, err := Receive(fd, buf[:], &peer); n != 12 || !own || err != nil {
				b.Fatal(n, own, err)
			}
			if err := Send(fd, buf[:12]); err != nil {
				b.Fatal(err)
			}
			unix.Read(c.fd, keepalive)
		}
	})
	b.Run("bare", func(b *testing.B) {
		c, keepalive, fd, _ := setup(b)
		for range b.N {
			unix.Write(c.fd, keepalive)
			if n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buf)), 2048, 0, 0, 0); n != 12 {
				b.Fatal(errno)
			}
			if n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&buf)), 12, 0, 0, 0); n != 12 {
				b.Fatal(errno)
			}
			unix.Read(c.fd, keepalive)
		}
	})
}

// A batch of 32 cookie requests and their answers, per datagram.
func BenchmarkListener(b *testing.B) {
	for _, addr := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		name := map[bool]string{true: "address", false: "wildcard"}[addr[0] == '1']
		b.Run(name, func(b *testing.B) {
			l := listen(b, addr, "")
			at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), l.Addr().Port())
			c, request := pump(b, at)
			b.ReportAllocs()
			for n := 0; n < b.N; n += Batch {
				for range Batch {
					unix.Write(c.fd, request)
				}
				got, _ := l.Receive()
				for _, d := range got {
					l.Queue(d.Local.Addr(), d.Peer, d.Data)
				}
				if sent, err := l.Flush(); sent != Batch || err != nil {
					b.Fatal(sent, err)
				}
				for range Batch {
					unix.Read(c.fd, request)
				}
			}
		})
	}
}

// A batch of 32 datagrams of one tunnel, per datagram with its sending: by a socket connected for each tunnel, which the kernel looks for among those that
// share the port; and by the listener's, with the tunnel looked for here. Linux before 6.13 walks a list for the first; the tunnel is its last.
func BenchmarkReceive(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("connected/%d", n), func(b *testing.B) {
			l := listen(b, "127.0.0.1:0", "")
			c, frame := pump(b, l.Addr())
			fd, peer := tunnel(b, l.Addr(), c.addr), NewPeer(c.addr)
			for i := 1; i < n; i++ {
				tunnel(b, l.Addr(), netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), 1000))
			}
			b.ResetTimer()
			var buf [2048]byte
			for left := b.N; left > 0; left -= Batch {
				for range Batch {
					unix.Write(c.fd, frame)
				}
				for range Batch {
					if n, own, _, err := Receive(fd, buf[:], &peer); n != len(frame) || !own || err != nil {
						b.Fatal(n, own, err)
					}
				}
			}
		})
		b.Run(fmt.Sprintf("listener/%d", n), func(b *testing.B) {
			l := listen(b, "127.0.0.1:0", "")
			c, frame := pump(b, l.Addr())
			tunnels := map[netip.AddrPort]int{c.addr: 1}
			for i := 1; i < n; i++ {
				tunnels[netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), 1000)] = i
			}
			b.ResetTimer()
			for left := b.N; left > 0; left -= Batch {
				for range Batch {
					unix.Write(c.fd, frame)
				}
				for received := 0; received < Batch; {
					got, faults := l.Receive()
					if faults > 0 {
						b.Fatal(faults)
					}
					for _, d := range got {
						if tunnels[d.Peer] != 1 {
							b.Fatal(d.Peer)
						}
					}
					received += len(got)
				}
			}
		})
	}
}

// A tunnel's socket, beside a plain one that is bound and connected without any option.
func BenchmarkConnect(b *testing.B) {
	l := listen(b, "127.0.0.1:0", "")
	b.Run("package", func(b *testing.B) {
		for range b.N {
			fd, err := Connect(l.Addr(), ap("127.0.0.2:1000"), "")
			if err != nil {
				b.Fatal(err)
			}
			unix.Close(fd)
		}
	})
	b.Run("bare", func(b *testing.B) {
		local, peer := plain(ap("127.0.0.1:0")), plain(ap("127.0.0.2:1000"))
		for range b.N {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				b.Fatal(err)
			}
			if err := unix.Bind(fd, local); err != nil {
				b.Fatal(err)
			}
			if err := unix.Connect(fd, peer); err != nil {
				b.Fatal(err)
			}
			unix.Close(fd)
		}
	})
}
