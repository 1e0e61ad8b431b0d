package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/client"
	"tunneldigger/src/wire"
)

// fakeBroker answers one client after the other, as a broker would, and tells
// what it received.
type fakeBroker struct {
	t        *testing.T
	fd       int
	addr     netip.AddrPort
	received chan wire.Message
	mu       sync.Mutex
	peer     unix.Sockaddr
	refuse   bool // PREPARE
	// prepared, if set, makes the broker's end of the tunnel before the answer.
	prepared func(p wire.PrepareMsg, peer unix.Sockaddr)
}

func listen(t *testing.T, addr string) *fakeBroker {
	t.Helper()
	ap := netip.AddrPortFrom(netip.MustParseAddr(addr), 0)
	family := unix.AF_INET
	if ap.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, sockaddr(ap)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := 0
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		port = name.Port
	case *unix.SockaddrInet6:
		port = name.Port
	}
	b := &fakeBroker{t: t, fd: fd, addr: netip.AddrPortFrom(ap.Addr(), uint16(port)), received: make(chan wire.Message, 1000)}
	b.serve(fd)
	return b
}

// serve answers what comes through fd until the test ends, and closes it then.
func (b *fakeBroker) serve(fd int) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b.answer(fd) {
		}
	}()
	b.t.Cleanup(func() {
		unix.Shutdown(fd, unix.SHUT_RDWR) // wakes Recvfrom
		<-done
		unix.Close(fd)
	})
}

func (b *fakeBroker) answer(fd int) bool {
	buf := make([]byte, 2048)
	n, from, err := unix.Recvfrom(fd, buf, 0)
	if err != nil || n == 0 {
		return errors.Is(err, unix.ECONNREFUSED)
	}
	if buf[0]&0x80 == 0 { // a frame of the client's kernel, when the broker's is not ready for it or has gone
		return true
	}
	m, err := wire.Parse(buf[:n])
	if err != nil {
		b.t.Errorf("a client sent %x: %v", buf[:n], err)
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.peer = from
	answer := func(data []byte) { unix.Sendto(b.fd, data, 0, from) }
	switch m.Type {
	case wire.TypeUsage:
		answer(wire.AppendUsage(nil, 100))
	case wire.TypeCookie:
		answer(wire.AppendCookie(nil, [8]byte{1}))
	case wire.TypePrepare:
		p, err := wire.ParsePrepare(m.Payload)
		if err != nil || p.Cookie != [8]byte{1} || string(p.UUID) != "abc" {
			b.t.Errorf("PREPARE %+v, %v", p, err)
		}
		if b.refuse {
			answer(wire.AppendError(nil))
		} else {
			if b.prepared != nil {
				b.prepared(p, from)
			}
			answer(wire.AppendTunnel(nil, 100, p.Features))
		}
	case wire.TypePMTUD:
		if m.Size <= 1372 { // a path of MTU 1400
			answer(wire.AppendPMTUDAck(nil, uint16(m.Size)))
		}
	case wire.TypeLimit:
		l, _, err := wire.ParseLimit(m.Payload)
		if err != nil {
			b.t.Errorf("LIMIT %x: %v", m.Payload, err)
		}
		answer(wire.AppendRelAck(nil, l.Seq))
	}
	b.received <- m
	return true
}

// await waits for a message of that kind.
func (b *fakeBroker) await(typ wire.Type) wire.Message {
	b.t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		select {
		case m := <-b.received:
			if m.Type == typ {
				return m
			}
		case <-deadline:
			b.t.Fatalf("no %v", typ)
		}
	}
}

func (b *fakeBroker) say(data []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := unix.Sendto(b.fd, data, 0, b.peer); err != nil {
		b.t.Error(err)
	}
}

func (b *fakeBroker) setRefuse(refuse bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = refuse
}

// fakeDatapath tells what was asked of it.
type fakeDatapath struct {
	calls chan string
	mu    sync.Mutex
	fail  error // of the next Create
	gone  bool  // the interface vanished
}

func newDatapath() *fakeDatapath { return &fakeDatapath{calls: make(chan string, 100)} }

func (d *fakeDatapath) Create(t client.Tunnel, fd, mtu int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_DGRAM {
		return fmt.Errorf("not a UDP socket: %v", err)
	}
	d.calls <- fmt.Sprintf("create %d %d %d %d mtu %d", t.ID, t.PeerID, t.SessionID, t.PeerSessionID, mtu)
	err := d.fail
	d.fail, d.gone = nil, false
	return err
}

func (d *fakeDatapath) SetMTU(mtu int) error {
	d.calls <- fmt.Sprintf("mtu %d", mtu)
	return nil
}

func (d *fakeDatapath) Delete() error {
	d.calls <- "delete"
	return nil
}

func (d *fakeDatapath) Exists() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.gone
}

func (d *fakeDatapath) set(fail error, gone bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail, d.gone = fail, gone
}

func (d *fakeDatapath) await(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-d.calls:
		if got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	case <-time.After(2 * time.Minute):
		t.Fatalf("no %s", want)
	}
}
