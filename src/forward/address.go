package forward

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockaddr is an address and port as the kernel takes and gives it: struct sockaddr_in or sockaddr_in6 in the space of the larger one.
type sockaddr struct {
	raw unix.RawSockaddrInet6
	len uint32
}

func (s *sockaddr) v4() *unix.RawSockaddrInet4 {
	return (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
}

// set makes s the address ap, whose zone is an interface index in decimal.
func (s *sockaddr) set(ap netip.AddrPort) error {
	addr := ap.Addr().Unmap()
	switch {
	case addr.Is4():
		*s.v4() = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: addr.As4()}
		s.len = unix.SizeofSockaddrInet4
	case addr.Is6():
		scope, err := scope(addr)
		if err != nil {
			return err
		}
		s.raw = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: addr.As16(), Scope_id: scope}
		s.len = unix.SizeofSockaddrInet6
	default:
		return unix.EINVAL
	}
	*(*[2]byte)(unsafe.Pointer(&s.raw.Port)) = [2]byte{byte(ap.Port() >> 8), byte(ap.Port())}
	return nil
}

// get is the inverse of set.
func (s *sockaddr) get() netip.AddrPort {
	p := (*[2]byte)(unsafe.Pointer(&s.raw.Port))
	port := uint16(p[0])<<8 | uint16(p[1])
	switch s.raw.Family {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4(s.v4().Addr), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(zoned(netip.AddrFrom16(s.raw.Addr), s.raw.Scope_id), port)
	}
	return netip.AddrPort{}
}

// zoned gives a link-local address its interface index as zone. Only that case allocates.
func zoned(addr netip.Addr, index uint32) netip.Addr {
	if index == 0 || !addr.Is6() || !addr.IsLinkLocalUnicast() {
		return addr
	}
	return addr.WithZone(strconv.FormatUint(uint64(index), 10))
}

func scope(addr netip.Addr) (uint32, error) {
	if addr.Zone() == "" {
		return 0, nil
	}
	index, err := strconv.ParseUint(addr.Zone(), 10, 32)
	if err != nil {
		return 0, unix.EINVAL
	}
	return uint32(index), nil
}

// key is what tells tunnels apart: the peer's address, our address, the peer's port, ours, and the peer's scope.
type key [40]byte

func (k *key) peer(s *sockaddr) {
	clear(k[:16])
	if s.raw.Family == unix.AF_INET {
		*(*[4]byte)(k[:]) = s.v4().Addr
	} else {
		*(*[16]byte)(k[:]) = s.raw.Addr
		binary.NativeEndian.PutUint32(k[36:], s.raw.Scope_id)
	}
	*(*[2]byte)(k[32:]) = *(*[2]byte)(unsafe.Pointer(&s.raw.Port))
}

func (k *key) local(addr netip.Addr, port uint16) {
	clear(k[16:32])
	if addr.Is4() {
		*(*[4]byte)(k[16:]) = addr.As4()
	} else {
		*(*[16]byte)(k[16:]) = addr.As16()
	}
	binary.BigEndian.PutUint16(k[34:], port)
}

// newKey is the key of a tunnel.
func newKey(peer, local netip.AddrPort) (k key, err error) {
	var s sockaddr
	if err := s.set(peer); err != nil {
		return key{}, err
	}
	if s.raw.Family == unix.AF_INET6 && !peer.Addr().IsLinkLocalUnicast() {
		s.raw.Scope_id = 0
	}
	k.peer(&s)
	k.local(local.Addr().Unmap(), local.Port())
	return k, nil
}
