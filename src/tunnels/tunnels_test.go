package tunnels

import (
	"errors"
	"math"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/bridges"
	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/datapath"
	"tunneldigger/src/datapath/fake"
	"tunneldigger/src/datapath/kernel"
	"tunneldigger/src/link"
	"tunneldigger/src/poll"
	"tunneldigger/src/test/loopback"
)

// world is a Table over a kernel that is none, with one section; its tunnels' client is a socket of the test's.
type world struct {
	*Table
	t       *testing.T
	kernel  *fake.Kernel
	config  *config.Config
	section *Section
	client  *net.UDPConn
	strays  []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	poller, err := poll.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { poller.Close() })
	client, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback.Host().AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	w := &world{t: t, kernel: fake.New(), client: client, config: &config.Config{Brokers: []config.Broker{{Name: "wan"}}}}
	links := datapath.New()
	links.OpenWith(w.kernel.Conn(), w.kernel, w.kernel.Monitor())
	path := kernel.New(links, func(_ int, _, _ netip.AddrPort, data []byte) { w.strays = append(w.strays, string(data)) })
	path.OpenWith(kernel.NewMaker(w.kernel.L2TP(), w.kernel.Conn()))
	t.Cleanup(path.Close)
	w.section = &Section{Number: 3, Config: &w.config.Brokers[0], Path: path}
	w.Table = New(links, bridges.New(w.config), poller, 7<<32)
	return w
}

// add has a tunnel wait to be made.
func (w *world) add(id uint32, change func(*broker.Effect)) {
	e := broker.Effect{Kind: broker.EffectCreate, PeerTunnel: 1, PeerSession: 1}
	e.Tunnel, e.Session, e.MTU, e.UUID = id, id, 1446, "node"
	e.Peer, e.Local = w.client.LocalAddr().(*net.UDPAddr).AddrPort(), netip.AddrPortFrom(loopback.Host(), loopback.Port(w.t))
	if change != nil {
		change(&e)
	}
	w.Add(w.section, &e)
}

// made makes a tunnel with its interface up.
func (w *world) made(id uint32) *Tunnel {
	w.t.Helper()
	w.add(id, func(e *broker.Effect) { e.Raise = true })
	r := w.Make(0)
	if len(r) != 1 || r[0].Err != nil || r[0].Section != w.section || r[0].Event.Kind != broker.EventCreated || r[0].Event.Tunnel != id || !r[0].Event.Up {
		w.t.Fatalf("%+v", r)
	}
	return w.Get(id)
}

// The kernel lists tunnels that are not ours, with IDs that are negative as an int of 32 bits.
func TestForeignTunnels(t *testing.T) {
	var ts Table
	ours := &Tunnel{ID: 100}
	ts.add(ours)
	for _, id := range []uint32{0, 99, 101, 1 << 31, 3000000000, math.MaxUint32} {
		if ts.Get(id) != nil || id > 100 && ts.Next(id) != nil {
			t.Errorf("tunnel %d is ours", id)
		}
	}
	if ts.Get(100) != ours || ts.Next(0) != ours || ts.Next(100) != ours {
		t.Error("tunnel 100 is not")
	}
}

// Tunnels are made in a row, so many at once, in their order; there is nothing left of those that fail, and the core hears why.
func TestMake(t *testing.T) {
	w := newWorld(t)
	for id := range uint32(createsPerTurn + 2) {
		w.add(100+id, nil)
	}
	w.kernel.Tunnels[101] = true // somebody else's
	if _, due := w.Due(); !due || w.Waiting() != createsPerTurn+2 {
		t.Errorf("%d wait", w.Waiting())
	}
	for _, want := range []int{createsPerTurn, 2, 0} {
		r := w.Make(0)
		if len(r) != want {
			t.Fatalf("%d were made, want %d", len(r), want)
		}
		for i := range r {
			id := r[i].Event.Tunnel
			if id == 101 {
				if r[i].Event.Kind != broker.EventCreateFailed || r[i].Event.Fault != broker.FaultExists || r[i].Err == nil || w.Get(101) != nil {
					t.Errorf("%+v", r[i])
				}
				continue
			}
			if r[i].Event.Kind != broker.EventCreated || r[i].Err != nil || r[i].Event.Up || w.Get(id) == nil || w.kernel.Named(w.Get(id).Interface).Up {
				t.Errorf("%+v", r[i])
			}
		}
	}
	if _, due := w.Due(); due || w.Waiting() != 0 {
		t.Error("some are due yet")
	}
	ours := make(map[uint16]bool)
	if w.Ports(ours); len(ours) != createsPerTurn+1 {
		t.Errorf("ports %v", ours)
	}
}

