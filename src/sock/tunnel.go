package sock

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
	"tunneldigger/src/sockaddr"
)

// strayBuf is the receive buffer of a tunnel's socket: the kernel doubles it and charges a small datagram about 768 bytes, so that
// it holds several hundred strangers' handshakes that arrive between bind and connect. It is only used while they wait.
const strayBuf = 256 << 10

// What a tunnel's socket has besides the shared options. Probes go out with DF and ignore the cached path MTU; "fragmentation
// needed" arrives in the error queue.
var (
	tunnel4 = []option{{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE}, {unix.IPPROTO_IP, unix.IP_RECVERR, 1}}
	tunnel6 = []option{{unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE}, {unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1}}
)

// Connect makes a tunnel's socket: non-blocking, closed on exec, bound to local (and device) next to the Listener there, connected to
// peer. Whatever Receive then yields from another address than peer was sent to the Listener. The descriptor belongs to
// the caller. The error wraps the errno: those of Listen, ENETUNREACH, EMFILE and ENFILE among them; it does not name the peer, as
// not everybody who reads it may know.
func Connect(local, peer netip.AddrPort, device string) (fd int, err error) {
	fd, err = openTunnel(local, device)
	if err == nil {
		err = connect(fd, peer)
	}
	if err != nil {
		return -1, phrase.Errorf("socket %s: %w", place(local, device), err)
	}
	return fd, nil
}

// openTunnel is the part of Connect before the window in which strangers' datagrams arrive: every option is set before bind.
func openTunnel(local netip.AddrPort, device string) (fd int, err error) {
	if local.Addr().Is6() && !local.Addr().Is4In6() {
		return open(local, device, strayBuf, shared6, tunnel6)
	}
	return open(local, device, strayBuf, shared4, tunnel4)
}

// connect is the part after it. It closes fd when it fails.
func connect(fd int, peer netip.AddrPort) error {
	var sa sockaddr.Address
	err := sa.Set(peer)
	if err == nil {
		_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa.Raw)), uintptr(sa.Len))
		if errno == 0 {
			return nil
		}
		err = phrase.Errorf("connect: %w", errno)
	}
	unix.Close(fd)
	return err
}

// Peer is the address a tunnel's socket is connected to, prepared for comparison.
type Peer struct {
	addr netip.AddrPort
	raw  sockaddr.Address
}

// NewPeer prepares addr. A zone that is not an interface index in decimal makes a Peer that nothing equals.
func NewPeer(addr netip.AddrPort) Peer {
	p := Peer{addr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())}
	if p.raw.Set(addr) != nil {
		p.raw.Raw.Family = unix.AF_UNSPEC
	}
	return p
}

// Addr is the address.
func (p *Peer) Addr() netip.AddrPort { return p.addr }

// Receive reads one datagram from a tunnel's socket into buf and tells its sender: own when that is peer, and otherwise its address
// in from, which is then a stranger who wrote to the Listener; from is only set for strangers. What does not fit into buf is lost. The error is
// a bare errno: EAGAIN when nothing is there; any other, such as ECONNREFUSED, is a pending error of the socket,
// cleared by this call.
func Receive(fd int, buf []byte, peer *Peer) (n int, own bool, from netip.AddrPort, err error) {
	var sa sockaddr.Address
	for {
		sa.Len = unix.SizeofSockaddrInet6
		r, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)),
			unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&sa.Raw)), uintptr(unsafe.Pointer(&sa.Len)))
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return 0, false, netip.AddrPort{}, errno
		case sa.Same(&peer.raw):
			return int(r), true, netip.AddrPort{}, nil
		}
		return int(r), false, sa.Get(), nil
	}
}

// Send sends data to the peer of a tunnel's socket. The error is a bare errno: EMSGSIZE when data does not fit into the device's MTU,
// EAGAIN and ENOBUFS when there is no room now, ECONNREFUSED and the like when an earlier datagram met that fate (data
// was not sent, and the error is cleared: a second call sends).
func Send(fd int, data []byte) error {
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(data))), uintptr(len(data)),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if errno == 0 {
			return nil
		}
		if errno != unix.EINTR {
			return errno
		}
	}
}
