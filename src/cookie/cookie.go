// Package cookie issues and checks the cookies with which a client proves that
// it receives what is sent to its address. A cookie is a keyed MAC over the
// client's address and port and a coarse time, so the broker keeps no state
// until a client has come back with one (protocol.md, "Set-up").
//
// The key and the time are the caller's. Nothing in here allocates.
package cookie

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Size is the length of a cookie in bytes.
const Size = 8

const (
	tickLength = 64 * time.Second
	validTicks = 3 // the current one and the two before
)

// Tick returns the coarse time of now, which counts from boot or any other
// fixed moment.
func Tick(now time.Duration) uint32 { return uint32(now / tickLength) }

// Jar issues and checks cookies under one key. It is immutable, so it may be
// used from several goroutines.
type Jar struct {
	key    [16]byte
	k0, k1 uint64
}

// New returns a jar for a key, which has to be random and secret.
func New(key [16]byte) *Jar {
	return &Jar{
		key: key,
		k0:  binary.LittleEndian.Uint64(key[:8]),
		k1:  binary.LittleEndian.Uint64(key[8:]),
	}
}

// Key returns the key, so that a broker's successor can accept the cookies that
// are under way.
func (j *Jar) Key() [16]byte { return j.key }

// Issue returns the cookie of peer in tick. An IPv4 address and the same address
// mapped to IPv6 have the same cookie; an IPv6 zone does not count.
func (j *Jar) Issue(peer netip.AddrPort, tick uint32) (c [Size]byte) {
	binary.LittleEndian.PutUint64(c[:], j.sum(peer, tick))
	return c
}

// Check reports whether c was issued to peer in tick or in one of the two ticks
// before. How long it takes does not depend on c.
func (j *Jar) Check(peer netip.AddrPort, tick uint32, c [Size]byte) bool {
	got := binary.LittleEndian.Uint64(c[:])
	var found uint64
	for age := uint32(0); age < validTicks; age++ {
		diff := got ^ j.sum(peer, tick-age)
		found |= ^(diff | -diff) >> 63 // 1 only if diff is 0
	}
	return found == 1
}

// Digest stands for a text where that itself is not to be seen: equal texts have
// equal ones, and who lacks the key can't try out which text one is of.
func (j *Jar) Digest(text string) uint64 { return siphash(j.k0, j.k1, []byte("text "+text)) }

func (j *Jar) sum(peer netip.AddrPort, tick uint32) uint64 {
	var msg [16 + 2 + 4]byte
	addr := peer.Addr().As16()
	copy(msg[:], addr[:])
	binary.LittleEndian.PutUint16(msg[16:], peer.Port())
	binary.LittleEndian.PutUint32(msg[18:], tick)
	return siphash(j.k0, j.k1, msg[:])
}
