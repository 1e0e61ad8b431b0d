package kernel

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/datapath"
	"tunneldigger/src/datapath/fake"
)

// rig is a Path over a kernel that is none, with real sockets on loopback.
type rig struct {
	*Path
	t      *testing.T
	kernel *fake.Kernel
	peer   *net.UDPConn
	strays []string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, kernel: fake.New()}
	peer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	r.peer = peer
	interfaces := datapath.New()
	interfaces.OpenWith(r.kernel.Conn(), r.kernel, r.kernel.Monitor())
	r.Path = New(interfaces, func(listener int, _, from netip.AddrPort, data []byte) {
		if listener != 5 {
			t.Errorf("listener %d", listener)
		}
		r.strays = append(r.strays, from.String()+" "+string(data))
	})
	r.OpenWith(NewMaker(r.kernel.L2TP(), r.kernel.Conn()))
	t.Cleanup(r.Close)
	return r
}

func (r *rig) request(id uint32) *datapath.Request {
	return &datapath.Request{
		ID: id, PeerID: 7, Session: id, PeerSession: 7, Interface: "l2tp100-100", Listener: 5,
		Local: netip.MustParseAddrPort("127.0.0.1:0"), Peer: r.peer.LocalAddr().(*net.UDPAddr).AddrPort(),
	}
}

func (r *rig) create(id uint32) {
	r.t.Helper()
	if err := r.Create(r.request(id)); err != nil {
		r.t.Fatal(err)
	}
}

// local is the address of a tunnel's socket.
func (r *rig) local(id uint32) *net.UDPAddr {
	sa, err := unix.Getsockname(r.FD(id))
	if err != nil {
		r.t.Fatal(err)
	}
	return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: sa.(*unix.SockaddrInet4).Port}
}

func TestCreate(t *testing.T) {
	r := newRig(t)
	r.create(100)
	l := r.kernel.Named("l2tp100-100")
	if l == nil || l.Up || r.FD(100) < 0 || !slices.Equal(r.kernel.Steps, []string{"tunnel", "session", "index"}) {
		t.Errorf("made %+v by %q", l, r.kernel.Steps)
	}
	r.Interfaces.Set(0, 100, datapath.Want{MTU: 1400})
	if err := r.Interfaces.Raise(0, 100); err != nil || !l.Up || l.MTU != 1400 {
		t.Errorf("%v: raised to %+v", err, l)
	}
	fd := r.FD(100)
	r.Destroy(100)
	if err := unix.Fstat(fd, new(unix.Stat_t)); err != unix.EBADF || r.FD(100) != -1 {
		t.Errorf("the socket is not closed: %v", err)
	}
	if err := r.Send(100, []byte("x")); err == nil {
		t.Error("sent on a socket that is closed")
	}
	r.kernel.Remove(l)
	r.Interfaces.Watch(0)
	if ev := r.Interfaces.Events(); len(ev) != 1 || ev[0].Kind != datapath.Destroyed || ev[0].Tunnel != 100 {
		t.Errorf("events %+v", ev)
	}
}

// Whatever step fails, nothing is left: no tunnel, no session, no interface, no socket; and the error says which kind it is.
func TestCreateFailsAtEveryStep(t *testing.T) {
	for _, test := range []struct {
		step  string
		errno unix.Errno
		want  error
	}{
		{"tunnel", unix.ENOMEM, unix.ENOMEM},
		{"tunnel", unix.EEXIST, datapath.ErrTunnelExists},
		{"session", unix.ENOMEM, unix.ENOMEM},
		{"session", unix.EEXIST, datapath.ErrSessionExists},
		{"index", unix.ENODEV, unix.ENODEV},
	} {
		r := newRig(t)
		first := newFD(t)
		r.kernel.Fail = func(step string) unix.Errno {
			if step == test.step {
				return test.errno
			}
			return 0
		}
		err := r.Create(r.request(100))
		if !errors.Is(err, test.want) || !errors.Is(err, test.errno) {
			t.Errorf("%s fails with %v: %v", test.step, test.errno, err)
		}
		if len(r.kernel.Tunnels) != 0 || len(r.kernel.Links) != 0 || r.FD(100) != -1 || r.Interfaces.Count() != 0 {
			t.Errorf("%s failed: left are %v, %v", test.step, r.kernel.Tunnels, r.kernel.Links)
		}
		if again := newFD(t); again != first {
			t.Errorf("%s failed: descriptor %d was free, now %d is the first", test.step, first, again)
		}
		r.kernel.Fail = nil
		r.create(100)
	}
}

// While the interface of before a crash is there, nothing is made that would have to be removed again.
func TestCreateAgain(t *testing.T) {
	r := newRig(t)
	again := r.request(100)
	again.Again = true
	old := r.kernel.Add(again.Interface, "", 1400)
	if err := r.Create(again); !errors.Is(err, datapath.ErrInterfaceExists) || !slices.Equal(r.kernel.Steps, []string{"find"}) {
		t.Errorf("%v after %v", err, r.kernel.Steps)
	}
	r.kernel.Remove(old)
	if err := r.Create(again); err != nil || r.Interfaces.Count() != 1 {
		t.Errorf("when it has gone: %v, %d interfaces", err, r.Interfaces.Count())
	}
}

