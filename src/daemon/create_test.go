package daemon

import (
	"fmt"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/cookie"
	"tunneldigger/src/wire"
)

// askFor hands in a client's PREPARE.
func (d *Daemon) askFor(port uint16, uuid string) {
	s := d.sections[0]
	local := netip.AddrPortFrom(host, s.config.Ports[0])
	peer := netip.AddrPortFrom(local.Addr(), port)
	c := d.jar.Issue(peer, cookie.Tick(d.now))
	d.handshake(s, 0, peer, local, wire.AppendPrepare(nil, c[:], []byte(uuid), 1, 0))
}

// Many clients at once: their tunnels are made in a row, a bounded number in a turn, and then all of them are told.
func TestCreateInARow(t *testing.T) {
	const clients = createsPerTurn + 5
	d, k, _ := faked(t)
	s := d.sections[0]
	var lines []string // of what is made, and how many clients have heard of their tunnels by then
	k.Fail = func(step string) unix.Errno {
		if step == "tunnel" {
			lines = append(lines, fmt.Sprint("create ", 100+len(lines), ", up ", s.core.Stats().Opened))
		}
		return 0
	}
	s.config.MaxTunnels = clients
	s.core = broker.New(*s.config, d.coreOptions(s, clients))
	for i := range clients {
		d.askFor(uint16(20000+i), fmt.Sprint("node", i))
	}
	if len(lines) != 0 || len(d.creates) != clients || d.timeout() != 0 {
		t.Fatalf("%d made, %d wait, the loop sleeps %v", len(lines), len(d.creates), d.timeout())
	}
	d.createSome()
	if up := s.core.Stats().Opened; len(lines) != createsPerTurn || up != createsPerTurn || len(d.creates) != 5 {
		t.Errorf("after a turn %d made, %d told, %d left", len(lines), up, len(d.creates))
	}
	d.createAll()
	if up := s.core.Stats().Opened; up != clients || len(d.creates) != 0 {
		t.Errorf("in the end %d told, %d left", up, len(d.creates))
	}
	for i, l := range lines {
		if want := fmt.Sprint("create ", 100+i, ", up ", i/createsPerTurn*createsPerTurn); l != want {
			t.Errorf("%q, want %q", l, want)
		}
	}
}

// A reload does not change what a tunnel is made with that a client was promised before.
func TestCreateBeforeReload(t *testing.T) {
	d, _ := started(t, 1)
	d.read = func() (*config.Config, error) {
		if up := d.sections[0].core.Stats().Opened; up != 1 {
			t.Errorf("%d told before the reload", up)
		}
		return d.config, nil
	}
	d.askFor(20000, "node")
	if _, err := d.reload(false); err != nil {
		t.Fatal(err)
	}
}

// The table of descriptors has room for all tunnels from the start.
func TestTableOfDescriptors(t *testing.T) {
	d, _ := started(t, 1)
	d.sections[0].config.MaxTunnels = 1000
	d.config.Brokers[0].MaxTunnels = 1000
	d.shares()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, size, _ := strings.Cut(string(text), "FDSize:")
	n := 0
	if _, err := fmt.Sscan(size, &n); err != nil || n < 1000 {
		t.Errorf("room for %d descriptors: %v", n, err)
	}
}

// However many tunnels a section may have, it gets what the process has descriptors
// for: on 32 bits, too, where a product of two such numbers does not fit.
func TestShares(t *testing.T) {
	for _, c := range []struct {
		capacity int
		most     []int
		want     []int
	}{
		{1024, []int{1024}, []int{1024}},
		{46341, []int{46341}, []int{46341}},
		{65535, []int{65535}, []int{65535}},
		{65535, []int{50000, 15535}, []int{50000, 15535}},
		{60000, []int{65535}, []int{60000}},
		{30000, []int{40000, 20000}, []int{20000, 10000}},
		{1, []int{65000, 500}, []int{1, 1}},
	} {
		var brokers []config.Broker
		wanted := 0
		for _, n := range c.most {
			brokers = append(brokers, config.Broker{MaxTunnels: n})
			wanted += n
		}
		if got := divide(c.capacity, wanted, brokers); !slices.Equal(got, c.want) {
			t.Errorf("%d descriptors for max_tunnels %v: got %v, want %v", c.capacity, c.most, got, c.want)
		}
	}
}

// The environment has the last word on how much garbage there may be.
func TestGarbage(t *testing.T) {
	t.Cleanup(func() { debug.SetGCPercent(100) })
	for _, c := range []struct {
		set  string
		want int
	}{{"", garbage}, {"50", 77}} { // what the runtime made of it at its start
		t.Setenv("GOGC", c.set)
		debug.SetGCPercent(77)
		started(t, 1)
		if got := debug.SetGCPercent(77); got != c.want {
			t.Errorf("GOGC=%q: %d percent, want %d", c.set, got, c.want)
		}
	}
}
