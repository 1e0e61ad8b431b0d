package forward

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/offload"
	"tunneldigger/src/sockaddr"
)

const (
	receives = 16   // reads from a socket in a turn
	maxFrame = 9216 // bytes: the largest tunnel MTU is 8946, and a frame may have VLAN tags
)

// receive takes in what a socket has, up to a bound; it reports whether there may be more.
func (w *worker) receive(s *socket, faulty bool) (more bool) {
	if faulty {
		w.complaints(s)
	}
	var k key
	port := s.listener.local.Port()
	for range receives {
		n, segment, local, ok, errno := w.arrival.receive(s.fd, w.in, s.listener.wildcard)
		if more = errno != unix.EAGAIN; !more {
			break
		}
		if errno != 0 {
			continue // an earlier datagram's fate, cleared by this
		}
		if !ok {
			if n > 0 && w.arrival.message.hdr.Flags&unix.MSG_TRUNC != 0 {
				w.drop(DropOversize, 1)
			}
			continue
		}
		if !s.listener.wildcard {
			local = s.listener.local.Addr()
		}
		k.peer(&w.arrival.from)
		k.local(local, port)
		t := w.tunnels[k]
		told := false // the owner of data that is nobody's
		for rest := w.in[:n]; len(rest) > 0; {
			d := rest[:min(segment, len(rest))]
			rest = rest[len(d):]
			reason := Drop(-1)
			switch {
			case d[0]&0x80 != 0:
				w.other(s, t, netip.AddrPortFrom(local, port), d)
				continue
			case t == nil:
				reason = DropStranger
			default:
				reason = t.refuse(d)
			}
			if reason >= 0 {
				w.drop(reason, 1)
				if (reason == DropStranger || reason == DropSession) && !told {
					told = true
					w.other(s, t, netip.AddrPortFrom(local, port), d)
				}
				continue
			}
			w.joiner.NoUDP = !t.segs
			w.joiner.Add(t, d)
		}
	}
	w.joiner.Flush()
	return more
}

// refuse is why a datagram of data is none of the tunnel's, -1 if it is one.
func (t *Tunnel) refuse(d []byte) Drop {
	switch {
	case len(d) < offload.HeaderSize+14:
		return DropRunt
	case len(d) > offload.HeaderSize+maxFrame:
		return DropOversize
	case binary.BigEndian.Uint32(d) != 3<<16:
		return DropHeader
	case binary.BigEndian.Uint32(d[8:]) != 0:
		return DropSublayer
	case binary.BigEndian.Uint32(d[4:]) != t.session:
		return DropSession
	}
	return -1
}

// other gives the owner what is not a tunnel's data. Data of nobody, or of another session, he may answer: somebody takes himself for
// connected.
func (w *worker) other(s *socket, t *Tunnel, local netip.AddrPort, d []byte) {
	local = netip.AddrPortFrom(sockaddr.WithScope(local.Addr(), w.arrival.index), local.Port())
	m := Mail{Listener: s.listener, Tunnel: t, Peer: w.arrival.from.Get(), Local: local}
	w.engine.post(w, &m, d)
}

// write gives a frame to its tunnel's TAP device.
func (w *worker) write(t *Tunnel, frame []byte) {
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(t.fd), uintptr(unsafe.Pointer(unsafe.SliceData(frame))), uintptr(len(frame)))
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			w.drop(DropInterface, 1)
		}
		return
	}
}

// complaints empties a socket's error queue: what routers, and our own devices, say of datagrams that were sent.
func (w *worker) complaints(s *socket) {
	for range receives {
		r := &w.arrival
		r.message.iov.Base = unsafe.SliceData(w.in)
		r.message.iov.SetLen(1)
		r.from.Raw.Family = unix.AF_UNSPEC
		m := &r.message.hdr
		*m = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&r.from.Raw)), Namelen: unix.SizeofSockaddrInet6, Iov: &r.message.iov, Control: &w.frame[0]}
		m.SetIovlen(1)
		m.SetControllen(512)
		if _, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(s.fd), uintptr(unsafe.Pointer(m)), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT); errno != 0 {
			break
		}
		if mtu, local := complaint(w.frame[:min(int(m.Controllen), 512)]); mtu > 0 {
			w.tooBig(s, local, mtu)
		}
	}
	_, _ = unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR) // cleared by this
}

// complaint finds the path MTU in the control messages of an entry of the error queue, 0 if it is about something else, and our address if it
// is said.
func complaint(control []byte) (mtu int, local netip.Addr) {
	for len(control) >= unix.CmsgLen(0) {
		h := (*unix.Cmsghdr)(unsafe.Pointer(unsafe.SliceData(control)))
		size := int(h.Len)
		if size < unix.CmsgLen(0) || size > len(control) {
			break
		}
		data := unsafe.Add(unsafe.Pointer(h), unix.CmsgLen(0))
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_RECVERR, h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_RECVERR:
			if e := (*unix.SockExtendedErr)(data); unix.Errno(e.Errno) == unix.EMSGSIZE {
				mtu = int(min(e.Info, 65535))
			}
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO:
			local = netip.AddrFrom4((*unix.Inet4Pktinfo)(data).Addr)
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO:
			local = netip.AddrFrom16((*unix.Inet6Pktinfo)(data).Addr)
		}
		control = control[min(unix.CmsgSpace(size-unix.CmsgLen(0)), len(control)):]
	}
	return mtu, local
}

// tooBig tells the owner of a path's MTU, for each tunnel on that path.
func (w *worker) tooBig(s *socket, local netip.Addr, mtu int) {
	peer := w.arrival.from.Get()
	if !peer.IsValid() {
		return
	}
	tell := func(t *Tunnel) {
		w.engine.post(w, &Mail{Listener: s.listener, Tunnel: t, Peer: peer, PathMTU: mtu}, nil)
	}
	if !s.listener.wildcard {
		local = s.listener.local.Addr()
	}
	var k key
	k.peer(&w.arrival.from)
	k.local(local, s.listener.local.Port())
	if t := w.tunnels[k]; t != nil {
		tell(t)
		return
	}
	// The kernel does not say which address of ours it was: any of the tunnels with this peer.
	for other, t := range w.tunnels {
		if [16]byte(other[:16]) == [16]byte(k[:16]) && [4]byte(other[32:36]) == [4]byte(k[32:36]) {
			tell(t)
		}
	}
}