// The broker has no larger IDs; a table would have to be as long.
func TestCreateWantsSmallIDs(t *testing.T) {
	r := newRig(t)
	for _, id := range []uint32{0, 65536, 3000000000} {
		if err := r.Create(r.request(id)); err == nil || len(r.kernel.Steps) != 0 {
			t.Errorf("%d: %v", id, err)
		}
	}
}

// newFD is the lowest descriptor that is free.
func newFD(t *testing.T) int {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(fd)
	return fd
}

// A name that is taken is not the ID's of a session.
func TestInterfaceExists(t *testing.T) {
	r := newRig(t)
	r.kernel.Add("l2tp100-100", "dummy", 1500)
	if err := r.Create(r.request(100)); !errors.Is(err, datapath.ErrInterfaceExists) || len(r.kernel.Tunnels) != 0 || len(r.kernel.Links) != 1 {
		t.Errorf("%v, left are %v, %v", err, r.kernel.Tunnels, r.kernel.Links)
	}
}

// What comes from the client is its own, the rest is a stranger's; what nobody has read when the socket is closed goes to Stray.
func TestReceiveAndStrays(t *testing.T) {
	r := newRig(t)
	r.create(100)
	at := r.local(100)
	if err := r.Send(100, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	_ = r.peer.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, from, err := r.peer.ReadFromUDP(buf); err != nil || string(buf[:n]) != "hello" || from.Port != at.Port {
		t.Errorf("%v: %q from %v", err, buf[:n], from)
	}
	for _, text := range []string{"one", "two"} {
		if _, err := r.peer.WriteToUDP([]byte(text), at); err != nil {
			t.Fatal(err)
		}
	}
	n, own, _, err := r.Receive(100, buf)
	for err == unix.EAGAIN { // loopback delivers at once, but a busy machine may take a moment
		n, own, _, err = r.Receive(100, buf)
	}
	if err != nil || !own || !bytes.Equal(buf[:n], []byte("one")) {
		t.Errorf("%v: %q, own %v", err, buf[:n], own)
	}
	r.Destroy(100)
	if want := []string{r.peer.LocalAddr().String() + " two"}; !slices.Equal(r.strays, want) {
		t.Errorf("strays %q, want %q", r.strays, want)
	}
}

// The path that every keepalive takes allocates nothing.
func TestSendDoesNotAllocate(t *testing.T) {
	r := newRig(t)
	r.create(100)
	message, buf := make([]byte, 12), make([]byte, 100)
	if n := testing.AllocsPerRun(100, func() {
		_ = r.Send(100, message)
		_, _, _, _ = r.Receive(100, buf)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Only what is of the range and belongs to nobody is removed; IDs go up to the largest, on machines of 32 bits as well.
func TestSweep(t *testing.T) {
	r := newRig(t)
	for _, id := range []uint32{100, 1 << 31, 3000000000, ^uint32(0)} {
		r.kernel.Tunnels[id] = true
	}
	const base = uint32(100)
	found, err := r.Sweep(func(id uint32) bool { return id-base < 1000 })
	if err != nil || len(found) != 1 || found[0].ID != 100 || !found[0].Removed {
		t.Errorf("%v: found %+v", err, found)
	}
	if r.kernel.Tunnels[100] || len(r.kernel.Tunnels) != 3 {
		t.Errorf("left are %v", r.kernel.Tunnels)
	}
	for _, id := range []uint32{1 << 31, 3000000000, ^uint32(0)} {
		if r.FD(id) != -1 {
			t.Errorf("%d has a socket", id)
		}
	}
	r.kernel.Tunnels[100] = true
	r.kernel.Fail = func(step string) unix.Errno { return unix.EPERM }
	if _, err := r.Sweep(func(uint32) bool { return true }); !errors.Is(err, unix.EPERM) {
		t.Errorf("what can't be removed: %v", err)
	}
}

// A Maker that has patience waits for what is on its way out.
func TestPatience(t *testing.T) {
	r := newRig(t)
	m := NewMaker(r.kernel.L2TP(), r.kernel.Conn())
	taken := 3
	r.kernel.Fail = func(step string) unix.Errno {
		if taken > 0 && (step == "tunnel" || step == "session") {
			taken--
			return unix.EEXIST
		}
		return 0
	}
	tunnel := Tunnel{ID: 1, PeerID: 2, Session: 3, PeerSession: 4, Interface: "tun0", FD: 0}
	if _, err := m.Make(tunnel); !errors.Is(err, datapath.ErrTunnelExists) {
		t.Errorf("without patience: %v", err)
	}
	m.Patience = time.Second
	if index, err := m.Make(tunnel); err != nil || r.kernel.Links[index] == nil {
		t.Errorf("with patience: %v", err)
	}
	if err := errors.Join(m.Delete(1), m.Delete(1)); err != nil || len(r.kernel.Links) != 0 {
		t.Errorf("deleted: %v", err)
	}
}
