package wire

import "strconv"

// Reason is why a side closes or refuses a tunnel: the high nibble is who says
// so, 0 the broker and 1 the client, the low nibble what happened.
type Reason uint8

// The reasons that an ERROR may give.
const (
	ReasonBrokerOther     Reason = 0x01 // the other side asked for it
	ReasonBrokerShutdown  Reason = 0x02
	ReasonBrokerTimeout   Reason = 0x03
	ReasonBrokerFailure   Reason = 0x04
	ReasonBrokerUndefined Reason = 0x05

	ReasonClientOther    Reason = 0x10 // the other side asked for it
	ReasonClientShutdown Reason = 0x11
	ReasonClientTimeout  Reason = 0x12
	ReasonClientFailure  Reason = 0x13
)

// String says the reason in words, for a log line.
func (r Reason) String() string {
	switch r {
	case ReasonBrokerOther:
		return "closed by the broker at the client's request"
	case ReasonBrokerShutdown:
		return "the broker shuts down"
	case ReasonBrokerTimeout:
		return "the broker heard nothing for too long"
	case ReasonBrokerFailure:
		return "failure at the broker"
	case ReasonBrokerUndefined:
		return "closed by the broker for no given reason"
	case ReasonClientOther:
		return "closed by the client at the broker's request"
	case ReasonClientShutdown:
		return "the client shuts down"
	case ReasonClientTimeout:
		return "the client heard nothing for too long"
	case ReasonClientFailure:
		return "failure at the client"
	}
	return "reason 0x" + strconv.FormatUint(uint64(r), 16)
}

// ParseError returns the reason that an ERROR gives; false if it gives none, as
// a refused PREPARE is answered.
func ParseError(payload []byte) (Reason, bool) {
	if len(payload) < 1 {
		return 0, false
	}
	return Reason(payload[0]), true
}
