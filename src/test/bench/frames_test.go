//go:build vm && bench

package bench

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/test/e2e"
)

const (
	frameRounds = 5
	broadcasts  = 200
	received    = 5000
	frameSize   = 100
)

// frame is one for everybody, or for a station that nobody is.
func frame(everybody bool) []byte {
	f := make([]byte, frameSize)
	copy(f, []byte{0x02, 0, 0, 0, 0, 0xfe, 0x02, 0, 0, 0, 0, 0x01, 0x88, 0xb5})
	if everybody {
		copy(f, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	}
	return f
}

// packets is a counter of a host's interface.
func packets(t *testing.T, h *e2e.Host, name, counter string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(h.Run("cat", "/sys/class/net/"+name+"/statistics/"+counter)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// tunnels builds bare tunnels on the broker's host, has something measured, and takes them down.
func (b *bed) tunnels(what lift, at netip.AddrPort, n int, measure func() error) {
	b.Helper()
	err := b.server.Do(func() error {
		f, err := newFloor(what, bridgeName)
		if err != nil {
			return err
		}
		defer f.close()
		if _, err := f.build(at, n); err != nil {
			return err
		}
		return measure()
	})
	if err != nil {
		b.Fatal(err)
	}
	b.world.Wait(3*time.Minute, "all tunnels are gone", func() bool {
		return len(b.server.LinkNames("l2tp")) == 0 && b.server.Run("ip", "l2tp", "show", "tunnel") == ""
	})
}

// What the kernel takes to send a frame for everybody to a bridge with so many tunnels: it is copied for each. The copies end
// in an interface that drops them, so that no other machine counts.
func TestVMBroadcast(t *testing.T) {
	b := newBed(t)
	b.server.IP("link add sink type dummy", "addr add 198.51.100.133/30 dev sink", "link set sink up")
	at := netip.MustParseAddrPort("198.51.100.133:8942")
	for _, ports := range []int{10, 100, many, 1000} {
		before := packets(t, b.server, "sink", "tx_packets")
		best := time.Hour
		b.tunnels(bridged, at, ports, func() error {
			index, err := interfaceIndex(bridgeName)
			if err != nil {
				return err
			}
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: int(index)}); err != nil {
				return err
			}
			text := frame(true)
			before = packets(t, b.server, "sink", "tx_packets")
			for range frameRounds {
				start := now()
				for range broadcasts {
					if _, err := unix.Write(fd, text); err != nil {
						return err
					}
				}
				best = min(best, (now()-start)/broadcasts)
			}
			return nil
		})
		if sent := packets(t, b.server, "sink", "tx_packets") - before; sent < ports*broadcasts*frameRounds {
			t.Errorf("%d ports: only %d copies were sent, want %d", ports, sent, ports*broadcasts*frameRounds)
		}
		figures.note(fmt.Sprintf("a broadcast to a bridge with %d tunnels", ports), fmt.Sprintf("%.4g µs", float64(best.Nanoseconds())/1000),
			fmt.Sprintf("%.3g µs each", float64(best.Nanoseconds())/1000/float64(ports)))
	}
}

// available is the memory that the machine could still give, in kB.
func available(t *testing.T) (kB int) {
	t.Helper()
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "MemAvailable:")
	if _, err := fmt.Sscan(rest, &kB); err != nil {
		t.Fatal(err)
	}
	return kB
}

// What the kernel takes to receive a frame, and to find whose it is, with one tunnel and with many at the port; and what
// memory the tunnels take.
func TestVMReceive(t *testing.T) {
	b := newBed(t)
	for _, n := range []int{1, many, 1000} {
		best, memory := time.Hour, available(t)
		b.tunnels(up, b.at, n, func() error {
			memory -= available(t)
			name := fmt.Sprintf(nameFormat, 1000)
			before := packets(t, b.server, name, "rx_packets")
			err := b.clients.Do(func() error {
				fd, err := bareSocket(netip.AddrPortFrom(b.from.Addr(), 20000), b.at) // the first tunnel's: the longest to be looked for
				if err != nil {
					return err
				}
				defer unix.Close(fd)
				text := binary.BigEndian.AppendUint32([]byte{0, 3, 0, 0}, 1000)
				text = append(append(text, 0, 0, 0, 0), frame(false)...)
				for range frameRounds {
					start := now()
					for range received {
						if _, err := unix.Write(fd, text); err != nil {
							return err
						}
					}
					best = min(best, (now()-start)/received)
				}
				return nil
			})
			if got := packets(t, b.server, name, "rx_packets") - before; got < frameRounds*received*9/10 {
				t.Errorf("%d tunnels: only %d of %d frames arrived", n, got, frameRounds*received)
			}
			return err
		})
		figures.note(fmt.Sprintf("a frame received, %d tunnels", n), fmt.Sprintf("%.4g µs", float64(best.Nanoseconds())/1000), "")
		if n == 1000 {
			figures.note("  the kernel's memory for a tunnel", fmt.Sprintf("%.3g kB", float64(memory)/float64(n)), "")
		}
	}
}
