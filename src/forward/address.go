package forward

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/sockaddr"
)

// key is what tells tunnels apart: the peer's address, our address, the peer's port, ours, and the peer's scope.
type key [40]byte

func (k *key) peer(s *sockaddr.Address) {
	clear(k[:16])
	if s.Raw.Family == unix.AF_INET {
		*(*[4]byte)(k[:]) = s.V4().Addr
	} else {
		*(*[16]byte)(k[:]) = s.Raw.Addr
		binary.NativeEndian.PutUint32(k[36:], s.Raw.Scope_id)
	}
	*(*[2]byte)(k[32:]) = *(*[2]byte)(unsafe.Pointer(&s.Raw.Port))
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
	var s sockaddr.Address
	if err := s.Set(peer); err != nil {
		return key{}, err
	}
	if s.Raw.Family == unix.AF_INET6 && !peer.Addr().IsLinkLocalUnicast() {
		s.Raw.Scope_id = 0
	}
	k.peer(&s)
	k.local(local.Addr().Unmap(), local.Port())
	return k, nil
}
