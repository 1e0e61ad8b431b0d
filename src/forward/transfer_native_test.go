//go:build native

package forward

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/tap"
)

// place is a network namespace.
type place struct {
	t  *testing.T
	do chan func()
}

func newPlace(t *testing.T) *place {
	p := &place{t, make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the namespace ends with the thread
		ready <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range p.do {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatalf("make a network namespace: %v: this test is for root", err)
	}
	t.Cleanup(func() { close(p.do) })
	return p
}

// in runs f in the namespace, where sockets stay that it makes.
func (p *place) in(f func() error) {
	p.t.Helper()
	done := make(chan error)
	p.do <- func() { done <- f() }
	if err := <-done; err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) ip(lines ...string) {
	p.t.Helper()
	p.in(func() error {
		cmd := exec.Command("ip", "-batch", "-")
		cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %s", err, out)
		}
		return nil
	})
}

// relay passes datagrams between two Engines, and mangles some.
type relay struct {
	sides [2]*net.UDPConn
	to    [2]netip.AddrPort
}

func newRelay(t *testing.T) *relay {
	r := new(relay)
	for i := range r.sides {
		c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadBuffer(4 << 20)
		t.Cleanup(func() { c.Close() })
		r.sides[i] = c
	}
	return r
}

func (r *relay) addr(i int) netip.AddrPort {
	a := r.sides[i].LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// run passes what comes to side i on by the other one; percent of the datagrams are lost, as many doubled, as many held back.
func (r *relay) run(i int, percent int, seed uint64) {
	random := rand.New(rand.NewPCG(seed, uint64(i)))
	var held [][]byte
	buf := make([]byte, 65536)
	send := func(b []byte) { _, _ = r.sides[1-i].WriteToUDPAddrPort(b, r.to[1-i]) }
	for {
		n, err := r.sides[i].Read(buf)
		if err != nil {
			return
		}
		switch p := random.IntN(100); {
		case p < percent:
			continue
		case p < 2*percent:
			send(buf[:n])
		case p < 3*percent:
			held = append(held, bytes.Clone(buf[:n]))
			continue
		}
		send(buf[:n])
		if len(held) > 2 {
			for _, b := range held {
				send(b)
			}
			held = nil
		}
	}
}

// What is sent through a tunnel arrives bit for bit, TCP and UDP, IPv4 and IPv6, on a good path and on a bad one, with frames that can't be joined between.
func TestTransfers(t *testing.T) {
	for _, percent := range []int{0, 1} {
		t.Run(fmt.Sprintf("%d percent lost, doubled and late", percent), func(t *testing.T) { transfers(t, percent) })
	}
}

func transfers(t *testing.T, percent int) {
	places := [2]*place{newPlace(t), newPlace(t)}
	middle := newRelay(t)
	var rigs [2]*rig
	for i, p := range places {
		r := newRig(t, 2)
		l := r.listen("127.0.0.1:0")
		middle.to[i] = l.Addr()
		var d tap.Device
		p.in(func() (err error) { d, err = tap.Open("t0"); return err })
		if _, err := r.Add(Config{Listener: l, Peer: middle.addr(i), Local: l.Addr(), Session: 1, PeerSession: 1, FD: d.FD, Segments: d.Segments}); err != nil {
			t.Fatal(err)
		}
		p.ip("link set lo up", "link set t0 mtu 1446 up", fmt.Sprintf("addr add 198.51.100.%d/24 dev t0", 1+i),
			fmt.Sprintf("addr add 2001:db8::%d/64 dev t0 nodad", 1+i))
		rigs[i] = r
	}
	for i := range places {
		go middle.run(i, percent, 7)
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Add(1)
	go func() { defer others.Done(); chatter(t, places, stop) }()
	for _, network := range []string{"198.51.100.2", "2001:db8::2"} {
		transferTCP(t, places, network, percent)
		transferUDP(t, places, network, percent)
	}
	close(stop)
	others.Wait()
	for _, r := range rigs {
		for _, d := range []Drop{DropRunt, DropOversize, DropHeader, DropSublayer, DropSession, DropFrame, DropSend, DropTooBig} {
			if n := r.Dropped(d); n != 0 {
				t.Errorf("%d frames dropped: %v", n, d)
			}
		}
	}
}

func transferTCP(t *testing.T, places [2]*place, at string, percent int) {
	t.Helper()
	size := 64 << 20
	if percent > 0 {
		size = 4 << 20
	}
	var listener net.Listener
	places[1].in(func() (err error) { listener, err = net.Listen("tcp", net.JoinHostPort(at, "0")); return err })
	defer listener.Close()
	var conn net.Conn
	places[0].in(func() (err error) { conn, err = net.Dial("tcp", listener.Addr().String()); return err })
	go func() {
		source := rand.NewChaCha8([32]byte{1})
		_, _ = io.CopyN(conn, source, int64(size))
		conn.Close()
	}()
	in, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	_ = in.SetDeadline(time.Now().Add(60 * time.Second))
	got, want := sha256.New(), sha256.New()
	_, _ = io.CopyN(want, rand.NewChaCha8([32]byte{1}), int64(size))
	began := time.Now()
	if n, err := io.Copy(got, in); err != nil || n != int64(size) || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Fatalf("TCP to %s: %d bytes of %d, %v; equal: %v", at, n, size, err, bytes.Equal(got.Sum(nil), want.Sum(nil)))
	}
	t.Logf("TCP to %s: %d MB in %v", at, size>>20, time.Since(began).Round(time.Millisecond))
}

func transferUDP(t *testing.T, places [2]*place, at string, percent int) {
	t.Helper()
	var in net.PacketConn
	places[1].in(func() (err error) { in, err = net.ListenPacket("udp", net.JoinHostPort(at, "0")); return err })
	defer in.Close()
	_ = in.(*net.UDPConn).SetReadBuffer(4 << 20)
	var out net.Conn
	places[0].in(func() (err error) { out, err = net.Dial("udp", in.LocalAddr().String()); return err })
	defer out.Close()
	const count = 3000
	go func() {
		random := rand.New(rand.NewPCG(5, 6))
		b := make([]byte, 1398)
		for i := range count {
			n := []int{8, 100, 100, 100, 1000, 1000, 1398}[random.IntN(7)]
			for j := range b[:n] {
				b[j] = byte(random.Uint32())
			}
			binary.BigEndian.PutUint32(b, uint32(i))
			binary.BigEndian.PutUint32(b[4:], 0)
			binary.BigEndian.PutUint32(b[4:], crc32.ChecksumIEEE(b[:n]))
			_, _ = out.Write(b[:n])
			if i%64 == 0 {
				time.Sleep(time.Millisecond) // a receiver may be slow, which is not what this is about
			}
		}
	}()
	seen := make(map[uint32]bool)
	buf := make([]byte, 65536)
	last, late := uint32(0), 0
	for {
		_ = in.SetReadDeadline(time.Now().Add(2 * time.Second))
		n, _, err := in.ReadFrom(buf)
		if err != nil {
			break
		}
		sum := binary.BigEndian.Uint32(buf[4:])
		binary.BigEndian.PutUint32(buf[4:], 0)
		number := binary.BigEndian.Uint32(buf)
		if n < 8 || number >= count || crc32.ChecksumIEEE(buf[:n]) != sum {
			t.Fatalf("UDP to %s: a damaged datagram of %d bytes", at, n)
		}
		if seen[number] && percent == 0 {
			t.Errorf("UDP to %s: datagram %d comes twice", at, number)
		}
		if seen[number] = true; number < last {
			late++
		}
		if last = number; len(seen) == count {
			break
		}
	}
	if late > 0 && percent == 0 {
		t.Errorf("UDP to %s: %d datagrams are out of order", at, late)
	}
	if len(seen) < count*(95-3*percent)/100 {
		t.Errorf("UDP to %s: %d datagrams of %d arrive", at, len(seen), count)
	}
}

// chatter sends frames that can't be joined, and looks at those that arrive.
func chatter(t *testing.T, places [2]*place, stop chan struct{}) {
	const batman = 0x4305
	var fds [2]int
	for i, p := range places {
		p.in(func() (err error) {
			fds[i], err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, batman>>8|batman&0xff<<8)
			if err != nil {
				return err
			}
			face, err := net.InterfaceByName("t0")
			if err != nil {
				return err
			}
			return unix.Bind(fds[i], &unix.SockaddrLinklayer{Protocol: batman>>8 | batman&0xff<<8, Ifindex: face.Index})
		})
		defer unix.Close(fds[i])
	}
	sent, arrived := 0, 0
	buf := make([]byte, 2000)
	for end := false; !end; time.Sleep(2 * time.Millisecond) {
		select {
		case <-stop:
			end = true
		default:
		}
		frame := append([]byte{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x43, 0x05}, bytes.Repeat([]byte{byte(sent)}, 200+sent%1200)...)
		if _, err := unix.Write(fds[0], frame); err == nil {
			sent++
		}
		for {
			n, err := unix.Read(fds[1], buf)
			if err != nil {
				break
			}
			arrived++
			if n < 15 || !bytes.Equal(buf[14:n], bytes.Repeat(buf[14:15], n-14)) {
				t.Errorf("a frame of %d bytes is damaged", n)
			}
		}
	}
	if arrived < sent/2 {
		t.Errorf("%d frames of %d that can't be joined arrive", arrived, sent)
	}
}
