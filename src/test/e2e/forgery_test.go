//go:build native && !vm

package e2e

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/test/swarm"
	"tunneldigger/src/wire"
)

// estranged are datagrams of tunnels that are not there: what clients send into one, a frame, and one that is shorter than any answer.
func estranged() [][]byte {
	frame := []byte{0, 3, 0, 0, 0, 0, 0, 100, 0, 0, 0, 0}
	return [][]byte{
		wire.AppendKeepalive(nil, 1),
		append(frame, make([]byte, 60)...),
		wire.AppendPMTUD(nil, 1300),
		wire.AppendLimit(nil, 1, 1000),
		wire.AppendKeepalive(nil, 1)[:wire.HeaderSize+2],
	}
}

// answers are what the broker sends to senders that do not exist, as the router next to it sees it.
type answers struct {
	sink  int // a socket for all that passes there
	wrong atomic.Pointer[string]
	mu    sync.Mutex
	told  int // so many answers
	bytes int // of UDP payload in them
	stop  atomic.Bool
	ended chan struct{}
}

// catch has the edge router of a host send what is for senders that do not exist to nowhere, and looks at it. asked gives the length of what a
// sender has sent.
func catch(h *Host, asked func(number uint32) int) *answers {
	h.World.T.Helper()
	h.World.batch(h.edge(), "link add sink type veth peer name drain", "link set sink up", "link set drain up",
		"neigh add fe80::99 lladdr 02:00:00:00:00:99 dev sink nud permanent", "route add 2001:db8:8000::/33 via fe80::99 dev sink")
	a := &answers{ended: make(chan struct{})}
	if err := within(h.edge(), func() (err error) {
		var index int
		if index, err = indexOf("drain"); err != nil {
			return err
		}
		if a.sink, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(a.sink, &unix.SockaddrLinklayer{Protocol: unix.ETH_P_IPV6<<8&0xff00 | unix.ETH_P_IPV6>>8, Ifindex: index})
	}); err != nil {
		h.World.T.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(a.sink, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100000}); err != nil {
		h.World.T.Fatal(err)
	}
	go a.read(asked)
	h.World.T.Cleanup(func() {
		a.stop.Store(true)
		<-a.ended
		unix.Close(a.sink)
	})
	return a
}

// read counts, until it is stopped.
func (a *answers) read(asked func(uint32) int) {
	defer close(a.ended)
	for b := make([]byte, 2048); !a.stop.Load() && a.wrong.Load() == nil; {
		n, _, err := unix.Recvfrom(a.sink, b, 0)
		if err != nil || n < 48 || b[6] != unix.IPPROTO_UDP || binary.BigEndian.Uint16(b[40:]) != loadPort { // nothing, or neighbours
			continue
		}
		a.mu.Lock()
		a.told++
		a.bytes += n - 48
		a.mu.Unlock()
		if number := binary.BigEndian.Uint32(b[28:]) &^ (1 << 31); n-48 > asked(number) {
			text := fmt.Sprintf("%d bytes are answered by %d: % x", asked(number), n-48, b[48:n])
			a.wrong.Store(&text)
		}
	}
}

// count gives how many there were, and their bytes.
func (a *answers) count() (told, bytes int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.told, a.bytes
}

func indexOf(name string) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request)
	return int(request.Uint32()), err
}

// A gateway comes back from a reboot, and beside its clients tens of thousands speak to it who do not exist, as if they had tunnels: no answer is
// larger than what came, no more go out than the pace has room for, memory stays, and the clients are told and come in.
func TestHealUnderForgery(t *testing.T) {
	l := newLoad(t)
	clients, senders := sized(100, 20), sized(100000, 10000)
	const interval = 50 * time.Millisecond
	config := func(interval string) string {
		return strings.Replace(l.config("\tlist address '"+l.broker.Addr6.String()+"'\n\toption max_tunnels '1000'", quietly), "connection_rate_limit '0'", "connection_rate_limit '"+interval+"'", 1)
	}
	b := l.broker.StartBroker(config("0"), loadPort)
	s := l.swarm(swarm.Options{Clients: clients, Client: stood})
	l.connect(s, clients, soon)
	b.Signal(syscall.SIGKILL)
	b.Wait(soon)
	for _, name := range l.tunnels() { // interfaces that outlive a broker are gone after a reboot
		l.broker.IP("link del " + name)
	}
	l.waitTunnels(soon, 0)
	began := time.Now()
	b = l.broker.StartBroker(config("0.05"), loadPort)
	idle := b.Usage()

	messages := estranged()
	var packets [floodBatch][]byte
	for i := range packets {
		packets[i] = forge(l.broker.Addr6, messages[i%len(messages)])
	}
	a := catch(l.broker, func(number uint32) int { return len(messages[int(number-1)%floodBatch%len(messages)]) })
	number := uint32(0)
	f := flood(l.broker.edge(), func() (int, error) { return rawTo(l.broker.Addr6) }, func(i int) []byte {
		if number++; i == 0 { // a hundred times the pace; the broker tells those heard before from some thousand strangers a second, see seen.go
			time.Sleep(25 * time.Millisecond)
		}
		from(packets[i], number)
		return packets[i]
	})
	l.run(s, soon, "told in the flood, and back", func(now swarm.Totals) bool {
		return now.Connected == clients && now.Closed >= clients && f.sent.Load() >= int64(senders) || len(f.ended) > 0 || a.wrong.Load() != nil
	})
	back := time.Since(began)
	sent, err := f.end()
	if err != nil {
		t.Fatal(err)
	}
	l.Wait(soon, "the broker's queue empty", func() bool { return l.broker.queued(loadPort) == 0 })
	all := b.metric(l.World, "clients_told_total")
	// What is saved up when nobody is told is enough for a second.
	most := int((time.Since(began)+time.Second)/interval) + 1
	if all < clients || all > most {
		t.Errorf("%d were told, want %d to %d", all, clients, most)
	}
	told, bytes := a.count()
	after := b.Usage()
	t.Logf("%d clients are back after %.1f s beside %d forged datagrams, of which %d were answered, by %d bytes; %d were told, at most %d could be; resident %d kB before, %d kB after",
		clients, back.Seconds(), sent, told, bytes, all, most, idle.RSS>>10, after.RSS>>10)
	if wrong := a.wrong.Load(); wrong != nil {
		t.Error(*wrong)
	}
	if got := told + s.Totals().Closed; got > all {
		t.Errorf("%d answers have come, and %d are counted", got, all)
	}
	if told == 0 {
		t.Error("none of the forged was answered: this shows nothing")
	}
	if now := s.Totals(); now.Refusals != 0 {
		t.Errorf("%d clients were refused", now.Refusals)
	}
	if after.RSS > idle.RSS+4<<20 {
		t.Errorf("resident memory grew from %d to %d kB", idle.RSS>>10, after.RSS>>10)
	}
	l.waitTunnels(soon, clients)
}
