package forward

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
	"tunneldigger/src/sockaddr"
)

// buffers is how much a socket may hold in each direction: some milliseconds of a fast link, in which a worker does not get a processor.
const buffers = 8 << 20

// largestMessage is how long control messages are that are no probes, at most: a header of 6 bytes and 255 of payload.
const largestMessage = 261

// Listener is the sockets that share one address and port, one for each worker. Its methods are for the Engine's owner.
type Listener struct {
	engine   *Engine
	local    netip.AddrPort
	wildcard bool
	sockets  []*socket // all
	senders  []*socket // by worker
	// Tag is the owner's.
	Tag uint32
}

// socket is one of a listener's.
type socket struct {
	fd       int
	listener *Listener
	worker   int // that reads it
	slot     int // there
	holders  atomic.Int32
	plain    atomic.Bool // the kernel or the device does not cut trains
}

// release is called by each worker that does not use the socket any more; the last one closes it.
func (s *socket) release() {
	if s.holders.Add(-1) == 0 {
		_ = unix.Close(s.fd)
	}
}

// Listen binds sockets to addr, and to device unless that is empty. An unspecified address stands for every one of its family; zones are interface
// indices in decimal. Others of the same user that set SO_REUSEPORT may have the port too. The error wraps the errno.
func (e *Engine) Listen(addr netip.AddrPort, device string) (*Listener, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	var fds []int
	for range e.workers {
		fd, err := open(addr, device)
		if err == nil && addr.Port() == 0 { // the kernel chose one: the others are to have the same
			var local netip.AddrPort
			local, err = bound(fd)
			addr = netip.AddrPortFrom(addr.Addr(), local.Port())
		}
		if err != nil {
			closeAll(fds)
			at := addr.String()
			if device != "" {
				at += " on " + device
			}
			return nil, phrase.Errorf("listen on %s: %w", at, err)
		}
		fds = append(fds, fd)
	}
	l, err := e.AdoptListener(fds)
	if err == nil {
		l.Open()
	}
	return l, err
}

// AdoptListener takes over the sockets of a listener, of which there is one at least, made by Listen in this process or in one before it, or
// connected by the caller. They are the Engine's from then on, also when there is an error. What has come to them waits for Open, so that
// tunnels can be added first.
func (e *Engine) AdoptListener(fds []int) (*Listener, error) {
	var local netip.AddrPort
	err := errors.New("no socket")
	for _, fd := range fds {
		if local, err = bound(fd); err == nil {
			err = prepare(fd, local.Addr().Is4())
		}
		if err != nil {
			closeAll(fds)
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	l := &Listener{engine: e, local: local, wildcard: local.Addr().IsUnspecified()}
	for i, fd := range fds {
		s := &socket{fd: fd, listener: l, worker: i % len(e.workers)}
		s.holders.Store(int32(len(e.workers)))
		l.sockets = append(l.sockets, s)
	}
	for i := range e.workers {
		l.senders = append(l.senders, l.sockets[i%len(fds)])
	}
	return l, nil
}

// Open has the sockets read.
func (l *Listener) Open() {
	for _, s := range l.sockets {
		l.engine.workers[s.worker].do(change{socket: s})
	}
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

func open(addr netip.AddrPort, device string) (fd int, err error) {
	var sa sockaddr.Address
	if err := sa.Set(addr); err != nil {
		return -1, err
	}
	if fd, err = unix.Socket(int(sa.Raw.Family), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_UDP); err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return fd, err
	}
	if addr.Addr().Is6() {
		if err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return fd, err
		}
	}
	if addr.Addr().IsUnspecified() {
		level, name := unix.IPPROTO_IP, unix.IP_PKTINFO
		if addr.Addr().Is6() {
			level, name = unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO
		}
		if err = unix.SetsockoptInt(fd, level, name, 1); err != nil {
			return fd, err
		}
	}
	for _, name := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, name[0], buffers) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, name[1], buffers) // as much as is allowed
		}
	}
	if device != "" {
		if err = unix.BindToDevice(fd, device); err != nil {
			return fd, err
		}
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&sa.Raw)), uintptr(sa.Len)); errno != 0 {
		return fd, errno
	}
	return fd, nil
}

