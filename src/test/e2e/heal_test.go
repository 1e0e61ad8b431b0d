//go:build vm || native

package e2e

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tunneldigger/src/client"
	"tunneldigger/src/test/swarm"
	"tunneldigger/src/wire"
)

// healing logs how long clients took to be back, and fails if one was refused or found out by itself.
func (l *load) healing(s *swarm.Swarm, clients int, what string) {
	l.t.Helper()
	var first time.Duration
	began, closed, refused := time.Now(), s.Totals().Closed, s.Totals().Refusals
	l.run(s, soon, what, func(now swarm.Totals) bool {
		back := now.Closed - closed // told, and with a tunnel again
		if first == 0 && back > 0 && now.Connected > clients-back {
			first = time.Since(began)
		}
		return now.Connected == clients && back >= clients
	})
	l.t.Logf("%s: %d clients are back, the first after %.1f s, the last after %.1f s", what, clients, first.Seconds(), time.Since(began).Seconds())
	if now := s.Totals(); now.Refusals != refused {
		l.t.Errorf("%s: %d were refused", what, now.Refusals-refused)
	}
	for i := range s.Clients() { // left alone it takes its tunnel for dead by itself, after a minute
		if r := s.Result(i); r.Closed == 0 {
			l.t.Errorf("%s: client %d was not told", what, i)
		}
	}
	l.waitTunnels(soon, clients)
	if others := l.match(s); others != 0 {
		l.t.Errorf("%s: %d tunnels are nobody's", what, others)
	}
}

// A gateway is rebooted: it knows nothing of its clients, hears them, and has them back at the pace that it is set to.
func TestHealReboot(t *testing.T) {
	clients := sized(300, 60)
	for _, interval := range []string{"0", "0.05"} {
		t.Run(interval, func(t *testing.T) {
			l := newLoad(t)
			config := func(interval string) string {
				return strings.Replace(l.config("\toption max_tunnels '1000'", quietly), "connection_rate_limit '0'", "connection_rate_limit '"+interval+"'", 1)
			}
			b := l.broker.StartBroker(config("0"), loadPort)
			s := l.swarm(swarm.Options{Clients: clients, Parallel: 50})
			l.connect(s, clients, soon)
			l.waitTunnels(soon, clients)
			b.Signal(syscall.SIGKILL)
			b.Wait(soon)
			if native { // interfaces that outlive a broker are gone after a reboot
				for _, name := range l.tunnels() {
					l.broker.IP("link del " + name)
				}
			}
			l.waitTunnels(soon, 0)
			b = l.broker.StartBroker(config(interval), loadPort)
			l.healing(s, clients, "rebooted, interval "+interval)
			// Each once; one that is slow to hear it may be told again after four seconds.
			text := b.Call(l.World, "status", "--prometheus")
			_, told, _ := strings.Cut(text, "tunneldigger_clients_told_total{broker=\"load\"} ")
			told, _, _ = strings.Cut(told, "\n")
			if n, err := strconv.Atoi(told); err != nil || n < clients || n > 2*clients {
				t.Errorf("%q were told, want %d", told, clients)
			}
		})
	}
}

// An address moves from one machine to another, which runs already and has clients of its own.
func TestHealMovedAddress(t *testing.T) {
	clients, own := sized(100, 40), 10
	l := newLoad(t)
	second := l.Host("second")
	config := fmt.Sprintf("config broker 'load'\n\toption enabled '1'\n\tlist port '%d'\n\toption max_tunnels '1000'\n"+
		"\toption connection_rate_limit '0'\n%s", loadPort, quietly)
	l.broker.StartBroker(config, loadPort)
	l2 := &load{World: l.World, t: t, broker: second, clients: l.clients}
	second.StartBroker(config, loadPort)
	others := l2.swarm(swarm.Options{Clients: own, Client: func(i int) client.Options { return swarm.Client(10000 + i) }})
	l2.connect(others, own, soon)

	s := l.swarm(swarm.Options{Clients: clients, Parallel: 50})
	l.connect(s, clients, soon)
	// The address, and the way to it.
	moving := l.broker.Addr4.String()
	l.broker.IP("addr del " + moving + "/29 dev eth0")
	second.IP("addr add " + moving + "/32 dev eth0")
	l.batch("core", "route replace "+moving+"/32 via "+fmt.Sprintf("198.51.100.%d", 4*(second.Addr4.As4()[3]/8)+2))
	l.batch(second.edge(), "route replace "+moving+"/32 dev lan")
	l.run(s, soon, "told by the second machine", func(now swarm.Totals) bool { return now.Connected == clients && now.Closed >= clients })
	l2.waitTunnels(soon, clients+own)
	if now := others.Totals(); now.Connected != own || now.Closed != 0 {
		t.Errorf("the second machine's own clients: %+v", now)
	}
}

// A tunnel is closed whose client does not hear of it: with its next word it does.
func TestHealLostError(t *testing.T) {
	l := newLoad(t)
	b := l.broker.StartBroker(l.config("", quietly), loadPort)
	s := l.swarm(swarm.Options{Clients: 5})
	l.connect(s, 5, soon)
	l.waitTunnels(soon, 5)
	lost := "route %s blackhole " + l.clients.Addr4.String() + "/32" // on the way
	l.batch("core", fmt.Sprintf(lost, "add"))
	b.Call(l.World, "kick", "client-3")
	l.waitTunnels(soon, 4)
	l.batch("core", fmt.Sprintf(lost, "del"))
	l.run(s, soon, "told, and back", func(now swarm.Totals) bool { return now.Connected == 5 && now.Closed == 1 })
	if r := s.Result(3); r.Closed != 1 {
		t.Errorf("client 3: %+v", r)
	}
}

// Both ends keep a tunnel alive and mean different sessions. It is closed; one in which the frames fit is not.
func TestHealMisfit(t *testing.T) {
	l := newLoad(t)
	b := l.broker.StartBroker(l.config(""), loadPort)
	at := netip.AddrPortFrom(l.broker.Addr4, loadPort)
	wrong, right := l.clients.peer(0, at), l.clients.peer(0, at)
	frame := func(session uint32) []byte {
		return append([]byte{0, 3, 0, 0, byte(session >> 24), byte(session >> 16), byte(session >> 8), byte(session), 0, 0, 0, 0},
			[]byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x88\xb5 a frame of an experimental type, as long as the least")...)
	}
	other, own := wrong.connect("wrong", 7, wire.UniqueSessionID), right.connect("right", 8, wire.UniqueSessionID)
	l.waitTunnels(soon, 2)
	// The kernel hands up what does not fit to the tunnel's socket; the program's own data path has it at the listener.
	began := time.Now()
	l.Wait(soon, "ERROR on the tunnel whose sessions differ", func() bool {
		wrong.send(frame(other.id + 1000))
		right.send(frame(own.id + 1000)) // some are astray, some fit
		right.send(frame(own.id))
		time.Sleep(200 * time.Millisecond)
		return len(wrong.times(wire.TypeError)) > 0
	})
	t.Logf("told after %.1f s", time.Since(began).Seconds())
	l.waitTunnels(soon, 1)
	if n := len(right.times(wire.TypeError)); n != 0 {
		t.Errorf("the other client was told %d times", n)
	}
	b.WaitLog("its two ends meant different sessions", soon)
	if text := b.Call(l.World, "status", "--prometheus"); !strings.Contains(text, `tunneldigger_tunnels_closed_total{broker="load",reason="misfit"} 1`) {
		t.Errorf("not counted:\n%s", text)
	}
}
