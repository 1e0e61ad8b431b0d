//go:build vm

package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/client"
	"tunneldigger/src/l2tp"
	"tunneldigger/src/link"
	"tunneldigger/src/sock"
	"tunneldigger/src/test/swarm"
)

// Clients of every age on a bad path: all are connected in the end, and both sides mean the same sessions.
func TestLoadBadPath(t *testing.T) {
	l := newLoad(t)
	clients := sized(100, 40)
	l.broker.StartBroker(l.config(""), loadPort)
	l.clients.SetPath(Path{Delay: 10 * time.Millisecond, Loss: 20, Duplicate: 10, Reorder: 25})
	s := l.swarm(swarm.Options{Clients: clients, Client: func(i int) client.Options {
		o := swarm.Client(i)
		switch i % 3 {
		case 1:
			o.Features = 0
		case 2:
			o.NoTunnelID = true
		}
		return o
	}})
	l.connect(s, clients, soon)
	l.figures(s, "20 % loss, duplicates, disorder")
	others := l.match(s)
	t.Logf("tunnels without a client: %d", others)
	usage, cookie, prepare := s.Repeats()
	if usage+cookie+prepare == 0 {
		t.Error("nothing was sent twice: the path is not bad")
	}
	for i := range clients {
		tunnel := s.Result(i).Tunnel
		if old := tunnel.PeerSessionID == 1 && tunnel.SessionID == 1; old != (i%3 != 0) {
			t.Errorf("client %d has the wrong kind of session: %+v", i, tunnel)
		}
	}
}

// Everybody comes at once, and every tunnel goes to a bridge, in a time that is in proportion to what the kernel alone takes for it.
func TestLoadAllAtOnce(t *testing.T) {
	l := newLoad(t)
	clients := sized(500, 100)
	l.broker.IP("link add br-mesh type bridge", "link set br-mesh up")
	// Others may have use of the machine just then: what is not quick enough once is tried again, beside the bare loop of its own time.
	for try := 1; ; try++ {
		took := l.allAtOnce(clients, thereMaster)
		t.Logf("%d clients attached within %v of the first datagram", clients, took.Round(time.Millisecond))
		if took <= 6*time.Second || t.Failed() {
			break
		}
		floor := l.floor(clients)
		l.Wait(soon, "the bare loop's tunnels gone", func() bool { return len(l.broker.LinkNames("floor")) == 0 })
		t.Logf("the same tunnels without clients and broker: %v", floor.Round(time.Millisecond))
		if took <= 4*floor {
			break
		}
		if try == 3 {
			t.Errorf("attaching %d clients took more than 6 s, and four times as long as the kernel alone needs, three times", clients)
			break
		}
	}
}

// floor is how long the kernel takes for so many tunnels on a bridge, one after the other, when nobody else wants anything:
// a measure of the machine.
func (l *load) floor(tunnels int) (took time.Duration) {
	l.t.Helper()
	err := l.broker.Do(func() error {
		tunnel, err := l2tp.Dial()
		if err != nil {
			return err
		}
		defer tunnel.Close()
		links, err := link.Open()
		if err != nil {
			return err
		}
		defer links.Close()
		bridge, err := links.Index("br-mesh")
		if err != nil {
			return err
		}
		began := time.Now()
		for i := range tunnels {
			id, name := uint32(30000+i), fmt.Sprintf("floor%d", i)
			fd, err := sock.Connect(netip.AddrPortFrom(l.broker.Addr4, 1), netip.AddrPortFrom(l.clients.Addr4, uint16(id)), "")
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			if err := errors.Join(tunnel.CreateTunnel(l2tp.Tunnel{ID: id, PeerID: id, FD: fd}),
				tunnel.CreateSession(l2tp.Session{TunnelID: id, ID: id, PeerID: id, Interface: name})); err != nil {
				return err
			}
			index, err := links.Index(name)
			if err := errors.Join(err, link.DisableIPv6(name), links.UpAttach(index, 1446, bridge), links.Isolate(index)); err != nil {
				return err
			}
		}
		took = time.Since(began)
		return nil
	})
	if err != nil {
		l.t.Fatalf("tunnels without a broker: %v", err)
	}
	return took
}
