package agent

import (
	"errors"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/client"
	"tunneldigger/src/forward"
	"tunneldigger/src/logline"
	"tunneldigger/src/phrase"
	"tunneldigger/src/resolve"
)

// maxDatagram is larger than any probe.
const maxDatagram = 2048

// broker is what an Agent knows of one of its brokers.
type broker struct {
	index  int
	name   string // as configured
	host   string
	port   uint16
	round  int // of Open and Close; what earlier lookups find is not wanted any more
	socket *socket
	heard  bool  // something came through the socket
	first  int   // which of its addresses to try first
	last   error // logged last
}

// lookup hands in the addresses of a broker's host.
func (a *Agent) lookup(b *broker, host string, round int) {
	addrs, err := resolve.System.Lookup(host)
	select {
	case a.arrived <- arrival{broker: b, round: round, addrs: addrs, err: err}:
	case <-a.over:
	}
}

// connect opens a socket to the first address of b that can be reached from here.
func (a *Agent) connect(b *broker, addrs []netip.Addr, err error) client.Event {
	for i := range addrs {
		peer := netip.AddrPortFrom(addrs[(b.first+i)%len(addrs)].Unmap(), b.port)
		if b.socket, err = dial(a.cfg.Local, peer, a.cfg.Device); err == nil {
			b.heard = false
			go b.socket.read(a.arrived, b)
			return client.Event{Kind: client.Opened, Broker: b.index, V6: peer.Addr().Is6()}
		}
	}
	b.complain(a.log, "reach the broker", err)
	return client.Event{Kind: client.OpenFailed, Broker: b.index}
}

// close closes the socket of b. If nothing came through it, another of the
// broker's addresses is tried next time.
func (b *broker) close() {
	b.round++
	if b.socket == nil {
		return
	}
	if !b.heard {
		b.first++
	}
	b.socket.close()
	b.socket = nil
}

// complain logs err, unless it is the same as last time.
func (b *broker) complain(log *logline.Logger, what string, err error) {
	if b.last == nil || b.last.Error() != err.Error() {
		log.Warn(what, "broker", b.name, "error", err)
	}
	b.last = err
}

// socket is a UDP socket that is connected to a broker.
type socket struct {
	fd     int
	file   *os.File // owns fd; lets a goroutine wait for datagrams
	peer   netip.AddrPort
	shared bool          // with what carries frames
	taken  chan struct{} // the loop is done with the datagram
	closed chan struct{}
}

// dial makes a socket to peer, from local and through device if they are set.
// Its address is not shared with any other socket, and probes go out with DF
// and ignore the path MTU that the kernel knows.
func dial(local netip.Addr, peer netip.AddrPort, device string) (*socket, error) {
	family, level, option, probe := unix.AF_INET, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE
	if peer.Addr().Is6() {
		family, level, option, probe = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_UDP)
	if err != nil {
		return nil, phrase.Errorf("make a socket: %w", err)
	}
	if err := prepare(fd, level, option, probe, local, peer, device); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &socket{
		fd: fd, file: os.NewFile(uintptr(fd), peer.String()), peer: peer,
		taken: make(chan struct{}), closed: make(chan struct{}),
	}, nil
}

func prepare(fd, level, option, probe int, local netip.Addr, peer netip.AddrPort, device string) error {
	if err := unix.SetsockoptInt(fd, level, option, probe); err != nil {
		return phrase.Errorf("turn path MTU discovery on: %w", err)
	}
	if device != "" {
		if err := unix.BindToDevice(fd, device); err != nil {
			return phrase.Errorf("bind to device %s: %w", device, err)
		}
	}
	if local.IsValid() {
		if local.Unmap().Is4() != peer.Addr().Is4() {
			return phrase.Errorf("reach %s from %s: %w", peer.Addr(), local, unix.EAFNOSUPPORT)
		}
		if err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(local.Unmap(), 0))); err != nil {
			return phrase.Errorf("bind to %s: %w", local, err)
		}
	}
	if err := unix.Connect(fd, sockaddr(peer)); err != nil {
		return phrase.Errorf("connect to %s: %w", peer, err)
	}
	return nil
}

// sockaddr turns ap into what x/sys takes. A zone is an interface's index.
func sockaddr(ap netip.AddrPort) unix.Sockaddr {
	if ap.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
	for _, c := range []byte(ap.Addr().Zone()) {
		sa.ZoneId = sa.ZoneId*10 + uint32(c-'0')
	}
	return sa
}

// send sends one datagram. What ICMP said of an earlier one is reported by the
// first attempt to send the next, and is not this one's fault.
func (s *socket) send(data []byte) error {
	err := unix.Send(s.fd, data, unix.MSG_NOSIGNAL)
	for try := 0; err != nil && try < 2 && (errors.Is(err, unix.EINTR) || pending(err)); try++ {
		err = unix.Send(s.fd, data, unix.MSG_NOSIGNAL)
	}
	return err
}

// pending tells errors that ICMP brings.
func pending(err error) bool {
	for _, errno := range []unix.Errno{unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EMSGSIZE, unix.EPROTO} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// read hands in the datagrams of s until it is closed.
func (s *socket) read(arrived chan<- arrival, b *broker) {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, maxDatagram)
	for {
		n := 0
		var failed error
		if raw.Read(func(fd uintptr) bool {
			n, failed = unix.Read(int(fd), buf)
			return !errors.Is(failed, unix.EAGAIN)
		}) != nil {
			return // closed
		}
		if failed == nil && !s.deliver(arrived, b, buf[:n]) {
			return
		} // an error is what ICMP said of an earlier datagram
	}
}

// deliver hands in one datagram; false: the socket is closed.
func (s *socket) deliver(arrived chan<- arrival, b *broker, data []byte) bool {
	select {
	case arrived <- arrival{broker: b, socket: s, data: data}:
	case <-s.closed:
		return false
	}
	select {
	case <-s.taken:
		return true
	case <-s.closed:
		return false
	}
}

// leave ends read, as something else reads the socket from now on.
func (s *socket) leave() {
	s.shared = true
	_ = s.file.SetReadDeadline(time.Unix(1, 0))
}

// probe is send for a datagram that has to pass whole.
func (s *socket) probe(data []byte) error {
	if s.shared { // else it is the socket's way
		v4 := s.peer.Addr().Is4()
		_ = forward.Whole(s.fd, v4, true)
		defer func() { _ = forward.Whole(s.fd, v4, false) }()
	}
	return s.send(data)
}

func (s *socket) close() {
	close(s.closed)
	s.file.Close()
}
