package forward

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"tunneldigger/src/offload"
)

// segments is a TCP frame of n payload bytes to be cut by size, as a TAP device gives it.
func segments(n, size int) []byte {
	b := make([]byte, offload.VnetSize, offload.MaxFrame)
	b[0], b[1] = 1, 1 // NEEDS_CSUM, TCPV4
	binary.NativeEndian.PutUint16(b[2:], 54)
	binary.NativeEndian.PutUint16(b[4:], uint16(size))
	binary.NativeEndian.PutUint16(b[6:], 34)
	binary.NativeEndian.PutUint16(b[8:], 16)
	b = append(b, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0)
	ip := []byte{0x45, 0, 0, 0, 0, 9, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2}
	binary.BigEndian.PutUint16(ip[2:], uint16(40+n))
	binary.BigEndian.PutUint16(ip[10:], ^sum(ip))
	b = append(b, ip...)
	tcp := []byte{0, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0x50, 0x18, 1, 1, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(tcp[16:], sum(append([]byte{0, 6, byte((20 + n) >> 8), byte(20 + n)}, ip[12:20]...))) // the pseudo-header's
	b = append(b, tcp...)
	for i := range n {
		b = append(b, byte(i*5))
	}
	return b
}

func sum(b []byte) uint16 {
	s := uint32(0)
	for i := 0; i < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// Frames pass between two Engines, small and large, both ways, also where the kernel cuts no trains.
func TestFramesPass(t *testing.T) {
	for _, family := range []struct{ name, at string }{{"IPv4", "127.0.0.1:0"}, {"IPv6", "[::1]:0"}} {
		for _, plainSocket := range []bool{false, true} {
			name := family.name
			if plainSocket {
				name += ", no UDP_SEGMENT"
			}
			t.Run(name, func(t *testing.T) {
				a, b := newRig(t, 2), newRig(t, 1)
				la, lb := a.listen(family.at), b.listen(family.at)
				for _, s := range append(la.sockets, lb.sockets...) {
					s.plain.Store(plainSocket || emulated)
				}
				_, da := a.tunnel(la, lb.Addr(), la.Addr(), 7, 1)
				_, db := b.tunnel(lb, la.Addr(), lb.Addr(), 1, 7)
				for i, n := range []int{14, 60, 61, 1460, 9000} {
					da.write(plain(n, byte(i)))
					db.want(plain(n, byte(i)))
					db.write(plain(n, byte(i+9)))
					da.want(plain(n, byte(i+9)))
				}
				big := segments(60000, 1400)
				da.write(big)
				// It may come in more than one piece: its payload is what counts.
				var got []byte
				for len(got) < 60000 {
					f := db.read()
					if f[1] != 1 && f[1] != 0 || !bytes.Equal(f[10:24], big[10:24]) {
						t.Fatalf("a frame like %x", f[:30])
					}
					got = append(got, f[64:]...)
				}
				if !bytes.Equal(got, big[64:]) {
					t.Error("the payload is another one")
				}
				for d := range Drop(Drops) {
					if n := a.Dropped(d) + b.Dropped(d); n != 0 {
						t.Errorf("%d frames dropped: %v", n, d)
					}
				}
			})
		}
	}
}

// Each frame that is no tunnel's is counted, for its own reason, and none comes out.
func TestFramesRefused(t *testing.T) {
	r := newRig(t, 2)
	l := r.listen("127.0.0.1:0")
	c, at := client(t, l.Addr())
	stranger, _ := client(t, l.Addr())
	_, d := r.tunnel(l, at, l.Addr(), 5, 6)
	frame := plain(100, 1)[offload.VnetSize:]
	change := func(i int, v byte) []byte { b := data(5, frame); b[i] = v; return b }
	rows := []struct {
		drop Drop
		from int
		b    []byte
	}{
		{DropRunt, c, data(5, frame[:13])},
		{DropRunt, c, []byte{0}},
		{DropOversize, c, data(5, make([]byte, maxFrame+1))},
		{DropHeader, c, change(0, 1)},
		{DropHeader, c, change(1, 2)},
		{DropHeader, c, change(2, 1)},
		{DropHeader, c, change(3, 1)},
		{DropSession, c, data(6, frame)},
		{DropSublayer, c, change(8, 0x40)},
		{DropSublayer, c, change(11, 1)},
		{DropStranger, stranger, data(5, frame)},
	}
	var want [Drops]uint64
	for _, row := range rows {
		send(t, row.from, row.b)
		want[row.drop]++
		until(t, row.drop.String()+" is counted", func() bool { return r.Dropped(row.drop) == want[row.drop] })
	}
	send(t, c, data(5, frame))
	d.want(plain(100, 1)) // and nothing before it
	// Who has no tunnel, or another session, may have to be told.
	for _, want := range []uint32{6, 5} {
		if m := r.next(); !bytes.Equal(m.Data, data(want, frame)) || (m.Tunnel == nil) != (want == 5) {
			t.Errorf("mail is %+v", m)
		}
	}
}

// A device that is full, and one that is gone, cost frames and nothing else.
func TestSlowDevice(t *testing.T) {
	r := newRig(t, 1)
	l := r.listen("127.0.0.1:0")
	c, at := client(t, l.Addr())
	slow, slowAt := client(t, l.Addr())
	_, d := r.tunnel(l, at, l.Addr(), 5, 6)
	r.tunnel(l, slowAt, l.Addr(), 5, 6)
	for range 100000 {
		send(t, slow, data(5, plain(1400, 0)[offload.VnetSize:]))
		if r.Dropped(DropInterface) > 10 {
			break
		}
	}
	if r.Dropped(DropInterface) == 0 {
		t.Error("nothing is counted")
	}
	until(t, "room for another tunnel's frame", func() bool { return unix.Send(c, data(5, plain(80, 3)[offload.VnetSize:]), 0) == nil })
	d.want(plain(80, 3))
}

// Control messages go to the owner with their tunnel, strangers' without one, and answers to where they came from.
func TestMail(t *testing.T) {
	r := newRig(t, 2)
	l := r.listen("0.0.0.0:0")
	port := l.Addr().Port()
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), port)
	c, from := client(t, at)
	tunnel, d := r.tunnel(l, from, at, 5, 6)
	message := []byte{0x80, 0x73, 0xa7, 1, 5, 0, 0, 0, 0, 0, 0, 0}
	send(t, c, message)
	if m := r.next(); m.Tunnel != tunnel || m.Listener != l || m.Peer != from || m.Local != at || !bytes.Equal(m.Data, message) {
		t.Errorf("mail is %+v, want from %v to %v", m, from, at)
	}
	s, from2 := client(t, at)
	send(t, s, message)
	m := r.next()
	if m.Tunnel != nil || m.Listener != l || m.Peer != from2 || m.Local != at {
		t.Errorf("mail is %+v, want from %v to %v", m, from2, at)
	}
	// Its answer comes from the address that was asked, or the connected socket would not have it.
	buf := make([]byte, 100)
	for i, answer := range []func() error{
		func() error { return l.Send(m.Local.Addr(), m.Peer, message[:9]) },
		func() error { return tunnel.Send(message[:9]) },
	} {
		if err := answer(); err != nil {
			t.Fatal(err)
		}
		fd := []int{s, c}[i]
		until(t, "an answer", func() bool { n, _ := unix.Read(fd, buf); return n == 9 })
	}
	// Frames find their way from that address as well.
	d.write(plain(77, 0))
	until(t, "a frame", func() bool { n, _ := unix.Read(c, buf); return n == 77+offload.HeaderSize })
}

