//go:build vm

package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/datapath"
	"tunneldigger/src/link"
	"tunneldigger/src/shaper"
	"tunneldigger/src/test/nltest"
)

// host is a Path on a real kernel, in a namespace of its own, and what looks at what it did.
type host struct {
	*Path
	t      *testing.T
	now    time.Duration
	limits *shaper.Conn
	events []datapath.Event
}

func open(t *testing.T) *host {
	t.Helper()
	limits, err := shaper.Open()
	if err != nil {
		t.Fatal(err)
	}
	interfaces := datapath.New()
	h := &host{Path: New(interfaces, func(int, netip.AddrPort, netip.AddrPort, []byte) {}), t: t, limits: limits}
	if err := errors.Join(interfaces.Open(), h.Open()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.Close()
		interfaces.Close()
		limits.Close()
	})
	return h
}

func ip(t *testing.T, words string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(words)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", words, err, out)
	}
}

func ask(id uint32) *datapath.Request {
	return &datapath.Request{
		ID: id, PeerID: id, Session: id, PeerSession: id, Interface: fmt.Sprintf("l2tp%d-%d", id, id),
		Local: netip.MustParseAddrPort("127.0.0.1:1053"), Peer: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(20000+id)),
	}
}

// up makes a tunnel and raises it.
func (h *host) up(id uint32, w datapath.Want) {
	h.t.Helper()
	if err := h.Create(ask(id)); err != nil {
		h.t.Fatal(err)
	}
	h.Interfaces.Set(h.now, id, w)
	if err := h.Interfaces.Raise(h.now, id); err != nil {
		h.t.Fatal(err)
	}
	h.has(id, w)
}

// has compares a tunnel's interface, as the kernel has it, with what is wanted of it.
func (h *host) has(id uint32, w datapath.Want) {
	h.t.Helper()
	var is datapath.Want
	up, index := false, 0
	names := map[int]string{}
	master := 0
	err := h.Interfaces.Links().List(func(l link.Link) {
		names[l.Index] = l.Name
		if l.Name == ask(id).Interface {
			is.MTU, up, index, master = l.MTU, l.Up, l.Index, l.Master
		}
	})
	if err != nil {
		h.t.Fatal(err)
	}
	is.Bridge = names[master]
	out, err := exec.Command("ip", "-d", "link", "show", "dev", ask(id).Interface).CombinedOutput()
	is.Isolated = strings.Contains(string(out), "isolated on")
	kbit, _, fault := h.limits.Read(index)
	is.Kbit = kbit
	if is != w || !up || err != nil || fault != nil {
		h.t.Errorf("tunnel %d is %+v, up %v (%v, %v); want %+v", id, is, up, err, fault, w)
	}
}

// await takes in what happens to interfaces until a kind of event has come.
func (h *host) await(kind datapath.EventKind) datapath.Event {
	h.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		h.events = append(h.events, h.Interfaces.Events()...)
		for i, ev := range h.events {
			if ev.Kind == kind {
				h.events = append(h.events[:i], h.events[i+1:]...)
				return ev
			}
		}
		if time.Now().After(end) {
			h.t.Fatalf("no event %d in %+v", kind, h.events)
		}
		fds := []unix.PollFd{{Fd: int32(h.Interfaces.FD()), Events: unix.POLLIN}}
		_, _ = unix.Poll(fds, 100)
		h.Interfaces.Watch(h.now)
	}
}

