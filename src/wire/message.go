package wire

import (
	"errors"
	"strconv"
)

const (
	// HeaderSize is the number of bytes before the payload.
	HeaderSize = 6
	// MinSize is the least number of bytes that a sender makes of a message,
	// because firewalls drop shorter datagrams on port 53.
	MinSize = 12
	// MaxPayload is what the one length byte can express.
	MaxPayload = 255
	// Version is the only protocol version there is.
	Version = 1

	magic0 = 0x80 // top bit: a control packet to the kernel's L2TP code, left to user space
	magic1 = 0x73 // low nibble 3: L2TP version 3
	magic2 = 0xA7
)

// Faults of a datagram that is no message. Such a datagram is dropped without
// an answer.
var (
	ErrShort   = errors.New("wire: datagram shorter than a header")
	ErrMagic   = errors.New("wire: not a Tunneldigger message")
	ErrVersion = errors.New("wire: unknown protocol version")
	ErrLength  = errors.New("wire: payload runs past the end of the datagram")
)

// ErrPayload is the fault of a message whose payload has an impossible length.
var ErrPayload = errors.New("wire: impossible payload length")

// Type is the kind of a message.
type Type uint8

// The kinds of message; protocol.md says who sends which.
const (
	TypeCookie    Type = 0x01
	TypePrepare   Type = 0x02
	TypeError     Type = 0x03
	TypeTunnel    Type = 0x04
	TypeKeepalive Type = 0x05
	TypePMTUD     Type = 0x06
	TypePMTUDAck  Type = 0x07
	TypeRelAck    Type = 0x08
	TypePMTUNtfy  Type = 0x09
	TypeUsage     Type = 0x0A
	TypeLimit     Type = 0x80
)

// String returns the name that protocol.md uses, or the number in hexadecimal.
func (t Type) String() string {
	switch t {
	case TypeCookie:
		return "COOKIE"
	case TypePrepare:
		return "PREPARE"
	case TypeError:
		return "ERROR"
	case TypeTunnel:
		return "TUNNEL"
	case TypeKeepalive:
		return "KEEPALIVE"
	case TypePMTUD:
		return "PMTUD"
	case TypePMTUDAck:
		return "PMTUD_ACK"
	case TypeRelAck:
		return "REL_ACK"
	case TypePMTUNtfy:
		return "PMTU_NTFY"
	case TypeUsage:
		return "USAGE"
	case TypeLimit:
		return "LIMIT"
	}
	return "0x" + strconv.FormatUint(uint64(t), 16)
}

// Reliable reports whether the payload starts with a sequence number that the
// receiver has to acknowledge with REL_ACK.
func (t Type) Reliable() bool { return t&0x80 != 0 }

// Message is one datagram, taken apart.
type Message struct {
	Type Type
	// Payload aliases the datagram and does not include padding.
	Payload []byte
	// Size is the length of the whole datagram in bytes, padding included. PMTUD
	// needs it: what is acknowledged is the size that arrived.
	Size int
}

// Parse takes a datagram apart. The error is one of ErrShort, ErrMagic,
// ErrVersion and ErrLength. Bytes after the payload are padding, whatever they
// hold.
func Parse(datagram []byte) (Message, error) {
	if len(datagram) < HeaderSize {
		return Message{}, ErrShort
	}
	if datagram[0] != magic0 || datagram[1] != magic1 || datagram[2] != magic2 {
		return Message{}, ErrMagic
	}
	if datagram[3] != Version {
		return Message{}, ErrVersion
	}
	end := HeaderSize + int(datagram[5])
	if end > len(datagram) {
		return Message{}, ErrLength
	}
	return Message{
		Type:    Type(datagram[4]),
		Payload: datagram[HeaderSize:end:end],
		Size:    len(datagram),
	}, nil
}
