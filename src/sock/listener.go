// Package sock has the broker's UDP sockets: listeners, which receive handshakes in batches and answer from the address that was
// asked, and tunnel sockets, which share a listener's address and port and are connected to one client (protocol.md, "Sockets").
// No call on an open socket blocks or allocates; none is safe for use by several goroutines at once, except on different sockets.
package sock

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
	"tunneldigger/src/sockaddr"
)

// Batch is how many datagrams one call of Receive takes, and Queue keeps.
const Batch = 32

const (
	slotSize    = 2048 // bytes of a received datagram; the largest message on the wire is a probe of 1500
	listenerBuf = 4 << 20
)

// mmsghdr is struct mmsghdr of recvmmsg(2); Go pads it as C does.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// control has room for one control message of either family's packet info, aligned for its header.
type control [5]uint64

// Datagram is one received datagram.
type Datagram struct {
	Peer  netip.AddrPort // the sender
	Local netip.AddrPort // where it was sent to, never a wildcard
	Data  []byte         // belongs to the Listener; a longer one than 2048 bytes is cut
}

// Listener is an unconnected UDP socket.
type Listener struct {
	fd       int
	local    netip.AddrPort // as bound
	wildcard bool

	in        [Batch]mmsghdr
	inIov     [Batch]unix.Iovec
	inAddr    [Batch]sockaddr.Address
	inControl [Batch]control
	inUsed    int // headers the kernel has written to
	buf       []byte
	datagrams [Batch]Datagram

	out outbox
}

// Listen binds a socket to addr, whose address may be unspecified: then it receives what is sent to any address of that family. Zones
// are interface indices in decimal. With a device it receives only from that one. It shares the port with every other
// socket of the same user that sets SO_REUSEPORT: see Busy. The error says where and wraps the errno: EADDRINUSE,
// EADDRNOTAVAIL (the address is not there, or not yet), ENODEV (no such device), EACCES or EPERM, EAFNOSUPPORT (no IPv6).
func Listen(addr netip.AddrPort, device string) (*Listener, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	options := [][]option{shared4}
	if addr.Addr().Is6() {
		options[0] = shared6
	}
	wildcard := addr.Addr().IsUnspecified()
	if wildcard {
		info := option{unix.IPPROTO_IP, unix.IP_PKTINFO, 1}
		if addr.Addr().Is6() {
			info = option{unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1}
		}
		options = append(options, []option{info})
	}
	fd, err := open(addr, device, listenerBuf, options...)
	if err != nil {
		return nil, phrase.Errorf("listen on %s: %w", place(addr, device), err)
	}
	l, err := FromFD(fd)
	if err != nil {
		unix.Close(fd)
		return nil, phrase.Errorf("listen on %s: %w", place(addr, device), err)
	}
	return l, nil
}

// FromFD makes a Listener of a socket that Listen made, in this process or in the one that handed it over. The descriptor belongs to
// the Listener from then on, unless there is an error.
func FromFD(fd int) (*Listener, error) {
	var sa sockaddr.Address
	sa.Len = unix.SizeofSockaddrInet6
	_, _, errno := unix.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&sa.Raw)), uintptr(unsafe.Pointer(&sa.Len)))
	if errno != 0 {
		return nil, phrase.Errorf("getsockname: %w", errno)
	}
	local := sa.Get()
	if !local.IsValid() {
		return nil, phrase.Errorf("descriptor %d is no UDP socket: %w", fd, unix.EAFNOSUPPORT)
	}
	l := &Listener{fd: fd, local: local, wildcard: local.Addr().IsUnspecified(), buf: make([]byte, Batch*slotSize), inUsed: Batch}
	for i := range l.in {
		l.inIov[i].Base = &l.buf[i*slotSize]
		l.inIov[i].SetLen(slotSize)
		h := &l.in[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&l.inAddr[i].Raw))
		h.Iov = &l.inIov[i]
		h.SetIovlen(1)
		if l.wildcard {
			h.Control = (*byte)(unsafe.Pointer(&l.inControl[i]))
		}
	}
	l.out.init()
	return l, nil
}

// Busy reports whether another socket, of this program too, has the port already. SO_REUSEPORT hides that from Listen, so a program
// that starts asks here first. The error is one of Listen's.
func Busy(addr netip.AddrPort, device string) (bool, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	var options []option
	if addr.Addr().Is6() {
		options = shared6[1:]
	}
	fd, err := open(addr, device, 0, options)
	if err == nil {
		return false, unix.Close(fd)
	}
	if isErrno(err, unix.EADDRINUSE) {
		return true, nil
	}
	return false, phrase.Errorf("listen on %s: %w", place(addr, device), err)
}