// Who floods the listener, or a tunnel's peer with data, does not keep a tunnel's control message from the owner.
func TestMailUnderFlood(t *testing.T) {
	r := newRig(t, 2)
	l := r.listen("127.0.0.1:0")
	c, from := client(t, l.Addr())
	tunnel, _ := r.tunnel(l, from, l.Addr(), 5, 6)
	message := []byte{0x80, 0x73, 0xa7, 1, 5, 0, 0, 0, 0, 0, 0, 0}
	s, _ := client(t, l.Addr())
	for i := 0; r.Dropped(DropMail) < 10; i++ {
		send(t, s, message)
		send(t, s, data(1, message))
		send(t, c, data(5, plain(60, 0)[offload.VnetSize:]))
		if i > 1000000 {
			t.Fatal("the box of strangers is never full")
		}
	}
	send(t, c, message)
	until(t, "a letter in the tunnels' box", func() bool { r.members.mu.Lock(); defer r.members.mu.Unlock(); return r.members.n == 1 })
	if m := r.next(); m.Tunnel != tunnel {
		t.Error("a stranger's mail came before a tunnel's")
	}
	var m Mail
	n := 0
	for r.Next(&m, true) {
		n++
	}
	if n < boxSize {
		t.Errorf("%d strangers waited, want %d", n, boxSize)
	}
}

// A tunnel that is removed has its device closed, and its addresses may be the next one's at once.
func TestRemove(t *testing.T) {
	r := newRig(t, 2)
	l := r.listen("127.0.0.1:0")
	c, at := client(t, l.Addr())
	for range 50 {
		tunnel, d := r.tunnel(l, at, l.Addr(), 5, 6)
		send(t, c, data(5, plain(60, 1)[offload.VnetSize:]))
		r.Remove(tunnel)
		next, d2 := r.tunnel(l, at, l.Addr(), 5, 6)
		for f := d.read(); f != nil; f = d.read() {
		}
		// What comes before the worker knows the tunnel is lost, as on any network.
		buf := make([]byte, 100)
		until(t, "a frame", func() bool {
			send(t, c, data(5, plain(60, 2)[offload.VnetSize:]))
			n, _ := unix.Read(d2.fd, buf)
			return n > 0 && bytes.Equal(buf[:n], plain(60, 2))
		})
		r.Remove(next)
		for f := d2.read(); f != nil; f = d2.read() {
		}
	}
	for _, w := range r.workers {
		if w.load != 0 {
			t.Errorf("worker %d has %d devices", w.number, w.load)
		}
	}
}

