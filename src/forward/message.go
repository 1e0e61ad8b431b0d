package forward

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/sockaddr"
)

// controls is room for a packet info and another control message, aligned for their headers.
type controls [12]uint64

// address is where datagrams go and, with packet info, where they come from, as sendmsg(2) wants both.
type address struct {
	name sockaddr.Address
	info [5]uint64 // a control message
	size int       // bytes of it, 0: none
}

func (a *address) set(info bool, local netip.Addr, peer netip.AddrPort) error {
	if err := a.name.Set(peer); err != nil {
		return err
	}
	a.size = 0
	local = local.Unmap()
	if !info || !local.IsValid() || local.IsUnspecified() {
		return nil
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&a.info))
	data := unsafe.Add(unsafe.Pointer(h), unix.CmsgLen(0))
	if local.Is4() {
		h.Level, h.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
		h.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		*(*unix.Inet4Pktinfo)(data) = unix.Inet4Pktinfo{Spec_dst: local.As4()}
		a.size = unix.CmsgSpace(unix.SizeofInet4Pktinfo)
		return nil
	}
	index, err := sockaddr.ScopeID(local)
	if err != nil {
		return err
	}
	h.Level, h.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
	h.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
	*(*unix.Inet6Pktinfo)(data) = unix.Inet6Pktinfo{Addr: local.As16(), Ifindex: index}
	a.size = unix.CmsgSpace(unix.SizeofInet6Pktinfo)
	return nil
}

// message is a msghdr with its iovec.
type message struct {
	hdr unix.Msghdr
	iov unix.Iovec
}

// send sends data, cut by the kernel into datagrams of segment bytes if that is not 0. It does not wait.
func (m *message) send(fd int, a *address, c *controls, data []byte, segment int) unix.Errno {
	m.iov.Base = unsafe.SliceData(data)
	m.iov.SetLen(len(data))
	m.hdr = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&a.name.Raw)), Namelen: a.name.Len, Iov: &m.iov}
	m.hdr.SetIovlen(1)
	size := a.size
	if segment != 0 || size != 0 {
		copy(c[:], a.info[:])
		if segment != 0 {
			h := (*unix.Cmsghdr)(unsafe.Add(unsafe.Pointer(c), size))
			h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
			h.SetLen(unix.CmsgLen(2))
			*(*uint16)(unsafe.Add(unsafe.Pointer(h), unix.CmsgLen(0))) = uint16(segment)
			size += unix.CmsgSpace(2)
		}
		m.hdr.Control = (*byte)(unsafe.Pointer(c))
		m.hdr.SetControllen(size)
	}
	_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.hdr)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	return errno
}

// arrival is what recvmsg says beside the data.
type arrival struct {
	from     sockaddr.Address
	index    uint32 // of the interface, IPv6
	controls controls
	message  message
}

// receive reads into buf, without waiting. segment is the length of each of several datagrams but the last, n if there is one only.
// local is where it was sent to, as packet info has it; ok is false for broadcast and multicast.
func (r *arrival) receive(fd int, buf []byte, info bool) (n, segment int, local netip.Addr, ok bool, errno unix.Errno) {
	m := &r.message
	m.iov.Base = unsafe.SliceData(buf)
	m.iov.SetLen(len(buf))
	m.hdr = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&r.from.Raw)), Namelen: unix.SizeofSockaddrInet6, Iov: &m.iov, Control: (*byte)(unsafe.Pointer(&r.controls))}
	m.hdr.SetIovlen(1)
	m.hdr.SetControllen(int(unsafe.Sizeof(r.controls)))
	got, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.hdr)), unix.MSG_DONTWAIT)
	if errno != 0 {
		return 0, 0, local, false, errno
	}
	n, segment, ok = int(got), int(got), !info
	r.index = 0
	if m.hdr.Flags&unix.MSG_TRUNC != 0 {
		return n, n, local, false, 0
	}
	rest := unsafe.Slice((*byte)(unsafe.Pointer(&r.controls)), min(int(m.hdr.Controllen), int(unsafe.Sizeof(r.controls))))
	for len(rest) >= unix.CmsgLen(0) {
		h := (*unix.Cmsghdr)(unsafe.Pointer(unsafe.SliceData(rest)))
		size := int(h.Len)
		if size < unix.CmsgLen(0) || size > len(rest) {
			break
		}
		data := unsafe.Add(unsafe.Pointer(h), unix.CmsgLen(0))
		switch {
		case h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO:
			if s := int(*(*int32)(data)); s > 0 {
				segment = min(s, n)
			}
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO:
			i := (*unix.Inet4Pktinfo)(data)
			// Spec_dst is the address to answer from; it is the header's destination exactly when that is an address of ours.
			local, ok = netip.AddrFrom4(i.Addr), i.Addr == i.Spec_dst
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO:
			i := (*unix.Inet6Pktinfo)(data)
			local = netip.AddrFrom16(i.Addr)
			ok = !local.IsMulticast()
			r.index = i.Ifindex
		}
		rest = rest[min(unix.CmsgSpace(size-unix.CmsgLen(0)), len(rest)):]
	}
	return n, segment, local, ok, 0
}
