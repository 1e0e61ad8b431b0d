//go:build vm || native

package e2e

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/client"
	"tunneldigger/src/test/swarm"
	"tunneldigger/src/wire"
)

const quietly = "config log\n\toption verbosity 'WARNING'"

// hostile are datagrams that anybody can send: a cookie request, a usage request, PREPAREs with a wrong cookie, garbage.
func hostile() [][]byte {
	garbage := make([]byte, 64)
	for i := range garbage {
		garbage[i] = byte(7 * i)
	}
	return [][]byte{
		wire.AppendCookieRequest(nil),
		wire.AppendPrepare(nil, []byte("12345678"), []byte("mallory"), 1, wire.UniqueSessionID),
		wire.AppendUsageRequest(nil, wire.UniqueSessionID),
		garbage,
		wire.AppendCookieRequest(nil),
		wire.AppendErrorReason(nil, wire.ReasonClientShutdown), // of a tunnel that is not the sender's
	}
}

// Tunnels stand, somebody floods the listener with all that one processor can send, and nothing happens to them; and
// who comes meanwhile gets in.
func TestFlood(t *testing.T) {
	l := newLoad(t)
	wideWire(t)
	bad := l.Host("bad")
	standing, newcomers, keepalives := sized(500, 100), 10, sized(12, 3)
	b := l.broker.StartBroker(l.config("\toption max_tunnels '2000'", quietly), loadPort)
	s := l.swarm(swarm.Options{Clients: standing, Parallel: 50})
	l.connect(s, standing, soon)
	// When every interface is up and the first keepalive, after 3 to 15 s, is there.
	l.waitTunnels(soon, standing)
	l.run(s, soon, "a keepalive for each", func(swarm.Totals) bool { return s.Kept(1) == standing })

	broker := netip.AddrPortFrom(l.broker.Addr4, loadPort)
	messages := hostile()
	f := flood(bad.Name, func() (int, error) { return udpTo(broker) }, func(i int) []byte { return messages[i%len(messages)] })
	// When the buffers are as large as they become.
	l.run(s, soon, "the flood under way", func(swarm.Totals) bool { return f.sent.Load() > 20000 })
	before, began := b.Usage(), time.Now()
	first, lost := l.broker.received()
	s.Quiet()
	late := l.swarm(swarm.Options{Clients: newcomers, Client: func(i int) client.Options { return swarm.Client(10000 + i) }})
	// It lasts until each tunnel has had its keepalives, however long a machine takes for them that is busy with the flood.
	var in, over atomic.Bool
	arrived := make(chan error, 1)
	go func() {
		arrived <- l.clients.Do(func() error {
			_, err := late.Run(soon, func(now swarm.Totals) bool { in.Store(now.Connected == newcomers); return over.Load() })
			return err
		})
	}()
	kept := false
	err := l.clients.Do(func() (err error) {
		kept, err = s.Run(soon, func(swarm.Totals) bool { return in.Load() && s.Kept(keepalives) == standing })
		return err
	})
	over.Store(true)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-arrived; err != nil {
		t.Fatal(err)
	}
	if !kept {
		t.Errorf("%d of %d standing tunnels have heard %d keepalives in %v", s.Kept(keepalives), standing, keepalives, time.Since(began))
	}
	took, after := time.Since(began), b.Usage()
	sent, err := f.end()
	if err != nil {
		t.Fatal(err)
	}
	taken, full := l.broker.received()
	per := func(n int) float64 { return float64(n) / took.Seconds() }
	t.Logf("%d datagrams sent, %.0f a second taken in and %.0f a second left to the kernel to drop; broker %.0f %% of a processor, resident %d kB before, %d kB after",
		sent, per(taken-first), per(full-lost), 100*(after.CPU-before.CPU).Seconds()/took.Seconds(), before.RSS>>10, after.RSS>>10)
	quiet := s.Quiet()
	t.Logf("longest time without a keepalive %v", quiet.Round(time.Millisecond))
	l.figures(late, "newcomers")
	if now := s.Totals(); now.Connected != standing || now.Closed != 0 {
		t.Errorf("standing tunnels: %+v", now)
	}
	if now := late.Totals(); now.Connected != newcomers || now.Refusals != 0 {
		t.Errorf("newcomers: %+v", now)
	}
	if after.RSS > before.RSS+2<<20 {
		t.Errorf("resident memory grew from %d to %d kB", before.RSS>>10, after.RSS>>10)
	}
	if n := len(l.tunnels()); n != standing+newcomers {
		t.Errorf("%d tunnel interfaces, want %d", n, standing+newcomers)
	}
}

