// Package status writes what a broker does, for people and for programs: as a
// table, as JSON, and as metrics in the text format of Prometheus.
//
// It is pure, and it writes in pieces: a function appends one piece to a slice,
// so that a status of thousands of tunnels is never in memory as a whole and
// whoever calls can do something else between two pieces. What came from clients
// or from the configuration is escaped in every format.
package status

import (
	"net/netip"
	"time"

	"tunneldigger/src/broker"
)

// Report is the process and its broker sections at one moment.
type Report struct {
	Version      string
	PID          int
	Started      uint64        // in seconds since 1970, by the clock on the wall as it goes now
	Uptime       time.Duration // since the process began to serve, upgrades in place included
	Memory       uint64        // resident, in bytes
	Hooks        Hooks
	SendFailures uint64 // datagrams that could not be sent
	// Frames are the counts of frames that the program has carried and dropped itself, by reason; none where only the kernel carries some.
	Frames   []Count
	Sections []Section
}

// Hooks count runs of hooks; all the programs of one event are one run.
type Hooks struct {
	Running, Waiting int
	Ended            uint64 // those that failed included
	Failed           uint64 // with another status than 0, killed, or not to be started; a refusal by session.verify is no failure
}

// Count is how often something has happened for a reason, in a word.
type Count struct {
	Reason string
	N      uint64
}

// Section is one broker section.
type Section struct {
	Name      string
	Interface string // "": any
	Datapath  string // what carries the frames: kernel, user, or none
	Listeners []Listener
	Refusals  []Refusal // the last ones, last first
	WaitsFor  string    // what is missing before it can listen anywhere, in words
	Tunnels   int       // those included that are coming or going
	Limit     int
	Queued    int
	// Unattached is how many of the tunnels are attached to nothing, though there are bridge sections.
	Unattached int
	// UnattachedTotal is how many have been so far.
	UnattachedTotal uint64
	// HookFailed is for how many of the tunnels a hook has failed.
	HookFailed int
	Draining   bool
	CloseRate  int // tunnels a minute
	Stats      broker.Stats
	Limits     broker.Limits
}

// Refusal is one of the last refusals of clients.
type Refusal struct {
	_      [0]func()      // not to be compared: that would be code for nothing
	UUID   string         // escaped where it is not acceptable, "": it was empty
	Peer   netip.AddrPort // the zero value: not to be shown
	Reason broker.Reason
	Detail string // what is wrong with the UUID, in words; "": nothing
	Ago    time.Duration
	Count  uint64 // how often this UUID was refused for this reason
}

// Listener is an address and port that a section is to listen on.
type Listener struct {
	At  netip.AddrPort
	Why string // it does not, in words; "": it does
}

// Tunnel is one tunnel.
type Tunnel struct {
	broker.TunnelInfo
	Now     time.Duration // what its times are compared with
	Section string
	Hidden  bool   // the client's address is not to be shown
	Master  string // what the interface is attached to, "": nothing
	// Unattached is why it is attached to nothing, in words, where there are bridge sections; else "".
	Unattached string
	// HookFailed is which hook has failed for it, and how; "": none.
	HookFailed string
	Traffic
}

// Traffic counts what passed an interface, as ip -s link does: received from
// the client, transmitted to it.
type Traffic struct{ RxBytes, RxPackets, TxBytes, TxPackets uint64 }

// age is how long the tunnel stands.
func (t *Tunnel) age() time.Duration {
	if t.Opened == 0 {
		return 0
	}
	return max(0, t.Now-t.Opened)
}

// silence is how long nothing was heard of the client.
func (t *Tunnel) silence() time.Duration { return max(0, t.Now-t.Heard) }
