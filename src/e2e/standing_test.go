//go:build vm

package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"tunneldigger/src/wire"
)

const standingPings = 100 // through each tunnel, one every 100 ms

// indexes are the tunnels' interfaces, which get a new index when they are made anew.
func (l *load) indexes() map[string]Link {
	all := make(map[string]Link)
	for _, link := range l.broker.Links("l2tp") {
		all[link.Name] = link
	}
	return all
}

// same checks that interfaces are as they were.
func (l *load) same(before map[string]Link, what string) {
	l.t.Helper()
	now := l.indexes()
	for name, was := range before {
		if is := now[name]; is.Index != was.Index || is.MTU != was.MTU || is.Master != was.Master {
			l.t.Errorf("%s: %s is %+v, was %+v", what, name, is, was)
		}
	}
}

// standing makes n tunnels with kernel interfaces and addresses at both ends, and gives the broker's addresses.
func (l *load) standing(n int) (inside []netip.Addr) {
	l.t.Helper()
	for i := range n {
		p := l.clients.peer(0, netip.AddrPortFrom(l.broker.Addr4, loadPort))
		a := p.connect(fmt.Sprint("pinged", i), uint32(1+i), wire.UniqueSessionID)
		tun := fmt.Sprint("tun", i)
		p.carry(tun, uint32(1+i), a)
		l.broker.WaitLink(a.iface(), soon)
		to := netip.AddrFrom4([4]byte{198, 51, 100, byte(128 + 4*i)}).Next()
		l.broker.IP("addr add " + to.String() + "/30 dev " + a.iface())
		l.clients.IP("addr add " + to.Next().String() + "/30 dev " + tun)
		inside = append(inside, to)
	}
	return inside
}

// ping begins to ping through the tunnels. What comes back waits for the end, and holds every lost ping against the test.
func (l *load) ping(inside []netip.Addr) (end func()) {
	l.t.Helper()
	var programs []*Process
	for _, to := range inside {
		programs = append(programs, l.clients.Start("ping", "ping", "-n", "-q", "-i", "0.1", "-W", "10", "-c", fmt.Sprint(standingPings), to.String()))
	}
	return func() {
		l.t.Helper()
		for i, p := range programs {
			if status := p.Wait(60 * time.Second); status != 0 || !strings.Contains(p.Log(), fmt.Sprintf("%d received, 0%% packet loss", standingPings)) {
				l.t.Errorf("ping %d: status %d\n%s", i, status, p.Log())
			}
		}
		l.t.Logf("%d pings in each of %d tunnels, %d stand", standingPings, len(inside), len(l.tunnels()))
	}
}
