//go:build vm || native

package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tunneldigger/src/wire"
)

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

// pinging is a ping every 100 ms in each of several tunnels.
type pinging struct {
	t        *testing.T
	programs []*Process
}

// ping begins it.
func (l *load) ping(inside []netip.Addr) *pinging {
	l.t.Helper()
	p := &pinging{t: l.t}
	for _, to := range inside {
		p.programs = append(p.programs, l.clients.Start("ping", "ping", "-n", "-i", "0.1", "-W", "10", to.String()))
	}
	p.flow()
	return p
}

// last is the number of a ping's last answer.
func last(p *Process) (seq int) {
	if lines := strings.Split(p.Log(), "icmp_seq="); len(lines) > 1 {
		_, _ = fmt.Sscan(lines[len(lines)-1], &seq)
	}
	return seq
}

// flow waits until ten more pings have come back in every tunnel.
func (p *pinging) flow() {
	p.t.Helper()
	var enough []int
	for _, ping := range p.programs {
		enough = append(enough, last(ping)+10)
	}
	for i, ping := range p.programs {
		ping.world.Wait(soon, fmt.Sprintf("ping %d, answer %d", i, enough[i]), func() bool { return last(ping) >= enough[i] })
	}
}

// lossless ends it, and wants an answer to every ping until now. The last one may be under way.
func (p *pinging) lossless() {
	p.t.Helper()
	p.flow()
	least := 1 << 30
	for i, ping := range p.programs {
		if ping.Ended() {
			p.t.Errorf("ping %d has ended before:\n%s", i, ping.tail())
			continue
		}
		ping.Signal(unix.SIGINT)
		ping.Wait(soon)
		_, totals, _ := strings.Cut(ping.Log(), "statistics ---\n")
		var sent, received int
		if _, err := fmt.Sscanf(totals, "%d packets transmitted, %d received", &sent, &received); err != nil {
			p.t.Errorf("ping %d: %v:\n%s", i, err, ping.tail())
		} else if received != last(ping) || sent > received+1 {
			p.t.Errorf("ping %d: %d of %d came back, the last one is %d", i, received, sent, last(ping))
		}
		least = min(least, received)
	}
	p.t.Logf("%d pings in each of %d tunnels", least, len(p.programs))
}
