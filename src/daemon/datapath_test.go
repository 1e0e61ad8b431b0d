package daemon

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/bridges"
	"tunneldigger/src/config"
	"tunneldigger/src/datapath"
	"tunneldigger/src/datapath/carriers"
	"tunneldigger/src/datapath/fake"
	"tunneldigger/src/datapath/kernel"
	"tunneldigger/src/status"
	"tunneldigger/src/tunnels"
)

// faked is a daemon whose loop is the test's, over a kernel that is none.
func faked(t *testing.T) (*Daemon, *fake.Kernel, *lines) {
	t.Helper()
	d, log := started(t, 1)
	k := fake.New()
	d.links = datapath.New()
	d.tunnels = tunnels.New(d.links, d.bridges, d.poller, tokenTunnel)
	d.links.OpenWith(k.Conn(), k, k.Monitor())
	d.links.MakeBridges(bridges.Alias("/run/socket"), func(name string) *datapath.Own { return d.bridges.Own(name) })
	d.carriers = carriers.New(d.links, d.stray, d.wake.Notify, d.poller, tokenListener)
	d.carriers.Kernel.OpenWith(kernel.NewMaker(k.L2TP(), k.Conn()))
	d.sections[0].Path = d.carriers.Kernel
	return d, k, log
}

// bring brings a client's tunnel up.
func (d *Daemon) bring(t *testing.T, peerPort uint16, uuid string) (last *tunnels.Tunnel) {
	t.Helper()
	d.askFor(peerPort, uuid)
	d.createSome()
	d.now += 20 * time.Millisecond
	if !d.raiseNext() {
		t.Fatal("nothing is raised")
	}
	for p := d.tunnels.Next(0); p != nil; p = d.tunnels.Next(p.ID + 1) {
		last = p
	}
	return last
}

// first is what status has of the first tunnel.
func (d *Daemon) first() (t status.Tunnel) {
	d.survey().Tunnel(&t, status.Place{})
	return t
}

// due does what is due at a later time.
func (d *Daemon) due(after time.Duration) {
	d.now += after
	d.tick()
}

// What bridge sections want of a tunnel, at its MTU, is done, after a reload as well; what they want and is not there comes when it is.
func TestTunnelsFollowBridgeSections(t *testing.T) {
	d, k, log := faked(t)
	a, b := k.Add("br-a", "bridge", 1446), k.Add("br-b", "bridge", 1300)
	d.config.Bridges = []config.Bridge{{Interface: "br-a"}, {Interface: "br-b", MTU: 1300, Isolate: true}}
	p := d.bring(t, 20000, "one")
	l := k.Named(p.Interface)
	if l.Master != a.Index || !l.Up || d.links.State(p.ID).Attached != "br-a" {
		t.Fatalf("%+v", l)
	}
	k.Remove(b)
	d.links.Watch(d.now)
	d.tunnels.SetMTU(d.now, p.ID, 1300)
	d.interfacesChanged()
	if l.Master != 0 || l.MTU != 1300 || d.links.State(p.ID).Waits != "br-b" {
		t.Errorf("%+v, state %+v", l, d.links.State(p.ID))
	}
	log.await(t, "interface gone: tunnels can't be attached interface=br-b")
	if shown := d.first(); shown.Master != "" || !strings.HasPrefix(shown.Unattached, "waits for br-b") {
		t.Errorf("status has %+v", shown)
	}
	b = k.Add("br-b", "bridge", 1300)
	d.due(3 * time.Second)
	if l.Master != b.Index || !l.Isolated {
		t.Errorf("%+v", l)
	}
	if shown := d.first(); shown.Master != "br-b" || shown.Unattached != "" {
		t.Errorf("status has %+v", shown)
	}
	// The section is taken out, another one is for all.
	d.config.Bridges = d.config.Bridges[:1]
	d.tunnels.MoveAll()
	d.due(0)
	if l.Master != a.Index || l.Isolated || d.tunnels.Moving() {
		t.Errorf("%+v", l)
	}
	d.config.Bridges = []config.Bridge{{Interface: "br-x"}}
	if got := d.bridges.Missing(d.now, d.links); len(got) != 1 {
		t.Errorf("missing %q", got)
	}
}