// What is wanted of interfaces is so in the kernel, whatever comes between: another wish, bridges that go and come back, another process.
func TestPathOnARealKernel(t *testing.T) {
	nltest.Namespace(t)
	for _, bridge := range []string{"br-a", "br-b"} {
		ip(t, "link add "+bridge+" mtu 1400 type bridge")
	}
	h := open(t)
	a := datapath.Want{MTU: 1400, Bridge: "br-a", Isolated: true, Kbit: 500}
	h.up(100, a)
	h.up(101, datapath.Want{MTU: 1400, Bridge: "br-a"})
	h.up(102, datapath.Want{MTU: 1446})
	b := datapath.Want{MTU: 1346, Bridge: "br-b"}
	for _, w := range []datapath.Want{b, {MTU: 1300, Kbit: 800}, a} {
		h.Interfaces.Set(h.now, 100, w)
		h.has(100, w)
	}

	// The MTU changes while the bridge for it is away.
	ip(t, "link del br-b")
	for h.await(datapath.LinkGone).Link != "br-b" {
	}
	h.Interfaces.Set(h.now, 100, b)
	if st := h.Interfaces.State(100); st.Waits != "br-b" || st.Attached != "" {
		t.Errorf("state %+v", st)
	}
	ip(t, "link add br-b mtu 1400 type bridge")
	h.now += 3 * time.Second
	h.Interfaces.Tick(h.now)
	h.has(100, b)

	// A bridge is made anew.
	ip(t, "link del br-a")
	for h.await(datapath.MasterAway).Link != "br-a" {
	}
	ip(t, "link add br-a mtu 1400 type bridge")
	h.now += 3 * time.Second
	h.Interfaces.Tick(h.now)
	h.has(101, datapath.Want{MTU: 1400, Bridge: "br-a"})

	// Another process takes over.
	next := open(t)
	for id, w := range map[uint32]datapath.Want{100: b, 102: {MTU: 1446}} {
		fd, err := unix.FcntlInt(uintptr(h.FD(id)), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		next.Adopt(ask(id), fd)
		next.Interfaces.Inherit(ask(id), datapath.Known{Up: true, Is: w, Sure: true})
	}
	if err := next.Interfaces.Adopt(next.now, func(name string) bool { return name == "br-a" || name == "br-b" }); err != nil {
		t.Fatal(err)
	}
	if st := next.Interfaces.State(100); st.Attached != "br-b" {
		t.Errorf("adopted as %+v", st)
	}
	if at, due := next.Interfaces.Due(); due {
		t.Errorf("something is due at %v", at)
	}
	h.Destroy(100)
	h.Destroy(102)
	next.has(100, b) // as its socket is open still
	next.Destroy(100)
	if ev := next.await(datapath.Destroyed); ev.Tunnel != 100 {
		t.Errorf("%+v", ev)
	}
	// Somebody deletes a tunnel.
	if err := h.maker.Delete(102); err != nil {
		t.Fatal(err)
	}
	if ev := next.await(datapath.Lost); ev.Tunnel != 102 {
		t.Errorf("%+v", ev)
	}
}

// What is taken is told by kind, and leaves nothing; another process's tunnels with large IDs are left alone.
func TestPathTaken(t *testing.T) {
	nltest.Namespace(t)
	h := open(t)
	foreign := ask(100)
	foreign.ID, foreign.Interface = 3000000000, "foreign0"
	if err := makeOver(t, h, foreign); err != nil {
		t.Fatal(err)
	}
	h.up(101, datapath.Want{MTU: 1400})
	again := ask(102)
	again.ID = 101
	if err := makeOver(t, h, again); !errors.Is(err, datapath.ErrTunnelExists) {
		t.Errorf("the same ID: %v", err)
	}
	again = ask(103)
	again.Interface = ask(101).Interface
	for _, again.Again = range []bool{false, true} {
		if err := h.Create(again); !errors.Is(err, datapath.ErrInterfaceExists) {
			t.Errorf("the same name, made again %v: %v", again.Again, err)
		}
	}
	again.ID, again.Interface = 104, "nobody0" // the kernel takes its time to delete 103
	if err := h.Create(again); err != nil {
		t.Errorf("made again: %v", err)
	}
	h.Destroy(again.ID)
	nltest.Until(t, func() error {
		found, err := h.Sweep(func(id uint32) bool { return id < 1000 })
		if err != nil || len(found) != 1 || found[0].ID != 101 || found[0].PID == 0 || found[0].Removed {
			return fmt.Errorf("%v: %+v", err, found)
		}
		return nil
	})
	h.has(101, datapath.Want{MTU: 1400})
}

// makeOver makes a tunnel on a socket of its own, which is closed in the end.
func makeOver(t *testing.T, h *host, r *datapath.Request) error {
	fd := nltest.UDP(t, "127.0.0.1:1054", r.Peer.String())
	_, err := h.maker.Make(Tunnel{ID: r.ID, PeerID: r.PeerID, Session: r.Session, PeerSession: r.PeerSession, Interface: r.Interface, FD: fd})
	return err
}
