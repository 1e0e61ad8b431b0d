package broker

import (
	"net/netip"

	"tunneldigger/src/config"
)

// EventKind says what an Event is about.
type EventKind uint8

// The events. The fields that each one uses are named beside it.
const (
	// EventDatagram: a datagram came that is not known to belong to a tunnel's
	// socket: Peer, Local, Listener, Data. It may belong to a tunnel all the
	// same, see protocol.md, "Sockets".
	EventDatagram EventKind = iota + 1
	// EventTunnelDatagram: a datagram came from the peer of Tunnel: Tunnel, Data.
	EventTunnelDatagram
	// EventCreated: EffectCreate was carried out: Tunnel, Up.
	EventCreated
	// EventCreateFailed: EffectCreate failed and left nothing: Tunnel, Fault.
	EventCreateFailed
	// EventDestroyed: the interface of Tunnel is gone, as EffectDestroy asked.
	EventDestroyed
	// EventLost: the interface or socket of Tunnel is gone or useless and nobody
	// asked for it: Tunnel.
	EventLost
	// EventHookDone: a hook ended: Tunnel, Serial, Hook, Refused.
	EventHookDone
	// EventTooBig: this host or a router can't pass packets above Size bytes
	// (path MTU) of Tunnel.
	EventTooBig
	// EventStop: close every tunnel and take no new ones.
	EventStop
	// EventAdopted: Tunnel, which Adopt took in, stands. Hooks hear of it again if
	// nobody knows whether they did.
	EventAdopted
	// EventKick: an operator wants Tunnel closed.
	EventKick
	// EventRemove: the same, because the section was taken out of the
	// configuration; another one may have its addresses from now on.
	EventRemove
	// EventRaised: EffectRaise was carried out: Tunnel.
	EventRaised
	// EventRaiseFailed: the interface of Tunnel can't be brought up or attached.
	EventRaiseFailed
	// EventCounted: so many Frames have come from the client by the interface of
	// Tunnel, as EffectCount asked.
	EventCounted
)

// Fault is why a tunnel could not be made.
type Fault uint8

// The faults that the core treats differently.
const (
	FaultOther      Fault = iota // whatever; this client is refused
	FaultExists                  // the kernel has a tunnel of this ID already
	FaultOldSession              // the kernel refused a second session with ID 1
)

// Event is something that happened. Data belongs to the caller and is not kept.
type Event struct {
	Kind        EventKind
	Fault       Fault
	Hook        config.Event
	Refused     bool // the session.verify hook said no
	Up          bool // the interface is up already
	Tunnel      uint32
	Serial      uint64
	Listener    int
	Size        int
	Frames      uint64
	Peer, Local netip.AddrPort
	Data        []byte
}