// FD is the descriptor, to watch; it belongs to the Listener.
func (l *Listener) FD() int { return l.fd }

// FDs is FD alone, as what has several sockets has it.
func (l *Listener) FDs() []int { return []int{l.fd} }

// Addr is the address the socket is bound to, with the port that the kernel chose if 0 was asked for.
func (l *Listener) Addr() netip.AddrPort { return l.local }

// Shut has the socket receive nothing more, so that all goes to others that share its port; what has come is still there. A socket
// that is just closed loses what comes between the last Receive and that, and more where a fork is under way, which holds it open.
func (l *Listener) Shut() error {
	to := l.local
	if l.wildcard { // to itself: nobody else is heard then
		to = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), to.Port())
		if l.local.Addr().Is6() {
			to = netip.AddrPortFrom(netip.IPv6Loopback(), to.Port())
		}
	}
	var sa sockaddr.Address
	if err := sa.Set(to); err != nil {
		return err
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(l.fd), uintptr(unsafe.Pointer(&sa.Raw)), uintptr(sa.Len)); errno != 0 {
		return errno
	}
	return nil
}

// Drain has the socket Shut, in vain where its interface has gone, and gives f what has come, in so many batches at most.
func (l *Listener) Drain(batches int, f func(*Datagram)) {
	_ = l.Shut()
	for ; batches > 0; batches-- {
		datagrams, faults := l.Receive()
		if len(datagrams) == 0 && faults == 0 {
			break
		}
		for i := range datagrams {
			f(&datagrams[i])
		}
	}
}

// Close closes the socket; what was queued and not flushed is lost.
func (l *Listener) Close() error { return unix.Close(l.fd) }

// Receive returns the datagrams that are waiting, at most 32 of them, and how many errors of the socket it met and cleared. What it
// returns is valid until the next call. Datagrams to a broadcast or multicast address are left out. When it returns only
// errors the caller had better not call again at once.
func (l *Listener) Receive() (datagrams []Datagram, faults int) {
	for i := range l.inUsed {
		h := &l.in[i].hdr
		h.Namelen = unix.SizeofSockaddrInet6
		if l.wildcard {
			h.SetControllen(int(unsafe.Sizeof(control{})))
		}
	}
	l.inUsed = 0
	for range 4 {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(l.fd), uintptr(unsafe.Pointer(&l.in)), Batch, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			l.inUsed = int(n)
			return l.collect(), faults
		case unix.EAGAIN:
			return nil, faults
		case unix.EINTR:
		default:
			faults++
		}
	}
	return nil, faults
}

// collect turns the headers the kernel has filled into datagrams.
func (l *Listener) collect() []Datagram {
	kept := 0
	for i := range l.inUsed {
		m := &l.in[i]
		d := &l.datagrams[kept]
		if l.wildcard {
			local, ok := l.destination(i)
			if !ok {
				continue
			}
			d.Local = local
		} else {
			d.Local = l.local
		}
		d.Peer = l.inAddr[i].Get()
		d.Data = l.buf[i*slotSize : i*slotSize+int(min(m.len, slotSize)) : (i+1)*slotSize]
		kept++
	}
	return l.datagrams[:kept]
}

// destination reads the packet info of header i: the local address of a datagram, false for broadcast and multicast.
func (l *Listener) destination(i int) (netip.AddrPort, bool) {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&l.inControl[i]))
	data := unsafe.Pointer(uintptr(unsafe.Pointer(h)) + uintptr(unix.CmsgLen(0)))
	room := int(l.in[i].hdr.Controllen)
	switch {
	case room >= unix.CmsgLen(unix.SizeofInet4Pktinfo) && h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO:
		info := (*unix.Inet4Pktinfo)(data)
		// Spec_dst is the address to answer from; it is the header's destination exactly when that is an address of ours.
		return netip.AddrPortFrom(netip.AddrFrom4(info.Addr), l.local.Port()), info.Addr == info.Spec_dst
	case room >= unix.CmsgLen(unix.SizeofInet6Pktinfo) && h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO:
		info := (*unix.Inet6Pktinfo)(data)
		addr := netip.AddrFrom16(info.Addr)
		return netip.AddrPortFrom(sockaddr.WithScope(addr, info.Ifindex), l.local.Port()), !addr.IsMulticast()
	}
	return netip.AddrPort{}, false
}
