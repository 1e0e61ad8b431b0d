package datapath

// EventKind says what an Event is about.
type EventKind uint8

// The events. The fields that each one uses are named beside it.
const (
	// Lost: the interface of Tunnel is gone, and nobody asked for that.
	Lost EventKind = iota + 1
	// Destroyed: the interface of Tunnel is gone, as Path.Destroy asked.
	Destroyed
	// MTUFailed, AttachFailed and LimitFailed: a part of what is wanted of Tunnel
	// could not be done, and is tried again: Want, Err. The same words do not come
	// twice in a row.
	MTUFailed
	AttachFailed
	LimitFailed
	// MasterAway: Link, to which tunnels are to be attached, is not there.
	MasterAway
	// MasterBack: it is there again, and they are attached.
	MasterBack
	// Misfit: the master Link has a larger MTU than its tunnels': MTU, TunnelMTU.
	Misfit
	// NearlyFull: the bridge Link has so many Ports that few more fit.
	NearlyFull
	// LinkGone: an interface that is no tunnel is gone: Link, Index.
	LinkGone
	// Overrun: such events may have been missed. All that is known here has been
	// compared with what is there.
	Overrun
	// WatchFailed: interfaces can't be watched or listed: Err.
	WatchFailed
	// BridgeMade and BridgeRemoved: the broker's own bridge Link, in use or in use no more.
	BridgeMade
	BridgeRemoved
	// BridgeStays: Link is empty and the broker's, and is not removed: Err says who else uses it.
	BridgeStays
	// BridgeForeign: the bridge Link, which the broker would make, is there and is
	// somebody else's: it is used as it is.
	BridgeForeign
	// BridgeFailed: Link is the broker's and could not be brought to what is wanted of
	// it, or removed: Err. It is tried again. The same words do not come twice in a row.
	BridgeFailed
)

// Event is something that happened to interfaces.
type Event struct {
	_         [0]func() // not to be compared: that would be code for nothing
	Kind      EventKind
	Tunnel    uint32
	Want      Want
	Link      string
	Index     int
	MTU       int
	TunnelMTU int
	Ports     int
	Err       error
}

// Events gives what has happened since the last call, in order. The slice is good
// until the next call.
func (s *Interfaces) Events() []Event {
	events := s.events
	s.events, s.spare = s.spare[:0], events
	return events
}

func (s *Interfaces) tell(ev Event) { s.events = append(s.events, ev) }
