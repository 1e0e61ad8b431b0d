package client

import (
	"time"

	"tunneldigger/src/wire"
)

// Policy is how a client chooses among the brokers that answered.
type Policy uint8

// The policies; the letters are those of the command line.
const (
	First     Policy = iota // -g: whoever answers first
	LeastUsed               // -a: the one that reports the least load
	Random                  // -r: any that answered within Timers.Select
)

// Options say who a client is and how it behaves.
type Options struct {
	// Brokers is how many brokers there are; events and effects name them 0 to
	// Brokers-1.
	Brokers int
	Policy  Policy
	// UUID tells the broker who this is; see wire.ValidUUID.
	UUID string
	// TunnelID is the client's own, unique in its network namespace; 0 stands
	// for 1.
	TunnelID uint32
	// Features are offered to the broker. With none the client behaves like one
	// from before feature flags.
	Features wire.Features
	// NoTunnelID leaves the tunnel ID out of PREPARE, and so the features, as the
	// oldest clients do. The tunnel ID is then 1.
	NoTunnelID bool
	// Limit is the bandwidth towards the client to ask for, in kbit/s; 0 asks for
	// nothing.
	Limit uint32
	// Hooks says that the caller runs hooks. Without it there are no RunHook
	// effects.
	Hooks bool
	// NoProbes leaves path MTU discovery to the broker.
	NoProbes bool
	// Rand returns a number in 0–n-1; only Random needs it.
	Rand func(n int) int
	// Timers may be left zero.
	Timers Timers
}

// Timers are the times of the protocol. One that is not positive stands for the
// value in the comment, which is what clients in the field use.
type Timers struct {
	Repeat    time.Duration // 2 s: between two USAGE, COOKIE or PREPARE, or two attempts to open a broker
	Select    time.Duration // 10 s: how long answers to USAGE are waited for
	Establish time.Duration // 15 s: from COOKIE to a tunnel, or the broker counts as broken
	Pause     time.Duration // 5 s: when no broker is left
	Broken    time.Duration // 1 h: how long a broken broker is avoided
	Keepalive time.Duration // 5 s: between two KEEPALIVE
	Silence   time.Duration // 60 s: without a message from the broker the tunnel is given up
	Reliable  time.Duration // 1 s: between two LIMIT, until it is acknowledged
	ProbeWait time.Duration // 15 s: until the first round of probes; doubles with each round
	ProbeMax  time.Duration // 600 s: between two rounds at most
	ProbeGap  time.Duration // 1 s: between two bursts of a round
}

func (t Timers) withDefaults() Timers {
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Repeat, 2 * time.Second},
		{&t.Select, 10 * time.Second},
		{&t.Establish, 15 * time.Second},
		{&t.Pause, 5 * time.Second},
		{&t.Broken, time.Hour},
		{&t.Keepalive, 5 * time.Second},
		{&t.Silence, 60 * time.Second},
		{&t.Reliable, time.Second},
		{&t.ProbeWait, 15 * time.Second},
		{&t.ProbeMax, 600 * time.Second},
		{&t.ProbeGap, time.Second},
	} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return t
}
