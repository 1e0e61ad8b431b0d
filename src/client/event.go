package client

import "tunneldigger/src/wire"

// Event is something that happened outside the machine.
type Event struct {
	Kind   EventKind
	Broker int    // which one, for the kinds that say so
	V6     bool   // Opened: the broker is reached over IPv6
	Data   []byte // Datagram; only read during Handle
	Hook   Hook   // HookDone
	Limit  uint32 // SetLimit: kbit/s, 0 lifts the limit
}

// EventKind is the kind of an Event.
type EventKind uint8

// The kinds of event.
const (
	Tick         EventKind = iota // Due has come
	Start                         // begin; the first event
	Stop                          // take the tunnel down, tell the broker, then Exit
	Opened                        // Broker: there is a socket connected to it
	OpenFailed                    // Broker: its name or a socket could not be had
	Datagram                      // Broker: Data came from it
	SocketFailed                  // Broker: its socket can't send any more
	TunnelUp                      // the kernel's tunnel and interface exist and are up
	TunnelFailed                  // they don't, and nothing is left of them
	TunnelLost                    // the interface vanished
	HookDone                      // Hook has ended, or was ended
	SetLimit                      // ask for another bandwidth from now on
)

// Effect is something for the caller to do.
type Effect struct {
	Kind   EffectKind
	Broker int
	// Data is the datagram of Send. It belongs to the machine and is valid until
	// the next call of Handle.
	Data   []byte
	Size   int    // Probe: bytes of UDP payload
	Tunnel Tunnel // CreateTunnel, DeleteTunnel
	MTU    int    // CreateTunnel, SetMTU: the interface's, in bytes
	Hook   Hook   // RunHook
	Note   Note   // Report
	// Reason is the broker's, for the notes that it was refused or closed; zero if
	// it gave none.
	Reason wire.Reason
}

// EffectKind is the kind of an Effect.
type EffectKind uint8

// The kinds of effect.
const (
	Open         EffectKind = iota // Broker: resolve its name, make a socket
	Close                          // Broker: close its socket, or stop opening one
	Send                           // Broker: send Data
	Probe                          // Broker: send a wire.AppendPMTUD of Size; that it is too large is no error
	CreateTunnel                   // make Tunnel over Broker's socket with MTU, and bring it up
	DeleteTunnel                   // remove Tunnel and its interface
	SetMTU                         // change the interface's MTU
	RunHook                        // run Hook after those that still run
	Report                         // Note happened with Broker; for a log
	Exit                           // all is down after Stop; there will be no more effects
)

// Tunnel is what the kernel has to know.
type Tunnel struct {
	ID, PeerID               uint32
	SessionID, PeerSessionID uint32
}

// Hook is an occasion for the hook script.
type Hook uint8

// The hooks.
const (
	Up      Hook = iota // the interface is up
	PreDown             // the interface is about to go
	Down                // the interface is gone
)

// String returns the first argument of the script.
func (h Hook) String() string {
	switch h {
	case Up:
		return "session.up"
	case PreDown:
		return "session.pre-down"
	}
	return "session.down"
}

// Note is a turn in the life of a client that an operator may want to read.
type Note uint8

// The notes.
const (
	Selecting   Note = iota // asking the brokers; no Broker
	NoBroker                // none answered; no Broker
	Selected                // Broker was chosen
	Refused                 // Broker refused, with Reason
	NoAnswer                // Broker did not set a tunnel up in time
	KernelError             // the tunnel could not be made, or its interface vanished
	SocketError             // the socket to Broker failed
	Established             // there is a tunnel to Broker
	Closed                  // Broker closed it, with Reason
	Silent                  // Broker was not heard for too long
	Stopped                 // the tunnel was taken down because of Stop
	LimitLost               // Broker never acknowledged LIMIT
)

var notes = [...]string{
	Selecting: "asking the brokers", NoBroker: "no broker answers", Selected: "broker selected",
	Refused: "the broker refused", NoAnswer: "the broker set no tunnel up in time", KernelError: "no tunnel from the kernel",
	SocketError: "the socket failed", Established: "tunnel established", Closed: "the broker closed the tunnel",
	Silent: "the broker fell silent", Stopped: "tunnel taken down", LimitLost: "the broker never acknowledged the limit",
}

// String says the note in words.
func (n Note) String() string {
	if int(n) < len(notes) {
		return notes[n]
	}
	return "unknown"
}

// Stats are counters since the machine was made.
type Stats struct {
	// The messages that had to be sent again, because no answer came.
	UsageRepeats, CookieRepeats, PrepareRepeats, LimitRepeats uint64
	Established                                               uint64 // tunnels
	Refused                                                   uint64 // ERROR instead of a tunnel
	NoAnswer                                                  uint64 // time-outs instead of a tunnel
	Lost                                                      uint64 // tunnels that ended without Stop
	Received                                                  uint64 // valid messages
	Dropped                                                   uint64 // datagrams that were none
}

// Repeats is how many messages of the set-up had to be sent again.
func (s Stats) Repeats() uint64 { return s.UsageRepeats + s.CookieRepeats + s.PrepareRepeats }
