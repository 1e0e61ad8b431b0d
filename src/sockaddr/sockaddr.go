// Package sockaddr has addresses and ports as the kernel takes and gives them, for what
// reads and writes sockets: a value that stays where it is, without an allocation.
package sockaddr

import (
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
)

// Address is an address and port as the kernel takes and gives it: struct sockaddr_in or sockaddr_in6 in the space of the larger one.
type Address struct {
	Raw unix.RawSockaddrInet6
	Len uint32 // of Raw, in bytes; the kernel overwrites it when it fills Raw
}

// V4 is Raw, where that is an IPv4 address.
func (s *Address) V4() *unix.RawSockaddrInet4 {
	return (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.Raw))
}

// port gives access to the port, which is big-endian at the same place in both structures.
func (s *Address) port() *[2]byte { return (*[2]byte)(unsafe.Pointer(&s.Raw.Port)) }

// Set makes s the address ap. A zone must be an interface index in decimal; anything else is EINVAL, as is an invalid address.
func (s *Address) Set(ap netip.AddrPort) error {
	addr := ap.Addr()
	switch {
	case addr.Is4() || addr.Is4In6():
		*s.V4() = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: addr.As4()}
		s.Len = unix.SizeofSockaddrInet4
	case addr.Is6():
		scope, err := ScopeID(addr)
		if err != nil {
			return err
		}
		s.Raw = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: addr.As16(), Scope_id: scope}
		s.Len = unix.SizeofSockaddrInet6
	default:
		return unix.EINVAL
	}
	*s.port() = [2]byte{byte(ap.Port() >> 8), byte(ap.Port())}
	return nil
}

// Get is the inverse of Set. An address of another family gives the zero AddrPort.
func (s *Address) Get() netip.AddrPort {
	p := s.port()
	port := uint16(p[0])<<8 | uint16(p[1])
	switch s.Raw.Family {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4(s.V4().Addr), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(WithScope(netip.AddrFrom16(s.Raw.Addr), s.Raw.Scope_id), port)
	}
	return netip.AddrPort{}
}

// Same reports whether both are the same address and port; of an IPv6 address the scope counts, the flow label does not.
func (s *Address) Same(o *Address) bool {
	if s.Raw.Family != o.Raw.Family || s.Raw.Port != o.Raw.Port {
		return false
	}
	if s.Raw.Family == unix.AF_INET {
		return s.V4().Addr == o.V4().Addr
	}
	return s.Raw.Addr == o.Raw.Addr && s.Raw.Scope_id == o.Raw.Scope_id
}

// WithScope gives a link-local address its interface index as zone. Only that case may allocate.
func WithScope(addr netip.Addr, index uint32) netip.Addr {
	if index == 0 || !addr.Is6() || !addr.IsLinkLocalUnicast() {
		return addr
	}
	return addr.WithZone(strconv.FormatUint(uint64(index), 10))
}

// ScopeID is the interface index in addr's zone, 0 without one.
func ScopeID(addr netip.Addr) (uint32, error) {
	zone := addr.Zone()
	if zone == "" {
		return 0, nil
	}
	index, err := strconv.ParseUint(zone, 10, 32)
	if err != nil {
		return 0, phrase.Errorf("zone %q is not an interface index: %w", zone, unix.EINVAL)
	}
	return uint32(index), nil
}