// prepare sets what a socket needs for carrying frames: what is too large for the path is cut on the way, whatever path MTU the kernel knows, as
// with the kernel's own tunnels; what routers say is in the error queue.
func prepare(fd int, v4 bool) error {
	level, name := unix.IPPROTO_IP, unix.IP_RECVERR
	if !v4 {
		level, name = unix.IPPROTO_IPV6, unix.IPV6_RECVERR
	}
	if err := Whole(fd, v4, false); err != nil {
		return phrase.Errorf("turn path MTU discovery off: %w", err)
	}
	if err := unix.SetsockoptInt(fd, level, name, 1); err != nil {
		return phrase.Errorf("have errors queued: %w", err)
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1) // where there is none, datagrams come one by one
	return nil
}

// Whole says whether datagrams that a socket sends from now on have to stay whole: with DF, or EMSGSIZE.
func Whole(fd int, v4, on bool) error {
	value := unix.IP_PMTUDISC_OMIT
	if on {
		value = unix.IP_PMTUDISC_PROBE
	}
	if v4 {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, value)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, value) // the values are the same
}

// bound is the address that a socket is bound to.
func bound(fd int) (netip.AddrPort, error) {
	sa := sockaddr.Address{Len: unix.SizeofSockaddrInet6}
	if _, _, errno := unix.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&sa.Raw)), uintptr(unsafe.Pointer(&sa.Len))); errno != 0 {
		return netip.AddrPort{}, phrase.Errorf("getsockname: %w", errno)
	}
	local := sa.Get()
	if !local.IsValid() {
		return netip.AddrPort{}, phrase.Errorf("descriptor %d is no UDP socket: %w", fd, unix.EAFNOSUPPORT)
	}
	return local, nil
}

// Addr is the address that the sockets are bound to, with the port that the kernel chose if 0 was asked for.
func (l *Listener) Addr() netip.AddrPort { return l.local }

// FDs are the sockets' descriptors, to hand over; they stay the Engine's.
func (l *Listener) FDs() []int {
	fds := make([]int, len(l.sockets))
	for i, s := range l.sockets {
		fds[i] = s.fd
	}
	return fds
}

// Send sends one datagram to peer, from local where the listener is for every address. The error is a bare errno.
func (l *Listener) Send(local netip.Addr, peer netip.AddrPort, data []byte) error {
	var a address
	if err := a.set(l.wildcard, local, peer); err != nil {
		return err
	}
	return l.send(&a, data)
}

// send tries again once where an error is an earlier datagram's: routers' complaints about anybody's fall to whoever sends next.
func (l *Listener) send(a *address, data []byte) error {
	var c controls
	var m message
	// A probe is to find out what passes whole. That a frame which a worker sends at the same moment has to do so too does not matter.
	if fd, v4 := l.sockets[0].fd, l.local.Addr().Is4(); len(data) > largestMessage {
		_ = Whole(fd, v4, true)
		defer func() { _ = Whole(fd, v4, false) }()
	}
	for try := 0; ; try++ {
		errno := m.send(l.sockets[0].fd, a, &c, data, 0)
		if try == 3 || errno != unix.EINTR && !another(errno) {
			if errno == 0 {
				return nil
			}
			return errno
		}
	}
}

// another reports whether an error may be an earlier datagram's fate.
func another(errno unix.Errno) bool {
	switch errno {
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EPROTO, unix.EMSGSIZE, unix.EACCES, unix.EHOSTDOWN, unix.ENOPROTOOPT, unix.EOPNOTSUPP:
		return true
	}
	return false
}

// Close closes the sockets soon, once what has come is taken in and no worker uses them any more. Tunnels that send by them must have been
// given another listener.
func (l *Listener) Close() {
	for _, s := range l.sockets {
		for _, w := range l.engine.workers {
			w.do(change{socket: s, remove: true})
		}
	}
}

// shut has the socket receive nothing more, so that all goes to others that share its port.
func (s *socket) shut() {
	to := s.listener.local
	if s.listener.wildcard { // to itself: nobody else is heard then
		to = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), to.Port())
		if s.listener.local.Addr().Is6() {
			to = netip.AddrPortFrom(netip.IPv6Loopback(), to.Port())
		}
	}
	var sa sockaddr.Address
	if sa.Set(to) == nil {
		_, _, _ = unix.RawSyscall(unix.SYS_CONNECT, uintptr(s.fd), uintptr(unsafe.Pointer(&sa.Raw)), uintptr(sa.Len))
	}
}