// A listener that is closed gives what it has to the owner, and nothing goes to it any more.
func TestCloseListener(t *testing.T) {
	r := newRig(t, 2)
	old := r.listen("127.0.0.1:0")
	c, at := client(t, old.Addr())
	tunnel, d := r.tunnel(old, at, old.Addr(), 5, 6)
	l := r.listen(old.Addr().String())
	if err := tunnel.Via(l, old.Addr().Addr(), at); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if i == 100 {
			old.Close()
		}
		send(t, c, data(5, plain(60, byte(i))[offload.VnetSize:]))
	}
	got := make(map[string]bool)
	for len(got) < 200 {
		got[string(d.read())] = true
	}
	d.write(plain(60, 1))
	buf := make([]byte, 100)
	until(t, "a frame", func() bool { n, _ := unix.Read(c, buf); return n == 60+offload.HeaderSize })
}

// The next program takes devices and sockets over; what came meanwhile has waited.
func TestHandOver(t *testing.T) {
	old := newRig(t, 3)
	l := old.listen("127.0.0.1:0")
	c, at := client(t, l.Addr())
	_, d := old.tunnel(l, at, l.Addr(), 5, 6)
	send(t, c, data(5, plain(60, 1)[offload.VnetSize:]))
	d.want(plain(60, 1))
	dup := func(fd int) int {
		n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	var fds []int
	for _, fd := range l.FDs() {
		fds = append(fds, dup(fd))
	}
	inside := dup(d.inside)
	local := l.Addr()
	// As at an exec: nobody reads from now on.
	for _, w := range old.workers {
		w.do(change{stop: true})
	}
	old.running.Wait()
	old.workers = nil
	send(t, c, data(5, plain(60, 2)[offload.VnetSize:]))
	d.write(plain(60, 3))

	r := newRig(t, 2)
	l, err := r.AdoptListener(fds)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Add(Config{Listener: l, Peer: at, Local: local, Session: 5, PeerSession: 6, FD: inside}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	until(t, "the frame that waited in the device", func() bool { n, _ := unix.Read(c, buf); return n == 60+offload.HeaderSize })
	l.Open()
	d.want(plain(60, 2))
}

func TestListenErrors(t *testing.T) {
	r := newRig(t, 1)
	for _, at := range []string{"192.0.2.77:0", "[2001:db8::77]:0"} {
		if l, err := r.Listen(netip.MustParseAddrPort(at), ""); err == nil {
			t.Errorf("listens on %v", l.Addr())
		}
	}
	if _, err := r.Listen(netip.MustParseAddrPort("127.0.0.1:0"), "no-such-device"); err == nil {
		t.Error("listens on a device that is not there")
	}
	if _, err := r.AdoptListener([]int{newDevice(t).inside}); err == nil {
		t.Error("adopts a socket that is not UDP")
	}
	if _, err := r.AdoptListener(nil); err == nil {
		t.Error("adopts nothing")
	}
}

// Nothing allocates for a frame, nor for mail.
func TestNothingAllocates(t *testing.T) {
	r := newRig(t, 1)
	l := r.listen("127.0.0.1:0")
	c, at := client(t, l.Addr())
	_, d := r.tunnel(l, at, l.Addr(), 5, 6)
	message := []byte{0x80, 0x73, 0xa7, 1, 5, 0, 0, 0, 0, 0, 0, 0}
	frame, out := data(5, plain(60, 0)[offload.VnetSize:]), plain(60, 0)
	buf := make([]byte, 2000)
	var m Mail
	pass := func() {
		send(t, c, frame)
		send(t, c, message)
		d.write(out)
		for got := 0; got < 3; {
			if n, _ := unix.Read(d.fd, buf); n > 0 {
				got++
			}
			if n, _ := unix.Read(c, buf); n > 0 {
				got++
			}
			if r.Next(&m, true) {
				got++
			}
		}
	}
	pass()
	if n := testing.AllocsPerRun(200, pass); n >= 1 {
		t.Errorf("%v allocations for two frames and a message", n)
	}
}

// More tunnels than epoll tells of at once; each one's frames go to it.
func TestManyTunnels(t *testing.T) {
	r := newRig(t, 2)
	l := r.listen("127.0.0.1:0")
	var fds []int
	var devices []*device
	for i := range 150 {
		c, at := client(t, l.Addr())
		_, d := r.tunnel(l, at, l.Addr(), uint32(i), 6)
		fds, devices = append(fds, c), append(devices, d)
	}
	for i := range fds {
		send(t, fds[i], data(uint32(i), plain(60, byte(i))[offload.VnetSize:]))
		devices[i].write(plain(70, byte(i)))
	}
	buf := make([]byte, 200)
	for i := range fds {
		devices[i].want(plain(60, byte(i)))
		until(t, "a frame", func() bool { n, _ := unix.Read(fds[i], buf); return n == 70+offload.HeaderSize && buf[12] == byte(i) })
	}
	if a, b := r.workers[0].load, r.workers[1].load; a != b {
		t.Errorf("%d and %d devices, want as many for both workers", a, b)
	}
}
