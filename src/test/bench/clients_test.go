//go:build bench

package bench

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sort"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/wire"
)

const retry = 2 * time.Second // as clients in the field repeat COOKIE and PREPARE

// swarm is many light clients in one loop: the protocol, and no kernel tunnels of their own.
type swarm struct {
	t       testing.TB
	epoll   int
	clients []client
	resent  int // requests that had to be repeated
	buf     [2048]byte
}

type client struct {
	fd      int
	request []byte // what it waits for an answer to, nil: nothing
	sent    time.Duration
	tunnel  uint32 // 0: none
}

// newSwarm makes n clients at the ports from first on. It is to be called in the clients' network namespace.
func newSwarm(t testing.TB, first, server netip.AddrPort, n int) *swarm {
	t.Helper()
	raiseFiles(t, 2*n+100)
	s := &swarm{t: t, clients: make([]client, n)}
	var err error
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	for i := range s.clients {
		c := &s.clients[i]
		if c.fd, err = bareSocket(netip.AddrPortFrom(first.Addr(), first.Port()+uint16(i)), server); err != nil {
			t.Fatalf("client %d at %v: %v", i, first, err)
		}
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, c.fd, &ev); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.close)
	return s
}

func (s *swarm) close() {
	if s.epoll < 0 {
		return
	}
	for i := range s.clients {
		unix.Close(s.clients[i].fd)
	}
	s.clients = nil
	unix.Close(s.epoll)
	s.epoll = -1
}

// connect has every client ask for a cookie and a tunnel, at most so many at a time, and tells how long all of it took.
func (s *swarm) connect(window int) time.Duration {
	s.t.Helper()
	began := now()
	asked, up := 0, 0
	var events [256]unix.EpollEvent
	for looked := began; up < len(s.clients); {
		for asked < len(s.clients) && asked-up < window {
			s.ask(&s.clients[asked], wire.AppendCookieRequest(nil))
			asked++
		}
		n := wait(s.epoll, events[:], 100*time.Millisecond)
		at := now()
		for i := range events[:n] {
			up += s.take(&s.clients[events[i].Fd], uint32(events[i].Fd))
		}
		if at-began > time.Minute {
			s.t.Fatalf("%d of %d clients are connected after a minute, %d requests were repeated", up, len(s.clients), s.resent)
		}
		if at-looked > 100*time.Millisecond {
			looked = at
			for i := range s.clients {
				if c := &s.clients[i]; c.request != nil && at-c.sent >= retry {
					s.resent++
					s.ask(c, c.request)
				}
			}
		}
	}
	return now() - began
}

func (s *swarm) ask(c *client, request []byte) {
	c.request, c.sent = request, now()
	send(c.fd, request)
}

// take reads one datagram; it is 1 when it brought the client's tunnel.
func (s *swarm) take(c *client, number uint32) int {
	n := receive(c.fd, s.buf[:])
	m, err := wire.Parse(s.buf[:max(n, 0)])
	if n < 0 || err != nil {
		return 0
	}
	switch m.Type {
	case wire.TypeCookie:
		if c.tunnel == 0 {
			uuid := fmt.Appendf(nil, "client-%d", number)
			s.ask(c, wire.AppendPrepare(nil, m.Payload, uuid, 1000+number, wire.UniqueSessionID))
		}
	case wire.TypeTunnel:
		if id, _, err := wire.ParseTunnel(m.Payload); err == nil && c.tunnel == 0 {
			c.tunnel, c.request = id, nil
			return 1
		}
	case wire.TypeError:
		s.t.Fatalf("client %d (tunnel %d) got ERROR", number, c.tunnel)
	case wire.TypePMTUD:
		send(c.fd, wire.AppendPMTUDAck(nil, uint16(m.Size)))
	}
	return 0
}

// answer reads all that is waiting and answers probes, for some time.
func (s *swarm) answer(during time.Duration) {
	var events [256]unix.EpollEvent
	for end := now() + during; now() < end; {
		n := wait(s.epoll, events[:], max(0, end-now()))
		for i := range events[:n] {
			s.take(&s.clients[events[i].Fd], uint32(events[i].Fd))
		}
	}
}

// keepalives has every client send one keepalive per gap for some time, each at a phase of its own, as clients that know nothing of one another do,
// and returns how many were sent. What arrives meanwhile stays in the sockets' queues: see answer.
func (s *swarm) keepalives(gap, during time.Duration) int {
	phase := make([]time.Duration, len(s.clients))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range phase {
		phase[i] = time.Duration(random.Int64N(int64(gap)))
	}
	sort.Slice(phase, func(i, j int) bool { return phase[i] < phase[j] })
	message := wire.AppendClientKeepalive(nil, 0)
	sent := 0
	for began := now(); ; {
		due := began + time.Duration(sent/len(phase))*gap + phase[sent%len(phase)]
		if due-began >= during {
			return sent
		}
		if wait := due - now(); wait > 0 {
			ts := unix.NsecToTimespec(int64(wait))
			_ = unix.Nanosleep(&ts, nil)
		}
		message[9]++
		send(s.clients[sent%len(phase)].fd, message)
		sent++
	}
}

// wait waits without keeping a processor from the rest of the bench.
func wait(epoll int, events []unix.EpollEvent, timeout time.Duration) int {
	n, err := unix.EpollWait(epoll, events, int((timeout+time.Millisecond-1)/time.Millisecond))
	if err != nil {
		return 0
	}
	return n
}

func send(fd int, message []byte) {
	unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&message[0])), uintptr(len(message)), unix.MSG_DONTWAIT, 0, 0)
}

// receive returns -1 when nothing is there.
func receive(fd int, buf []byte) int {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return -1
	}
	return int(n)
}

func raiseFiles(t testing.TB, n int) {
	t.Helper()
	limit := unix.Rlimit{}
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if want := uint64(n); limit.Cur < want {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: want, Max: max(want, limit.Max)}); err != nil {
			t.Fatalf("this takes %d open files: %v", n, err)
		}
	}
}
