package daemon

import (
	"fmt"
	"net/netip"
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
	local := netip.AddrPortFrom(host, s.Config.Ports[0])
	peer := netip.AddrPortFrom(local.Addr(), port)
	c := d.jar.Issue(peer, cookie.Tick(d.now))
	d.handshake(s, 0, peer, local, wire.AppendPrepare(nil, c[:], []byte(uuid), 1, 0))
}

// Many clients at once: their tunnels are made in a row, a bounded number in a turn, and then all of them are told.
func TestCreateInARow(t *testing.T) {
	const perTurn, clients = 32, 37
	d, k, _ := faked(t)
	s := d.sections[0]
	var lines []string // of what is made, and how many clients have heard of their tunnels by then
	k.Fail = func(step string) unix.Errno {
		if step == "tunnel" {
			lines = append(lines, fmt.Sprint("create ", 100+len(lines), ", up ", s.core.Stats().Opened))
		}
		return 0
	}
	s.Config.MaxTunnels = clients
	s.core = broker.New(*s.Config, d.coreOptions(s, clients))
	for i := range clients {
		d.askFor(uint16(20000+i), fmt.Sprint("node", i))
	}
	if len(lines) != 0 || d.tunnels.Waiting() != clients || d.timeout() != 0 {
		t.Fatalf("%d made, %d wait, the loop sleeps %v", len(lines), d.tunnels.Waiting(), d.timeout())
	}
	d.createSome()
	if up := s.core.Stats().Opened; len(lines) != perTurn || up != perTurn || d.tunnels.Waiting() != 5 {
		t.Errorf("after a turn %d made, %d told, %d left", len(lines), up, d.tunnels.Waiting())
	}
	d.createAll()
	if up := s.core.Stats().Opened; up != clients || d.tunnels.Waiting() != 0 {
		t.Errorf("in the end %d told, %d left", up, d.tunnels.Waiting())
	}
	for i, l := range lines {
		if want := fmt.Sprint("create ", 100+i, ", up ", i/perTurn*perTurn); l != want {
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
