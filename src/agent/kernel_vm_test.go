//go:build vm

package agent

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/client"
	"tunneldigger/src/l2tp"
	"tunneldigger/src/link"
	"tunneldigger/src/test/nltest"
	"tunneldigger/src/wire"
)

func openKernel(t *testing.T, iface string) *Kernel {
	t.Helper()
	k, err := OpenKernel(iface)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

// tunnels is for what the kernel has.
func tunnels(t *testing.T) *l2tp.Conn {
	t.Helper()
	c, err := l2tp.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestKernelLife has the agent and a broker's end of the tunnel in one
// namespace: a frame passes each way, the MTU follows, an interface that is
// deleted by hand comes back, and nothing is left in the end.
func TestKernelLife(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "::1"} {
		t.Run(addr, func(t *testing.T) {
			nltest.Namespace(t)
			overhead := wire.TunnelOverhead(strings.Contains(addr, ":"))
			// One for each goroutine: the agent's, the broker's and this one.
			k, far, look, b := openKernel(t, "tun0"), openKernel(t, "far"), openKernel(t, ""), listen(t, addr)
			listing := tunnels(t)
			here := namespace(t)
			b.prepared = func(p wire.PrepareMsg, peer unix.Sockaddr) {
				here()
				fd := nltest.UDP(t, b.addr.String(), endpoint(peer).String())
				err := far.Create(client.Tunnel{ID: 100, PeerID: p.TunnelID, SessionID: 100, PeerSessionID: p.TunnelID}, fd, 1500-overhead)
				if err != nil {
					t.Errorf("the broker's end: %v", err)
				}
				if fd, err = unix.Dup(fd); err != nil {
					t.Error(err)
				}
				b.serve(fd)
			}
			c := config(t, b)
			c.Client.Timers.Keepalive = 100 * time.Millisecond
			stop := startHere(t, c, k, here)
			b.await(wire.TypeKeepalive)
			b.await(wire.TypePMTUNtfy)
			nltest.Until(t, func() error {
				if mtu, err := look.link.MTU("tun0"); mtu != 1400-overhead || err != nil {
					return fmt.Errorf("MTU %d, %v", mtu, err)
				}
				return nil
			})
			near, away := packets(t, look.link, "tun0"), packets(t, look.link, "far")
			pass(t, near, away, "to the broker")
			pass(t, away, near, "to the client")

			b.mu.Lock()
			if err := far.Delete(); err != nil {
				t.Error(err)
			}
			b.mu.Unlock()
			if err := listing.DeleteSession(7, 7); err != nil {
				t.Fatal(err)
			}
			b.await(wire.TypePrepare)
			b.await(wire.TypeKeepalive)
			if _, err := look.link.Index("tun0"); err != nil {
				t.Error(err)
			}

			if s := stop(); s.Established != 2 || s.Lost != 1 || s.Repeats() != 0 {
				t.Errorf("%+v", s)
			}
			if err := far.Delete(); err != nil {
				t.Error(err)
			}
			nltest.Until(t, func() error {
				tunnels, err := listing.Tunnels()
				if err != nil || len(tunnels) != 0 {
					return fmt.Errorf("left: %v, %v", tunnels, err)
				}
				return nil
			})
			if _, err := look.link.Index("tun0"); !errors.Is(err, unix.ENODEV) {
				t.Errorf("tun0 is left: %v", err)
			}
		})
	}
}

// TestKernelTaken wants a message that says what to do, and nothing left behind,
// when the tunnel ID or the name of the interface are taken.
func TestKernelTaken(t *testing.T) {
	nltest.Namespace(t)
	first, second := openKernel(t, "tun0"), openKernel(t, "tun0")
	listing := tunnels(t)
	one := nltest.UDP(t, "127.0.0.1:1001", "127.0.0.1:2001")
	two := nltest.UDP(t, "127.0.0.1:1002", "127.0.0.1:2002")
	same := client.Tunnel{ID: 7, PeerID: 8, SessionID: 7, PeerSessionID: 8}
	if err := first.Create(same, one, 1400); err != nil {
		t.Fatal(err)
	}
	other := same
	other.ID = 9
	for tunnel, want := range map[client.Tunnel]string{
		same:  "tunnel ID 7 is in use on this machine: choose another with -t",
		other: "interface tun0 exists: choose another with -i",
	} {
		if err := second.Create(tunnel, two, 1400); !errors.Is(err, unix.EEXIST) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", tunnel, err)
		}
	}
	// The kernel removes the second one's tunnel in its own time.
	nltest.Until(t, func() error {
		tunnels, err := listing.Tunnels()
		if err == nil && (len(tunnels) != 1 || !first.Exists() || second.Exists()) {
			err = fmt.Errorf("tunnels: %v", tunnels)
		}
		return err
	})
	if err := errors.Join(first.SetMTU(1300), first.Delete(), first.Delete()); err != nil {
		t.Error(err)
	}
}

// namespace returns a function that takes another goroutine to the test's
// network namespace, for good.
func namespace(t *testing.T) func() {
	t.Helper()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close() })
	return func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Error(err)
		}
	}
}

// startHere is start in the test's network namespace.
func startHere(t *testing.T, c Config, k *Kernel, here func()) (stop func() client.Stats) {
	t.Helper()
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan client.Stats, 1)
	go func() {
		here()
		done <- a.Run(ctx.Done(), k)
	}()
	stop = sync.OnceValue(func() client.Stats {
		cancel()
		return <-done
	})
	t.Cleanup(func() { stop() })
	return stop
}

func endpoint(sa unix.Sockaddr) netip.AddrPort {
	if sa, ok := sa.(*unix.SockaddrInet4); ok {
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPortFrom(netip.AddrFrom16(sa.(*unix.SockaddrInet6).Addr), uint16(sa.(*unix.SockaddrInet6).Port))
}

// etherType is one for experiments (IEEE 802).
const etherType = 0x88B5

// packets opens a packet socket for frames of etherType on an interface.
func packets(t *testing.T, c *link.Conn, name string) (fd int) {
	t.Helper()
	index, err := c.Index(name)
	if err != nil {
		t.Fatal(err)
	}
	protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, etherType))
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		t.Cleanup(func() { unix.Close(fd) })
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: index})
	}
	if err == nil {
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20})
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func pass(t *testing.T, from, to int, text string) {
	t.Helper()
	frame := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, etherType >> 8, etherType & 0xff}
	frame = append(frame, text...)
	frame = append(frame, make([]byte, 60)...)
	if _, err := unix.Write(from, frame); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	buf := make([]byte, 2000)
	n, err := unix.Read(to, buf)
	if err != nil || string(buf[:n]) != string(frame) {
		t.Fatalf("%s: %x, %v", text, buf[:max(n, 0)], err)
	}
}
