package broker

// Drop is why a datagram was dropped without an answer.
type Drop uint8

// The kinds of dropped datagrams; new ones at the end only, as with reasons.
const (
	DropMalformed Drop = iota // not a message of this protocol, or broken inside
	DropCookie                // a PREPARE whose cookie is wrong or too old
	DropStranger              // a tunnel's message from an address that has none
	DropDirection             // a message that only a broker sends
	DropClosing               // a message for a tunnel that is being closed
	DropShed                  // a COOKIE or USAGE above the set rate
	// DropCount is the number of kinds.
	DropCount
)

// Stats counts since the broker was made. Everything only grows.
type Stats struct {
	Cookies, Usages, Prepares uint64 // requests answered or looked at
	Repeats                   uint64 // PREPAREs of a tunnel that stands already
	Opened                    uint64 // tunnels that came up
	Drops                     [DropCount]uint64
	Reasons                   [ReasonCount]uint64 // refusals and closes
}