// wideWire gives the kernel's queue between interfaces that are no wires room for more than a flood has under way: there is one
// for each processor and all hosts, and what it drops says nothing of a broker.
func wideWire(t *testing.T) {
	t.Helper()
	const file = "/proc/sys/net/core/netdev_max_backlog"
	before, err := os.ReadFile(file)
	if native && errors.Is(err, os.ErrNotExist) { // it is the machine's, which is not to be changed
		return
	}
	if err == nil {
		err = os.WriteFile(file, []byte("100000"), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(file, before, 0o644) })
}

func udpTo(at netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	return fd, unix.Connect(fd, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())})
}

// Hundreds of thousands of senders that do not exist cost no memory: for each of them the broker would have to spend a dozen bytes to fail.
func TestForgedSenders(t *testing.T) {
	l := newLoad(t)
	senders := sized(400000, 200000)
	b := l.broker.StartBroker(l.config("\tlist address '"+l.broker.Addr6.String()+"'\n\toption connection_rate_limit_per_ip_count '5'\n"+
		"\toption connection_rate_limit_per_ip_time '60'\n\toption connection_rate_limit_per_uuid_count '5'\n\toption connection_rate_limit_per_uuid_time '60'", quietly), loadPort)
	p := l.clients.peer(0, netip.AddrPortFrom(l.broker.Addr6, loadPort))
	p.connect("one", 1, wire.UniqueSessionID) // so that the program has done all that it does
	idle := b.Usage()
	first, lost := l.broker.received()

	// From the router next to the broker, which the answers do not get any farther than.
	l.batch(l.broker.edge(), "route add blackhole 2001:db8:8000::/33")
	var packets [floodBatch][]byte
	messages, number := hostile(), uint32(0)
	for i := range packets {
		packets[i] = forge(l.broker.Addr6, messages[i%len(messages)])
	}
	f := flood(l.broker.edge(), func() (int, error) { return rawTo(l.broker.Addr6) }, func(i int) []byte {
		number++
		from(packets[i], number)
		return packets[i]
	})
	taken := func() int { all, _ := l.broker.received(); return all - first }
	l.Wait(2*soon, "enough sent and taken in", func() bool {
		return len(f.ended) > 0 || f.sent.Load() >= int64(senders) && taken() >= senders/4
	})
	sent, err := f.end()
	if err != nil {
		t.Fatal(err)
	}
	// What still waits in its queue comes before anybody who asks now.
	l.Wait(soon, "the broker's queue empty", func() bool { return l.broker.queued(loadPort) == 0 })
	after := b.Usage()
	_, full := l.broker.received()
	t.Logf("%d sent, %d taken in, %d dropped by the kernel; resident %d kB before, %d kB after; %d threads",
		sent, taken(), full-lost, idle.RSS>>10, after.RSS>>10, after.Threads)
	if after.RSS > idle.RSS+4<<20 {
		t.Errorf("resident memory grew from %d to %d kB", idle.RSS>>10, after.RSS>>10)
	}
	// As clients do, it asks until it is answered: what the last of the flood has used up of the answers a second comes again.
	p = l.clients.peer(0, netip.AddrPortFrom(l.broker.Addr6, loadPort))
	l.Wait(soon, "a cookie after the flood", func() bool {
		p.send(wire.AppendCookieRequest(nil))
		return len(p.times(wire.TypeCookie)) > 0
	})
	p.connect("two", 2, wire.UniqueSessionID)
}

// rawTo makes a socket that sends whole IPv6 packets.
func rawTo(at netip.Addr) (int, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return -1, err
	}
	return fd, unix.Connect(fd, &unix.SockaddrInet6{Addr: at.As16()})
}

// forge makes an IPv6 packet with a UDP datagram, from number 0 of the senders that do not exist.
func forge(to netip.Addr, payload []byte) []byte {
	length := 8 + len(payload)
	b := []byte{0x60, 0, 0, 0, byte(length >> 8), byte(length), unix.IPPROTO_UDP, 64, 0x20, 0x01, 0x0d, 0xb8}
	b = append(b, make([]byte, 12)...)
	dst := to.As16()
	b = append(b, dst[:]...)
	b = append(b, 0x30, 0x39, loadPort>>8, loadPort&0xff, byte(length>>8), byte(length), 0, 0)
	b = append(b, payload...)
	from(b, 0)
	sum := uint32(length) + unix.IPPROTO_UDP
	for i := 8; i < len(b); i++ { // the addresses and all that follows
		sum += uint32(b[i]) << (8 * (1 - i%2))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(b[46:], ^uint16(sum))
	return b
}

// from gives a packet another sender, in a network of its own, out of the upper half of the documentation prefix. What is added at one place of the
// address is taken away at another, so that the checksum stays.
func from(packet []byte, number uint32) {
	binary.BigEndian.PutUint32(packet[12:], number|1<<31)
	binary.BigEndian.PutUint32(packet[20:], ^(number | 1<<31))
}