// What is raised as it is made fails as a whole.
func TestMakeRaised(t *testing.T) {
	w := newWorld(t)
	w.kernel.Fail = func(step string) unix.Errno {
		if step == "up" {
			return unix.EXFULL
		}
		return 0
	}
	w.add(100, func(e *broker.Effect) { e.Raise = true })
	r := w.Make(0)
	if r[0].Event.Kind != broker.EventCreateFailed || r[0].Event.Fault != broker.FaultOther || !errors.Is(r[0].Err, unix.EXFULL) || w.Get(100) != nil || w.section.Path.FD(100) >= 0 {
		t.Errorf("%+v", r[0])
	}
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		err     error
		session uint32
		want    broker.Fault
	}{
		{datapath.ErrTunnelExists, 1, broker.FaultExists}, {datapath.ErrInterfaceExists, 1, broker.FaultExists},
		{datapath.ErrSessionExists, 1, broker.FaultOldSession}, {datapath.ErrSessionExists, 2, broker.FaultOther}, {unix.ENOMEM, 1, broker.FaultOther},
	} {
		e := broker.Effect{}
		if e.Session = c.session; faultOf(c.err, &e) != c.want {
			t.Errorf("%v, session %d: %v", c.err, c.session, faultOf(c.err, &e))
		}
	}
}

// Interfaces are raised one by one, in order, when no newcomer has come for a while, or has kept them waiting for too long.
func TestRaise(t *testing.T) {
	w := newWorld(t)
	for _, id := range []uint32{100, 101, 102, 103} {
		w.add(id, nil)
	}
	w.Make(0)
	for _, id := range []uint32{102, 100, 101, 99} { // 99 is not there
		w.RaiseLater(0, id)
	}
	next := func(now time.Duration) (id uint32) {
		r, ok := w.Raise(now)
		if ok && (r.Event.Kind != broker.EventRaised || !w.kernel.Named(w.Get(r.Event.Tunnel).Interface).Up) {
			t.Errorf("%+v", r)
		}
		return r.Event.Tunnel
	}
	if at, due := w.Due(); !due || at != lull || next(lull-1) != 0 || next(lull) != 102 {
		t.Errorf("due %v %v", at, due)
	}
	w.Destroy(w.Get(100)) // before its turn
	w.Newcomer = overdue
	if next(overdue-1) != 0 || next(overdue) != 101 || w.Rising() {
		t.Error("101 was not raised when it had waited for long")
	}
	w.kernel.Fail = func(step string) unix.Errno { return map[string]unix.Errno{"up": unix.EXFULL}[step] }
	w.RaiseLater(0, 103)
	if r, ok := w.Raise(time.Minute); !ok || r.Event.Kind != broker.EventRaiseFailed || !errors.Is(r.Err, unix.EXFULL) {
		t.Errorf("%+v", r)
	}
}

