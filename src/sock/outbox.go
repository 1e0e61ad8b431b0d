package sock

import (
	"errors"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/sockaddr"
)

const queued = 64 // bytes of a datagram that Queue can keep

// outbox holds answers until they go out in one system call.
type outbox struct {
	_     [0]func() // not to be compared: that would be code for nothing
	msgs  [Batch]mmsghdr
	slots [Batch]outSlot
	n     int
	sent  int   // since the last Flush
	err   error // first one since the last Flush
}

type outSlot struct {
	addr    sockaddr.Address
	iov     unix.Iovec
	control control
	data    [queued]byte
}

func (o *outbox) init() {
	for i := range o.slots {
		s := &o.slots[i]
		h := &o.msgs[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&s.addr.Raw))
		h.Iov = &s.iov
		h.SetIovlen(1)
	}
}

// prepare fills header i with everything but the data.
func (o *outbox) prepare(i int, pktinfo bool, local netip.Addr, peer netip.AddrPort) error {
	s := &o.slots[i]
	if err := s.addr.Set(peer); err != nil {
		return err
	}
	h := &o.msgs[i].hdr
	h.Namelen = s.addr.Len
	h.Control = nil
	h.SetControllen(0)
	if !pktinfo || !local.IsValid() || local.IsUnspecified() {
		return nil
	}
	c := (*unix.Cmsghdr)(unsafe.Pointer(&s.control))
	data := unsafe.Pointer(uintptr(unsafe.Pointer(c)) + uintptr(unix.CmsgLen(0)))
	var size int
	if local.Is4() || local.Is4In6() {
		size = unix.SizeofInet4Pktinfo
		c.Level, c.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
		*(*unix.Inet4Pktinfo)(data) = unix.Inet4Pktinfo{Spec_dst: local.As4()}
	} else {
		size = unix.SizeofInet6Pktinfo
		index, err := sockaddr.ScopeID(local)
		if err != nil {
			return err
		}
		c.Level, c.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
		*(*unix.Inet6Pktinfo)(data) = unix.Inet6Pktinfo{Addr: local.As16(), Ifindex: index}
	}
	c.SetLen(unix.CmsgLen(size))
	h.Control = (*byte)(unsafe.Pointer(c))
	h.SetControllen(unix.CmsgSpace(size))
	return nil
}

// Send sends data to peer, from local when the Listener is a wildcard (its Datagram's Local; for a link-local address the zone is
// the interface). It overtakes what is queued. The error is a bare errno: EAGAIN and ENOBUFS when there is no room,
// EMSGSIZE, EINVAL for an address of the wrong family or one that is not local any more, ENETUNREACH and the like.
func (l *Listener) Send(local netip.Addr, peer netip.AddrPort, data []byte) error {
	if l.out.n == Batch {
		l.flush()
	}
	i := l.out.n // a free slot
	if err := l.out.prepare(i, l.wildcard, local, peer); err != nil {
		return err
	}
	s := &l.out.slots[i]
	s.iov.Base = unsafe.SliceData(data)
	s.iov.SetLen(len(data))
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(l.fd), uintptr(unsafe.Pointer(&l.out.msgs[i].hdr)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if errno == unix.EINTR {
			continue
		}
		s.iov.Base = nil
		if errno != 0 {
			return errno
		}
		return nil
	}
}

// Queue keeps a copy of data until Flush, or until there are 32. Data of more than 64 bytes goes out at once. Errors are Flush's.
func (l *Listener) Queue(local netip.Addr, peer netip.AddrPort, data []byte) {
	if len(data) > queued {
		l.out.note(l.Send(local, peer, data))
		return
	}
	if err := l.out.prepare(l.out.n, l.wildcard, local, peer); err != nil {
		l.out.note(err)
		return
	}
	s := &l.out.slots[l.out.n]
	s.iov.Base = &s.data[0]
	s.iov.SetLen(copy(s.data[:], data))
	l.out.n++
	if l.out.n == Batch {
		l.flush()
	}
}

// Flush sends what is queued and returns how many datagrams went out since the last Flush, and the first error. A datagram that
// cannot be sent is dropped and the others go on; when the socket has no room (EAGAIN) the rest is dropped.
func (l *Listener) Flush() (sent int, err error) {
	l.flush()
	sent, err = l.out.sent, l.out.err
	l.out.sent, l.out.err = 0, nil
	return sent, err
}

func (o *outbox) note(err error) {
	if err == nil {
		o.sent++
	} else if o.err == nil {
		o.err = err
	}
}

func (l *Listener) flush() {
	o := &l.out
	for first := 0; first < o.n; {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(l.fd), uintptr(unsafe.Pointer(&o.msgs[first])), uintptr(o.n-first),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			o.sent += int(n)
			first += int(n)
		case unix.EINTR:
		case unix.EAGAIN:
			o.note(errno)
			first = o.n
		default: // the first message failed, the others have not been tried
			o.note(errno)
			first++
		}
	}
	o.n = 0
}

func isErrno(err error, errno unix.Errno) bool { return errors.Is(err, errno) }
