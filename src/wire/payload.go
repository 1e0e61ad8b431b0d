package wire

import "encoding/binary"

// Features are the flags that a client offers and a broker accepts, by bit.
type Features uint32

// UniqueSessionID says that each side uses its own tunnel ID as session ID.
// Without it both sides use session ID 1.
const UniqueSessionID Features = 1

const (
	defaultTunnelID = 1 // what a client means that sends no tunnel ID
	requestPadding  = 8 // of COOKIE and USAGE requests, so that no reply is larger than its request
)

// PrepareMsg is the payload of PREPARE.
type PrepareMsg struct {
	Cookie [8]byte
	// UUID aliases the payload. It is unchecked: see ValidUUID.
	UUID []byte
	// TunnelID is the client's own; 1 if the message has none. It is unchecked.
	TunnelID uint32
	// Features are zero if the message has none.
	Features Features
}

// ParsePrepare takes the payload of PREPARE apart. The tunnel ID and, after it,
// the features may be missing; what follows the features is ignored. It returns
// ErrPayload for a payload that ends inside a field.
func ParsePrepare(payload []byte) (PrepareMsg, error) {
	if len(payload) < 9 {
		return PrepareMsg{}, ErrPayload
	}
	uuidEnd := 9 + int(payload[8])
	if uuidEnd > len(payload) {
		return PrepareMsg{}, ErrPayload
	}
	m := PrepareMsg{UUID: payload[9:uuidEnd:uuidEnd], TunnelID: defaultTunnelID}
	copy(m.Cookie[:], payload)
	rest := payload[uuidEnd:]
	switch {
	case len(rest) == 0:
	case len(rest) == 4:
		m.TunnelID = binary.BigEndian.Uint32(rest)
	case len(rest) >= 8:
		m.TunnelID = binary.BigEndian.Uint32(rest)
		m.Features = Features(binary.BigEndian.Uint32(rest[4:]))
	default:
		return PrepareMsg{}, ErrPayload
	}
	return m, nil
}

// ParseCookie returns the cookie of a broker's answer; false if the payload is
// too short for one.
func ParseCookie(payload []byte) (cookie [8]byte, ok bool) {
	return cookie, copy(cookie[:], payload) == len(cookie)
}

// ParseUint16 returns the leading number of PMTUD_ACK (bytes of UDP payload),
// PMTU_NTFY (tunnel MTU in bytes), REL_ACK (sequence number) and the broker's
// USAGE (load, 0–65535); false if the payload is too short.
func ParseUint16(payload []byte) (uint16, bool) {
	if len(payload) < 2 {
		return 0, false
	}
	return binary.BigEndian.Uint16(payload), true
}

// ParseTunnel takes the payload of TUNNEL apart: the broker's tunnel ID and the
// features it accepted, zero if the message has none. It returns ErrPayload for
// a payload that ends inside a field.
func ParseTunnel(payload []byte) (id uint32, f Features, err error) {
	switch {
	case len(payload) == 4:
	case len(payload) >= 8:
		f = Features(binary.BigEndian.Uint32(payload[4:]))
	default:
		return 0, 0, ErrPayload
	}
	return binary.BigEndian.Uint32(payload), f, nil
}

// ParseUsageRequest returns the features that a client's USAGE tells, zero if
// it tells none.
func ParseUsageRequest(payload []byte) Features {
	if len(payload) < requestPadding+4 {
		return 0
	}
	return Features(binary.BigEndian.Uint32(payload[requestPadding:]))
}

// LimitBandwidthDown is the type of the only limit there is: the bandwidth
// towards the client.
const LimitBandwidthDown uint8 = 0x01

// LimitMsg is the payload of LIMIT.
type LimitMsg struct {
	Seq  uint16
	Type uint8
	// Config aliases the payload.
	Config []byte
}

// ParseLimit takes the payload of LIMIT apart. With hasSeq, Seq is set and must
// be acknowledged, even if err is ErrPayload because the rest is malformed.
func ParseLimit(payload []byte) (m LimitMsg, hasSeq bool, err error) {
	m.Seq, hasSeq = ParseUint16(payload)
	if len(payload) < 4 {
		return m, hasSeq, ErrPayload
	}
	end := 4 + int(payload[3])
	if end > len(payload) {
		return m, hasSeq, ErrPayload
	}
	m.Type, m.Config = payload[2], payload[4:end:end]
	return m, hasSeq, nil
}

// Bandwidth returns the wanted bandwidth towards the client in kbit/s; false if
// m is another kind of limit or malformed.
func (m LimitMsg) Bandwidth() (kbit uint32, ok bool) {
	if m.Type != LimitBandwidthDown || len(m.Config) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(m.Config), true
}
