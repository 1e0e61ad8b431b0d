package sock

import (
	"fmt"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockaddr is an address as the kernel takes and gives it: struct sockaddr_in or sockaddr_in6 in the space of the larger one.
type sockaddr struct {
	raw unix.RawSockaddrInet6
	len uint32 // of raw, in bytes; the kernel overwrites it when it fills raw
}

func (s *sockaddr) v4() *unix.RawSockaddrInet4 {
	return (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
}

// port gives access to the port, which is big-endian at the same place in both structures.
func (s *sockaddr) port() *[2]byte { return (*[2]byte)(unsafe.Pointer(&s.raw.Port)) }

// set makes s the address ap. A zone must be an interface index in decimal; anything else is EINVAL, as is an invalid address.
func (s *sockaddr) set(ap netip.AddrPort) error {
	addr := ap.Addr()
	switch {
	case addr.Is4() || addr.Is4In6():
		*s.v4() = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: addr.As4()}
		s.len = unix.SizeofSockaddrInet4
	case addr.Is6():
		scope, err := scopeID(addr)
		if err != nil {
			return err
		}
		s.raw = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: addr.As16(), Scope_id: scope}
		s.len = unix.SizeofSockaddrInet6
	default:
		return unix.EINVAL
	}
	*s.port() = [2]byte{byte(ap.Port() >> 8), byte(ap.Port())}
	return nil
}

// get is the inverse of set. An address of another family gives the zero AddrPort.
func (s *sockaddr) get() netip.AddrPort {
	p := s.port()
	port := uint16(p[0])<<8 | uint16(p[1])
	switch s.raw.Family {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4(s.v4().Addr), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(withScope(netip.AddrFrom16(s.raw.Addr), s.raw.Scope_id), port)
	}
	return netip.AddrPort{}
}

// same reports whether both are the same address and port; of an IPv6 address the scope counts, the flow label does not.
func (s *sockaddr) same(o *sockaddr) bool {
	if s.raw.Family != o.raw.Family || s.raw.Port != o.raw.Port {
		return false
	}
	if s.raw.Family == unix.AF_INET {
		return s.v4().Addr == o.v4().Addr
	}
	return s.raw.Addr == o.raw.Addr && s.raw.Scope_id == o.raw.Scope_id
}

// withScope gives a link-local address its interface index as zone. Only that case may allocate.
func withScope(addr netip.Addr, index uint32) netip.Addr {
	if index == 0 || !addr.Is6() || !addr.IsLinkLocalUnicast() {
		return addr
	}
	return addr.WithZone(strconv.FormatUint(uint64(index), 10))
}

// scopeID is the interface index in addr's zone, 0 without one.
func scopeID(addr netip.Addr) (uint32, error) {
	zone := addr.Zone()
	if zone == "" {
		return 0, nil
	}
	index, err := strconv.ParseUint(zone, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("zone %q is not an interface index: %w", zone, unix.EINVAL)
	}
	return uint32(index), nil
}
