//go:build vm && bench

package bench

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"tunneldigger/src/test/e2e"
)

const (
	many        = 500 // tunnels
	parallel    = 100 // clients that are being set up at a time
	setupRounds = 5   // of each kind, the best of which counts
	floodRounds = 2
	floodRound  = 3 * time.Second
	quietRounds = 2
	quietRound  = 10 * time.Second
)

// bed is a broker's host and a host for clients with a cable between them.
type bed struct {
	*testing.T
	world           *e2e.World
	server, clients *e2e.Host
	at, from        netip.AddrPort
}

func newBed(t *testing.T) *bed {
	w := e2e.New(t)
	b := &bed{T: t, world: w, server: w.Host("broker"), clients: w.Host("clients"),
		at: netip.MustParseAddrPort("198.51.100.129:8942"), from: netip.MustParseAddrPort("198.51.100.130:20000")}
	b.server.IP("link add cable type veth peer name cable netns clients", "addr add 198.51.100.129/30 dev cable", "link set cable up",
		"link add "+bridgeName+" mtu 1446 type bridge", "link set "+bridgeName+" up")
	b.clients.IP("addr add 198.51.100.130/30 dev cable", "link set cable up")
	return b
}

// broker starts one at the given port.
func (b *bed) broker(sections string) *e2e.Broker {
	b.Helper()
	return b.server.StartBroker(fmt.Sprintf(brokerConfig, b.at.Addr(), b.at.Port())+sections, b.at.Port())
}

const bridgeName = "br-bench"

const bridgeSection = `
config bridge
	option interface '` + bridgeName + `'
	option isolate '1'
`

// swarm makes clients, at ports from the given one on.
func (b *bed) swarm(first uint16, n int, server netip.AddrPort) (s *swarm) {
	b.Helper()
	if err := b.clients.Do(func() error {
		s = newSwarm(b.T, netip.AddrPortFrom(b.from.Addr(), first), server, n)
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	return s
}

// gone waits until the kernel has removed every tunnel.
func (b *bed) gone() {
	b.Helper()
	b.world.Wait(time.Minute, "all interfaces are gone", func() bool { return len(b.server.LinkNames("l2tp")) == 0 })
}

// How many tunnels can be made in a second.
func TestVMSetups(t *testing.T) {
	b := newBed(t)
	bare := func(what lift) (took time.Duration) {
		err := b.server.Do(func() error {
			f, err := newFloor(what, bridgeName)
			if err == nil {
				took, err = f.build(b.at, many)
				f.close()
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		b.gone()
		return took
	}
	resent := 0
	broker := func(sections string) time.Duration {
		p := b.broker(sections)
		s := b.swarm(b.from.Port(), many, b.at)
		took := s.connect(parallel)
		resent += s.resent
		p.Kill()
		s.close()
		b.gone()
		return took
	}
	bare(down) // loads the modules
	// A shared machine can only make it slower: the best round is nearest to the truth.
	floor, floorUp, floorBridged, plain, attached := time.Hour, time.Hour, time.Hour, time.Hour, time.Hour
	for range setupRounds {
		floor = min(floor, bare(down))
		plain = min(plain, broker(""))
		floorUp = min(floorUp, bare(up))
		attached = min(attached, broker(bridgeSection))
		floorBridged = min(floorBridged, bare(bridged))
	}
	rate := func(d time.Duration) float64 { return many / d.Seconds() }
	figures.ratio(t, "set-ups (bare: socket, tunnel, session)", "/s", rate(plain), rate(floor), 0.7, 0.1)
	figures.ratio(t, "  (bare: and interface up, as the broker's)", "/s", rate(plain), rate(floorUp), 0.7, 0.4)
	figures.ratio(t, "set-ups with bridge (bare: without)", "/s", rate(attached), rate(floor), 0.5, 0.05)
	figures.ratio(t, "  (bare: with, as the broker's)", "/s", rate(attached), rate(floorBridged), 0.5, 0.3)
	figures.most(t, "  requests that had to be repeated", "", float64(resent), 0, many/10)
}

// How many cookies can be had in a second.
func TestVMCookies(t *testing.T) {
	b := newBed(t)
	broker := b.broker("")
	other := netip.AddrPortFrom(b.at.Addr(), b.at.Port()+1)
	bare := b.server.Start("bare loop", role(t, "echo", other.String())...)
	b.server.WaitBound(bare, other.Port())
	var rate, spent [2]float64
	for range floodRounds {
		for i, side := range []struct {
			pid int
			at  netip.AddrPort
		}{{broker.PID(), b.at}, {bare.PID(), other}} {
			err := b.clients.Do(func() error {
				f := newFlood(t, netip.AddrPortFrom(b.from.Addr(), b.from.Port()+uint16(i)), side.at)
				f.run(floodRound / 10)
				var c cost
				before := costOf(t, side.pid)
				n, took := f.run(floodRound)
				c.add(before, costOf(t, side.pid))
				rate[i] += float64(n) / took.Seconds() / floodRounds
				spent[i] += float64(c.total.Microseconds()) / float64(n) / floodRounds
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	figures.ratio(t, "cookies", "/s", rate[0], rate[1], 0.8, 0.5)
	figures.ratio(t, "  processor time of each", "µs", spent[0], spent[1], 0, 0)
	broker.Kill()
	bare.Kill()
}

// What tunnels cost that only keep alive, and the memory they take.
func TestVMStanding(t *testing.T) {
	b := newBed(t)
	broker := b.broker("")
	idle, idleAnonymous := memoryOf(t, broker.PID())
	ours := b.swarm(b.from.Port(), many, b.at)
	ours.connect(parallel)

	other := netip.AddrPortFrom(b.at.Addr(), b.at.Port()+1)
	first := b.from.Port() + many
	bare := b.server.Start("bare loop", role(t, "keepalives", other.String(),
		fmt.Sprintf("%v:%d-%d", b.from.Addr(), first, first+many-1))...)
	await(t, 10*time.Second, "the bare loop runs", func() bool { return files(bare.PID()) > many })
	others := b.swarm(first, many, other)
	ours.answer(7 * time.Second) // path MTU discovery
	total, _ := compareKeepalives(t, broker.PID(), bare.PID(), ours, others, keepaliveGap, quietRounds, quietRound)
	figures.ratio(t, "processor time per message, 500 tunnels", "µs", total[0], total[1], 1.3, 1.8)
	bare.Kill()

	more := b.swarm(first+many, many, b.at)
	more.connect(parallel)
	more.answer(7 * time.Second)
	full, anonymous := memoryOf(t, broker.PID())
	figures.memory(t, idle, idleAnonymous, full, anonymous)
	broker.Kill()
}