// What the kernel refuses is logged, and done when it does not any more.
func TestWishFails(t *testing.T) {
	d, k, log := faked(t)
	p := d.bring(t, 20000, "one")
	l := k.Named(p.Interface)
	k.Fail = func(step string) unix.Errno {
		if step == "mtu" || step == "limit" {
			return unix.ENOBUFS
		}
		return 0
	}
	d.tunnels.SetMTU(d.now, p.ID, 1300)
	d.tunnels.Shape(d.now, p.ID, 500)
	d.due(0)
	log.await(t, "can't change a tunnel's MTU")
	log.await(t, "can't limit a tunnel's bandwidth")
	k.Fail = nil
	d.due(3 * time.Second)
	if l.MTU != 1300 || l.Kbit != 500 {
		t.Errorf("%+v", l)
	}
}

// A section's interface that was made anew under its name has listeners of its own, also where nobody was told that the old one went.
func TestDeviceMadeAnew(t *testing.T) {
	for _, overrun := range []bool{false, true} {
		d, k, log := faked(t)
		s := d.sections[0]
		s.Config.Interface = "wan0"
		l := k.Add("wan0", "ppp", 1500)
		s.listen.Locate(d.links.Index)
		k.Remove(l)
		k.Add("wan0", "ppp", 1500)
		if overrun {
			k.Overrun()
		}
		d.links.Watch(d.now)
		d.interfacesChanged()
		log.await(t, "interface gone broker=wan interface=wan0")
		if s.listen.Len() != 0 || s.listen.State().Complete || d.retryAt == 0 {
			t.Errorf("overrun %v: %d listeners, %+v", overrun, s.listen.Len(), s.listen.State())
		}
	}
	// One that is still there keeps them.
	d, k, _ := faked(t)
	s := d.sections[0]
	s.Config.Interface = "wan0"
	k.Add("wan0", "ppp", 1500)
	s.listen.Locate(d.links.Index)
	k.Overrun()
	d.links.Watch(d.now)
	d.interfacesChanged()
	if s.listen.Len() == 0 {
		t.Error("the listeners are closed")
	}
}

// Another's tunnels have IDs up to 2³²−1: on 32 bits that is a negative number where one compares as int.
func TestSweepBesideLargeIDs(t *testing.T) {
	d, k, log := faked(t)
	for _, id := range []uint32{101, 3000000000, ^uint32(0)} {
		k.Tunnels[id] = true
	}
	found, err := d.carriers.Kernel.Sweep(d.free)
	if err != nil {
		t.Fatal(err)
	}
	d.journal.Swept(found)
	log.await(t, "removed a tunnel that belonged to nobody tunnel=101")
	if len(k.Tunnels) != 2 {
		t.Errorf("left are %v", k.Tunnels)
	}
	for _, id := range []uint32{1 << 31, 3000000000, ^uint32(0)} {
		if d.tunnels.Get(id) != nil {
			t.Errorf("a port for %d", id)
		}
	}
}

// An interface that goes takes its tunnel with it; one that was to go is done with.
func TestInterfacesGo(t *testing.T) {
	d, k, log := faked(t)
	p := d.bring(t, 20000, "one")
	l := k.Named(p.Interface)
	k.Remove(l)
	d.links.Watch(d.now)
	d.interfacesChanged()
	d.settle()
	log.await(t, "the interface or socket is gone")
	if d.tunnels.Get(p.ID) != nil || d.sections[0].core.Holds(p.ID) {
		t.Errorf("the tunnel is there: %s", fmt.Sprint(d.tunnels.Get(p.ID)))
	}
}