// A tunnel has what is wanted of it, and where another plan wants it when it is moved, a bounded number in a turn.
func TestMove(t *testing.T) {
	w := newWorld(t)
	a, b := w.kernel.Add("br-a", "bridge", 1446), w.kernel.Add("br-b", "bridge", 1446)
	w.config.Bridges = []config.Bridge{{Interface: "br-a"}}
	const all = movesATurn + 1
	for id := range uint32(all) {
		w.made(100 + id)
	}
	on := func(l *fake.Link) (n int) {
		for _, port := range w.kernel.Links {
			if port.Master == l.Index {
				n++
			}
		}
		return n
	}
	w.Follow(bridges.New(&config.Config{Brokers: w.config.Brokers, Bridges: []config.Bridge{{Interface: "br-b"}}}))
	if w.Move(0); on(a) != all || w.Moving() {
		t.Errorf("%d are where they were", on(a))
	}
	w.SetMTU(0, 100, 1400) // follows by itself
	if l := w.kernel.Named(w.Get(100).Interface); l.Master != b.Index || l.MTU != 1400 {
		t.Errorf("%+v", l)
	}
	w.MoveAll()
	if w.Move(0); on(b) != movesATurn || !w.Moving() {
		t.Errorf("%d were moved in a turn", on(b))
	}
	if _, due := w.Due(); !due {
		t.Error("nothing is due")
	}
	if w.Move(0); on(b) != all || w.Moving() {
		t.Errorf("%d were moved", on(b))
	}
	w.Shape(0, 100, 500)
	w.Shape(0, 99, 500) // not there
	w.SetMTU(0, 99, 1400)
	if l := w.kernel.Named(w.Get(100).Interface); l.Kbit != 500 {
		t.Errorf("%+v", l)
	}
}

// What is sent comes as it is, padded where that is asked for; what is too large has a size that fits.
func TestMessages(t *testing.T) {
	w := newWorld(t)
	p := w.made(100)
	buffer := make([]byte, 2000)
	for _, size := range []int{0, 9, 1200, 4} {
		if _, err := w.Send(100, []byte("hello"), size); err != nil {
			t.Fatal(err)
		}
		n, err := w.client.Read(buffer)
		if want := max(size, 5); err != nil || n != want || string(buffer[:5]) != "hello" || slices.Max(append(buffer[5:n:n], 0)) != 0 {
			t.Errorf("%q, %v, want %d bytes", buffer[:n], err, want)
		}
	}
	if fits, err := w.Send(100, make([]byte, 66000), 0); err != unix.EMSGSIZE || fits != 66000+28-1 {
		t.Errorf("%d fit, %v", fits, err)
	}
	if _, err := w.Send(99, []byte("hello"), 0); err != nil {
		t.Errorf("to nobody: %v", err)
	}
	// The loop hears of what comes back.
	if _, err := w.client.WriteToUDPAddrPort([]byte("answer"), p.Local); err != nil {
		t.Fatal(err)
	}
	events := make([]poll.Event, 4)
	if n, err := w.poller.Wait(-1, events); n != 1 || err != nil || events[0].Token != 7<<32|100 || !events[0].Readable {
		t.Fatalf("%+v, %v", events[:n], err)
	}
	if n, own, _, err := w.Receive(p, buffer); err != nil || !own || string(buffer[:n]) != "answer" {
		t.Errorf("%q, own %v, %v", buffer[:n], own, err)
	}
	if _, _, _, err := w.Receive(p, buffer); err != unix.EAGAIN {
		t.Errorf("%v", err)
	}
	message := []byte("keepalive")
	if n := testing.AllocsPerRun(100, func() {
		_, _ = w.Send(100, message, 40)
		_, _, _, _ = w.Receive(w.Get(100), buffer)
	}); n != 0 {
		t.Errorf("%v allocations for a message", n)
	}
}

