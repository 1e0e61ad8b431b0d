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

// healing logs how long clients took to be back, and fails if one was refused or found out by itself. Besides them the broker has others.
func (l *load) healing(s *swarm.Swarm, clients, besides int, what string) {
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
	l.waitTunnels(soon, clients+besides)
	if others := l.match(s); others != besides {
		l.t.Errorf("%s: %d tunnels are nobody's", what, others)
	}
}

// stood is a client as by default, whose tunnel stands for long enough, natively after three seconds, that it does not avoid the broker for having
// closed it: with its first word, after five, it counts as one that has stood for hours. In emulation a set-up may take that long.
func stood(i int) client.Options {
	o := swarm.Client(i)
	if native {
		o.Timers.Establish = 3 * time.Second
	}
	return o
}

// settleDown waits until the tunnels of all clients are older than that, so that they behave as in the field. With smaller numbers it does not:
// then they take five seconds more, in emulation.
func settleDown(l *load) {
	if native || testing.Short() {
		return
	}
	from := time.Now()
	l.Wait(soon, "clients whose tunnels stand for 15 s", func() bool { return time.Since(from) > 15*time.Second })
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
			s := l.swarm(swarm.Options{Clients: clients, Parallel: 50, Client: stood})
			l.connect(s, clients, soon)
			l.waitTunnels(soon, clients)
			settleDown(l)
			b.Signal(syscall.SIGKILL)
			b.Wait(soon)
			if native { // interfaces that outlive a broker are gone after a reboot
				for _, name := range l.tunnels() {
					l.broker.IP("link del " + name)
				}
			}
			l.waitTunnels(soon, 0)
			b = l.broker.StartBroker(config(interval), loadPort)
			l.healing(s, clients, 0, "rebooted, interval "+interval)
			// Each once; one that is slow to hear it may be told again after four seconds.
			if n := b.metric(l.World, "clients_told_total"); n < clients || n > 2*clients {
				t.Errorf("%d were told, want %d", n, clients)
			}
		})
	}
}

// An address moves from one machine to another, which runs already and has clients of its own, or which begins then, when the first one is off.
func TestHealMovedAddress(t *testing.T) {
	clients := sized(100, 40)
	for _, c := range []struct {
		name string
		own  int // clients of the second machine's before; 0: it does not run
	}{{"to one that runs", 10}, {"to one that begins", 0}} {
		t.Run(c.name, func(t *testing.T) {
			l := newLoad(t)
			second := l.Host("second")
			config := fmt.Sprintf("config broker 'load'\n\toption enabled '1'\n\tlist port '%d'\n\toption max_tunnels '1000'\n"+
				"\toption connection_rate_limit '0'\n%s", loadPort, quietly)
			first := l.broker.StartBroker(config, loadPort)
			l2 := &load{World: l.World, t: t, broker: second, clients: l.clients}
			if c.own > 0 {
				second.StartBroker(config, loadPort)
			}
			others := l2.swarm(swarm.Options{Clients: c.own, Client: func(i int) client.Options { return swarm.Client(10000 + i) }})
			l2.connect(others, c.own, soon)

			s := l.swarm(swarm.Options{Clients: clients, Parallel: 50, Client: stood})
			l.connect(s, clients, soon)
			settleDown(l)
			if c.own == 0 {
				first.Kill()
			}
			// The address, and the way to it.
			moving := l.broker.Addr4.String()
			l.broker.IP("addr del " + moving + "/29 dev eth0")
			second.IP("addr add " + moving + "/32 dev eth0")
			l.batch("core", "route replace "+moving+"/32 via "+fmt.Sprintf("198.51.100.%d", 4*(second.Addr4.As4()[3]/8)+2))
			l.batch(second.edge(), "route replace "+moving+"/32 dev lan")
			if c.own == 0 {
				second.StartBroker(config, loadPort)
			}
			l2.healing(s, clients, c.own, "moved "+c.name)
			if now := others.Totals(); now.Connected != c.own || now.Closed != 0 {
				t.Errorf("the second machine's own clients: %+v", now)
			}
		})
	}
}

// A tunnel is closed whose client does not hear of it: with its next word it does.
func TestHealLostError(t *testing.T) {
	l := newLoad(t)
	b := l.broker.StartBroker(l.config("", quietly), loadPort)
	s := l.swarm(swarm.Options{Clients: 5, Client: stood})
	l.connect(s, 5, soon)
	l.waitTunnels(soon, 5)
	settleDown(l)
	lost := "route %s blackhole " + l.clients.Addr4.String() + "/32" // on the way
	l.batch("core", fmt.Sprintf(lost, "add"))
	b.Call(l.World, "kick", "client-3")
	l.waitTunnels(soon, 4)
	l.batch("core", fmt.Sprintf(lost, "del"))
	began := time.Now()
	l.run(s, soon, "told, and back", func(now swarm.Totals) bool { return now.Connected == 5 && now.Closed == 1 })
	t.Logf("back %.1f s after the way was open again", time.Since(began).Seconds())
	if r := s.Result(3); r.Closed != 1 {
		t.Errorf("client 3: %+v", r)
	}
	// One word in five seconds is answered, a second time if the way was closed for the first; other clients' words are not those of strangers.
	if told := b.metric(l.World, "clients_told_total"); told < 1 || told > 2 {
		t.Errorf("told %d times", told)
	}
}

// A client ends, and its word is lost: the broker has its tunnel still. When the node comes back, it has a tunnel with its first request, and under
// "replace" in the place of the other one.
func TestHealLostGoodbye(t *testing.T) {
	for _, c := range []struct {
		policy string
		want   int // tunnels at the broker then
	}{{"any", 2}, {"replace", 1}} {
		t.Run(c.policy, func(t *testing.T) {
			l := newLoad(t)
			b := l.broker.StartBroker(l.config("\toption uuid_policy '"+c.policy+"'\n"), loadPort)
			node := func() *Process {
				p := l.clients.StartClient("-f", "-u", "node", "-b", fmt.Sprintf("%v:%d", l.broker.Addr4, loadPort), "-i", "tun0")
				l.clients.WaitLink("tun0", soon)
				return p
			}
			p := node()
			b.WaitLog("tunnel up", soon)
			lost := "route %s blackhole " + l.broker.Addr4.String() + "/32"
			l.batch("core", fmt.Sprintf(lost, "add"))
			p.Stop(soon)
			l.clients.waitGone("tun0")
			l.batch("core", fmt.Sprintf(lost, "del"))
			if r := b.status(l.World); len(r.Tunnels) != 1 {
				t.Fatalf("the broker has heard of it: %+v", r.Tunnels)
			}
			began := time.Now()
			node()
			t.Logf("there again after %.1f s", time.Since(began).Seconds())
			b.waitLines(2, "tunnel up", soon)
			l.waitTunnels(soon, c.want)
			if text := b.Call(l.World, "status", "--json"); !strings.Contains(text, "\"prepares\":2,") {
				t.Errorf("more requests for a tunnel than one for each:\n%s", text)
			}
		})
	}
}

// metric is a metric of the section.
func (b *Broker) metric(w *World, name string) int {
	w.T.Helper()
	text := b.Call(w, "status", "--prometheus")
	_, value, _ := strings.Cut(text, "\ntunneldigger_"+name+"{broker=\"load\"} ")
	value, _, _ = strings.Cut(value, "\n")
	n, err := strconv.Atoi(value)
	if err != nil {
		w.T.Fatalf("metric %s is %q in\n%s", name, value, text)
	}
	return n
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
