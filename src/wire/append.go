package wire

import "encoding/binary"

// MaxUUID is the longest UUID, in bytes, that fits in a PREPARE with tunnel ID
// and features. ValidUUID allows less.
const MaxUUID = MaxPayload - 8 - 1 - 4 - 4

var zeros [MinSize]byte

// begin appends a header for payload bytes, which the caller appends next.
func begin(b []byte, t Type, payload int) []byte {
	return append(b, magic0, magic1, magic2, Version, byte(t), byte(payload))
}

// pad appends what is missing to MinSize for a message with payload bytes.
func pad(b []byte, payload int) []byte {
	if missing := MinSize - HeaderSize - payload; missing > 0 {
		b = append(b, zeros[:missing]...)
	}
	return b
}

func appendUint16(b []byte, t Type, v uint16) []byte {
	b = begin(b, t, 2)
	b = binary.BigEndian.AppendUint16(b, v)
	return pad(b, 2)
}

// AppendCookieRequest appends the client's COOKIE.
func AppendCookieRequest(b []byte) []byte {
	return append(begin(b, TypeCookie, requestPadding), zeros[:requestPadding]...)
}

// AppendCookie appends the broker's COOKIE.
func AppendCookie(b []byte, cookie [8]byte) []byte {
	return append(begin(b, TypeCookie, len(cookie)), cookie[:]...)
}

// AppendPrepare appends PREPARE. The cookie has 8 bytes: what is longer is cut,
// what is missing is zero. The UUID is cut at MaxUUID bytes. Features are left
// out when zero, as clients before them did.
func AppendPrepare(b, cookie, uuid []byte, tunnelID uint32, features Features) []byte {
	var c [8]byte
	copy(c[:], cookie)
	if len(uuid) > MaxUUID {
		uuid = uuid[:MaxUUID]
	}
	payload := len(c) + 1 + len(uuid) + 4
	if features != 0 {
		payload += 4
	}
	b = begin(b, TypePrepare, payload)
	b = append(b, c[:]...)
	b = append(b, byte(len(uuid)))
	b = append(b, uuid...)
	b = binary.BigEndian.AppendUint32(b, tunnelID)
	if features != 0 {
		b = binary.BigEndian.AppendUint32(b, uint32(features))
	}
	return b
}

// AppendPrepareNoID appends PREPARE as the oldest clients sent it, without
// tunnel ID and features. For cookie and UUID see AppendPrepare.
func AppendPrepareNoID(b, cookie, uuid []byte) []byte {
	start := len(b)
	b = AppendPrepare(b, cookie, uuid, defaultTunnelID, 0)
	b = b[:len(b)-4]
	b[start+5] -= 4
	return b
}

// AppendError appends an ERROR without a reason, the answer to a refused
// PREPARE: old clients expect it empty.
func AppendError(b []byte) []byte {
	return pad(begin(b, TypeError, 0), 0)
}

// AppendErrorReason appends an ERROR that ends a tunnel.
func AppendErrorReason(b []byte, r Reason) []byte {
	return pad(append(begin(b, TypeError, 1), byte(r)), 1)
}

// AppendTunnel appends TUNNEL. Features are left out when zero, as clients that
// offered none expect.
func AppendTunnel(b []byte, id uint32, features Features) []byte {
	payload := 4
	if features != 0 {
		payload = 8
	}
	b = begin(b, TypeTunnel, payload)
	b = binary.BigEndian.AppendUint32(b, id)
	if features != 0 {
		b = binary.BigEndian.AppendUint32(b, uint32(features))
	}
	return pad(b, payload)
}

// AppendKeepalive appends the broker's KEEPALIVE. Nobody looks at seq; it has to
// change, since some networks drop identical datagrams.
func AppendKeepalive(b []byte, seq uint16) []byte {
	return appendUint16(b, TypeKeepalive, seq)
}

// AppendClientKeepalive appends the client's KEEPALIVE; for seq see
// AppendKeepalive.
func AppendClientKeepalive(b []byte, seq uint32) []byte {
	b = begin(b, TypeKeepalive, 4)
	b = binary.BigEndian.AppendUint32(b, seq)
	return pad(b, 4)
}

// AppendPMTUD appends a probe of size bytes of UDP payload in all, at least
// MinSize.
func AppendPMTUD(b []byte, size int) []byte {
	b = AppendPMTUDHeader(b)
	size = max(size, MinSize)
	for missing := size - HeaderSize; missing > 0; missing -= len(zeros) {
		b = append(b, zeros[:min(missing, len(zeros))]...)
	}
	return b
}

// AppendPMTUDHeader appends the header of a probe alone, for a caller that has
// the zeros that follow elsewhere.
func AppendPMTUDHeader(b []byte) []byte {
	return begin(b, TypePMTUD, 0)
}

// AppendPMTUDAck appends the answer to a probe of size bytes of UDP payload.
func AppendPMTUDAck(b []byte, size uint16) []byte {
	return appendUint16(b, TypePMTUDAck, size)
}

// AppendRelAck appends the acknowledgement of a reliable message.
func AppendRelAck(b []byte, seq uint16) []byte {
	return appendUint16(b, TypeRelAck, seq)
}

// AppendPMTUNtfy appends the tunnel MTU, in bytes, that the sender measured.
func AppendPMTUNtfy(b []byte, mtu uint16) []byte {
	return appendUint16(b, TypePMTUNtfy, mtu)
}

// AppendUsageRequest appends the client's USAGE. Features are left out when
// zero.
func AppendUsageRequest(b []byte, features Features) []byte {
	payload := requestPadding
	if features != 0 {
		payload += 4
	}
	b = begin(b, TypeUsage, payload)
	b = append(b, zeros[:requestPadding]...)
	if features != 0 {
		b = binary.BigEndian.AppendUint32(b, uint32(features))
	}
	return b
}

// AppendUsage appends the broker's USAGE: 0 is empty, 65535 full.
func AppendUsage(b []byte, load uint16) []byte {
	return appendUint16(b, TypeUsage, load)
}

// AppendLimit appends a LIMIT of the bandwidth towards the client, in kbit/s.
func AppendLimit(b []byte, seq uint16, kbit uint32) []byte {
	b = begin(b, TypeLimit, 8)
	b = binary.BigEndian.AppendUint16(b, seq)
	b = append(b, LimitBandwidthDown, 4)
	return binary.BigEndian.AppendUint32(b, kbit)
}
