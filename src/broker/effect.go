package broker

import (
	"bytes"
	"net/netip"
	"strconv"

	"tunneldigger/src/config"
)

// EffectKind says what is to be done.
type EffectKind uint8

// The effects. Those of one call are carried out in order. The fields that each
// one uses are named beside it.
const (
	// EffectReply: send Message from Listener: Local, Peer.
	EffectReply EffectKind = iota + 1
	// EffectSend: send Message on the socket of Tunnel; padded with zeros to
	// Size bytes if that is larger. EMSGSIZE comes back as EventTooBig.
	EffectSend
	// EffectCreate: make socket, tunnel, session and interface, and with Raise all
	// of EffectRaise as well. EventCreated comes back, or EventCreateFailed when
	// nothing is left of it. Facts, Listener, PeerTunnel, PeerSession, Raise.
	EffectCreate
	// EffectRaise: bring the interface up, with MTU, where tunnels of this MTU
	// belong; EventRaised or EventRaiseFailed comes back. It takes the kernel
	// longer than EffectCreate, so it can be left until no newcomer waits for an
	// answer. Facts.
	EffectRaise
	// EffectDestroy: remove all that EffectCreate made; EventDestroyed comes
	// back when the interface is gone. Tunnel.
	EffectDestroy
	// EffectSetMTU: give the interface MTU, and attach it where tunnels of this
	// MTU belong; while EffectRaise is outstanding, have that do so. Facts.
	EffectSetMTU
	// EffectShape: limit what goes to the client to Bandwidth kbit/s, 0: no
	// limit. Tunnel.
	EffectShape
	// EffectHook: run the hooks of Hook; EventHookDone comes back. Hooks of one
	// Serial run one after another; Serial 0 is not ordered. Facts, OldMTU.
	EffectHook
	// EffectNote: something that an operator wants to know: Note, Facts, Reason.
	EffectNote
	// EffectCount: count the frames that have come from the client by the tunnel's
	// interface; EventCounted comes back. Facts.
	EffectCount
)

// Facts identify a tunnel, or a client without one (Tunnel 0).
type Facts struct {
	_           [0]func() // not to be compared: that would be code for nothing
	Serial      uint64    // unique among all tunnels of this Broker
	Tunnel      uint32
	Session     uint32
	MTU         int
	Peer, Local netip.AddrPort
	UUID        string
}

// Interface is the name of the tunnel's network interface.
func (f *Facts) Interface() string {
	b := make([]byte, 0, 15)
	b = strconv.AppendUint(append(b, "l2tp"...), uint64(f.Tunnel), 10)
	return string(strconv.AppendUint(append(b, '-'), uint64(f.Session), 10))
}

// TunnelOf is the ID of the tunnel whose Interface has this name, 0 for other names. A
// name may be one that only begins like it.
func TunnelOf(name []byte) (id uint32) {
	digits, ours := bytes.CutPrefix(name, []byte("l2tp"))
	for i := 0; ours && i < len(digits) && digits[i] >= '0' && digits[i] <= '9' && id <= 1<<20; i++ {
		id = id*10 + uint32(digits[i]-'0')
	}
	return id
}

// Effect is something to be done. It is a flat value, so that the slice that
// holds the effects of a turn is reused and nothing is allocated.
type Effect struct {
	Kind        EffectKind
	Hook        config.Event
	Note        Note
	Reason      Reason
	Raise       bool
	Again       bool // in EffectCreate: after a crash, see Remake
	length      uint8
	Listener    int
	Size        int
	OldMTU      int
	Bandwidth   uint32
	Asked       uint32
	Other       netip.AddrPort // of the second node, in NoteTwins
	Detail      string         // what is wrong with the UUID, in NoteRefused; "": nothing
	PeerTunnel  uint32
	PeerSession uint32
	message     [16]byte
	Facts
}

// Message is the datagram of an EffectReply or EffectSend.
func (e *Effect) Message() []byte { return e.message[:e.length] }

// Note is what an EffectNote tells.
type Note uint8

// The notes.
const (
	NoteUp          Note = iota + 1 // a tunnel is up
	NoteClosed                      // a tunnel is being closed: Reason
	NoteRefused                     // a client was refused: Reason, and Detail with RefusedUUID, whose UUID is escaped
	NoteQueued                      // a client waits
	NoteMTU                         // a tunnel's MTU changed
	NoteLimit                       // a client's bandwidth limit: Bandwidth, and what it asked for: Asked
	NoteBadLimit                    // a LIMIT that can't be understood
	NoteSetAside                    // the kernel has this tunnel ID already
	NoteStuck                       // the kernel did not remove an interface in time
	NoteOldSessions                 // this kernel can't serve clients without UNIQUE_SESSION_ID
	NoteTwins                       // two nodes have the UUID of a tunnel: Other is the second one
)

// Reason is why a client was refused or a tunnel closed.
type Reason uint8

// The reasons. Programs hand their counters to one another by number: add new
// ones at the end only.
const (
	ReasonNone Reason = iota
	RefusedFull
	RefusedQueue
	RefusedRate
	RefusedUUID
	RefusedVerify
	RefusedOldClient
	RefusedFailure
	RefusedStopping
	ClosedTimeout
	ClosedByPeer
	ClosedReplaced
	ClosedStopping
	ClosedLost
	RefusedDenied
	ClosedDenied
	RefusedDraining
	ClosedKicked
	ClosedDrained
	RefusedRemoved
	ClosedRemoved
	ClosedAttach
	RefusedTwin
	ClosedTwin
	RefusedUUIDRate
	RefusedHeldOff
	ClosedMisfit
	// ReasonCount is the number of reasons.
	ReasonCount
)

var reasonText = [ReasonCount]string{
	"", "all tunnels are in use", "too many clients are waiting", "too many connections from this address",
	"the UUID is not acceptable", "the session.verify hook refused", "this kernel can't serve clients without unique session IDs",
	"the tunnel could not be made", "the broker is stopping",
	"the client was silent for too long", "the client closed it", "the client came back with another identity",
	"the broker is stopping", "the interface or socket is gone",
	"kept out by allow_list or deny_list", "allow_list or deny_list keeps it out now",
	"the broker is draining", "an operator closed it", "the broker is draining",
	"its broker section was removed", "its broker section was removed",
	"the interface could not be brought up or attached",
	"its UUID has a tunnel already", "a new client with its UUID took its place",
	"too many connections with this UUID", "it came again too soon after it was refused",
	"its two ends meant different sessions",
}

// String gives the reason in words.
func (r Reason) String() string {
	if r < ReasonCount {
		return reasonText[r]
	}
	return "unknown"
}
