package forward

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/offload"
)

const deadline = 2 * time.Minute // a busy machine's

// QEMU, under which the tests for mips run, does not pass UDP_SEGMENT on to the kernel, and sends 64 kB as one datagram.
const emulated = runtime.GOARCH == "mips"

// rig is an Engine and what its loop would be.
type rig struct {
	*Engine
	t     *testing.T
	wakes chan struct{}
}

func newRig(t *testing.T, workers int) *rig {
	r := &rig{t: t, wakes: make(chan struct{}, 1)}
	e, err := Start(Options{Workers: workers, Wake: func() {
		select {
		case r.wakes <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.Engine = e
	t.Cleanup(e.Stop)
	return r
}

func (r *rig) listen(addr string) *Listener {
	r.t.Helper()
	l, err := r.Listen(netip.MustParseAddrPort(addr), "")
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

// device stands for a TAP device: what is written to one end is read from the other, with its bounds.
type device struct {
	t      *testing.T
	inside int // the Engine's
	fd     int
}

func newDevice(t *testing.T) *device {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20)
	_ = unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20)
	d := &device{t, fds[0], fds[1]}
	t.Cleanup(func() { unix.Close(d.fd) })
	return d
}

func (d *device) write(frame []byte) {
	d.t.Helper()
	if _, err := unix.Write(d.fd, frame); err != nil {
		d.t.Fatal(err)
	}
}

// read waits for the next frame; nil: the other end is closed.
func (d *device) read() []byte {
	d.t.Helper()
	b := make([]byte, offload.MaxFrame)
	p := []unix.PollFd{{Fd: int32(d.fd), Events: unix.POLLIN}}
	for end := time.Now().Add(deadline); ; {
		n, err := unix.Read(d.fd, b)
		switch {
		case err == nil && n == 0:
			return nil
		case err == nil:
			return b[:n]
		case err != unix.EAGAIN && err != unix.EINTR:
			d.t.Fatal(err)
		case time.Now().After(end):
			d.t.Fatal("no frame comes out")
		}
		_, _ = unix.Poll(p, 100)
	}
}

// want waits for a frame that is as given.
func (d *device) want(frame []byte) {
	d.t.Helper()
	if got := d.read(); !bytes.Equal(got, frame) {
		d.t.Fatalf("a frame of %d bytes, want %d:\n%x\n%x", len(got), len(frame), got[:min(len(got), 90)], frame[:min(len(frame), 90)])
	}
}

// tunnel adds one from l to peer.
func (r *rig) tunnel(l *Listener, peer, local netip.AddrPort, session, peerSession uint32) (*Tunnel, *device) {
	r.t.Helper()
	d := newDevice(r.t)
	t, err := r.Add(Config{ID: session, Listener: l, Peer: peer, Local: local, Session: session, PeerSession: peerSession, FD: d.inside, Segments: true})
	if err != nil {
		r.t.Fatal(err)
	}
	return t, d
}

// plain is a frame that nothing can be done with but to pass it on.
func plain(n int, seed byte) []byte {
	b := make([]byte, offload.VnetSize+n)
	for i := range b[offload.VnetSize:] {
		b[offload.VnetSize+i] = byte(i) + seed
	}
	b[offload.VnetSize+12], b[offload.VnetSize+13] = 0x43, 0x05
	return b
}

// next waits for mail.
func (r *rig) next() Mail {
	r.t.Helper()
	var m Mail
	for end := time.After(deadline); ; {
		if r.Next(&m, true) {
			return m
		}
		select {
		case <-r.wakes:
		case <-end:
			r.t.Fatal("no mail")
		}
	}
}

// until waits for a condition that no event tells of.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within ", deadline, ": ", what)
		}
	}
}

// client is a plain UDP socket, connected to addr.
func client(t *testing.T, addr netip.AddrPort) (fd int, local netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		t.Fatal(err)
	}
	if local, err = bound(fd); err != nil {
		t.Fatal(err)
	}
	return fd, local
}

func send(t *testing.T, fd int, b []byte) {
	t.Helper()
	if _, err := unix.Write(fd, b); err != nil {
		t.Fatal(err)
	}
}

// data is a datagram of data.
func data(session uint32, frame []byte) []byte {
	b := append([]byte{0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, frame...)
	binary.BigEndian.PutUint32(b[4:], session)
	return b
}
