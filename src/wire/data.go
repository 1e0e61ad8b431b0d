package wire

import "encoding/binary"

// DataSize is the number of bytes before the frame in a data packet: L2TPv3 over
// UDP (RFC 3931, 4.1.2.1) with the default sublayer and no cookie.
const DataSize = 12

// ParseData reports whether a datagram is a data packet, which kernels handle by
// themselves as long as they know its session, and of which session.
func ParseData(datagram []byte) (session uint32, ok bool) {
	if len(datagram) < DataSize || datagram[0] != 0 || datagram[1] != 3 {
		return 0, false
	}
	return binary.BigEndian.Uint32(datagram[4:]), true
}