// A socket that has nothing but errors is given up, once; what its client says in between counts.
func TestSilence(t *testing.T) {
	w := newWorld(t)
	p := w.made(100)
	for range maxSilent {
		if r := w.Errors(p); r.Event.Kind != 0 {
			t.Fatalf("%+v", r)
		}
	}
	if _, err := w.client.WriteToUDPAddrPort([]byte("x"), p.Local); err != nil {
		t.Fatal(err)
	}
	if n, own, _, err := w.Receive(p, make([]byte, 10)); n != 1 || !own || err != nil {
		t.Fatalf("%d bytes, own %v, %v", n, own, err)
	}
	lost := 0
	for n := range 3 * maxSilent {
		if r := w.Silent(p); r.Event.Kind == broker.EventLost && r.Event.Tunnel == 100 && r.Section == w.section {
			if lost++; n != maxSilent {
				t.Errorf("given up after %d", n)
			}
		}
	}
	if lost != 1 {
		t.Errorf("given up %d times", lost)
	}
}

// What ends a tunnel, and what is in its socket then, is heard of; one that is being closed takes no more.
func TestEnd(t *testing.T) {
	w := newWorld(t)
	p, q := w.made(100), w.made(101)
	if _, err := w.client.WriteToUDPAddrPort([]byte("last"), p.Local); err != nil {
		t.Fatal(err)
	}
	w.Destroy(p)
	if !p.Closing || w.Get(100) != p || len(w.strays) != 1 || w.strays[0] != "last" {
		t.Errorf("%+v, strays %q", p, w.strays)
	}
	if _, err := w.Send(100, []byte("x"), 0); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		event datapath.Event
		want  broker.EventKind
	}{
		{datapath.Event{Kind: datapath.Destroyed, Tunnel: 100}, broker.EventDestroyed}, {datapath.Event{Kind: datapath.Destroyed, Tunnel: 100}, 0},
		{datapath.Event{Kind: datapath.Lost, Tunnel: 101}, broker.EventLost}, {datapath.Event{Kind: datapath.Lost, Tunnel: 1 << 31}, 0},
	} {
		if r := w.Gone(&c.event); r.Event.Kind != c.want || c.want != 0 && (r.Event.Tunnel != c.event.Tunnel || r.Section != w.section) {
			t.Errorf("%+v: %+v", c.event, r)
		}
	}
	if w.Get(100) != nil || w.Get(101) != q {
		t.Error("what is gone is there, or the other way round")
	}
}

// What is inherited is brought to what is wanted now, and raised where its client had no more than an answer.
func TestInherit(t *testing.T) {
	w := newWorld(t)
	before := w.made(100)
	fd, err := unix.Dup(w.section.Path.Keep(100))
	if err != nil {
		t.Fatal(err)
	}
	of := w.State(before)
	if of.ID != 100 || of.Section != 3 || of.Peer != before.Peer || of.Local != before.Local || of.Interface != "l2tp100-100" || of.FD < 0 {
		t.Errorf("%+v", of)
	}
	next := newWorld(t)
	info := broker.TunnelInfo{Facts: broker.Facts{Tunnel: 100, Session: 100, MTU: 1400}, State: "answered"}
	p := &Tunnel{ID: 100, Section: next.section, Peer: of.Peer, Local: of.Local, Interface: of.Interface}
	if err := next.Inherit(0, p, &info, fd, datapath.Known{}); err != nil || p.Closing || !next.Rising() || next.Get(100) != p || next.section.Path.Keep(100) != fd {
		t.Errorf("%v: %+v", err, p)
	}
	closed := &Tunnel{ID: 101, Section: next.section}
	info.State = "destroying"
	if err := next.Inherit(0, closed, &info, -1, datapath.Known{}); err != nil || !closed.Closing || len(next.rises) != 1 {
		t.Errorf("%v: %+v", err, closed)
	}
}

// Counters are those of interfaces of ours, by their whole names.
func TestCount(t *testing.T) {
	w := newWorld(t)
	p := w.made(100)
	for i, name := range []string{"l2tp100-100", "l2tp100-1001", "l2tp101-101", "eth0"} {
		w.Count([]byte(name), link.Traffic{RxBytes: uint64(7 + i)})
	}
	if p.Traffic.RxBytes != 7 {
		t.Errorf("%+v", p.Traffic)
	}
}
