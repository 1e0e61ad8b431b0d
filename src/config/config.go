// Package config holds the broker's configuration as one typed value and the
// one validator that makes it.
//
// It is pure: no files, no clock. The readers in config/uci and config/classic
// turn a text into a list of [Option]; [Build] checks that list and returns a
// [Config], and every fault of the file at once as [Faults].
package config

import (
	"net/netip"
	"slices"
	"time"
)

// Config is a checked configuration. Every value in it is in range and every
// reference in it resolves. It is not changed after [Build] has returned it.
type Config struct {
	// Brokers are the enabled broker sections in file order. It may be empty:
	// whether a daemon without brokers makes sense is the daemon's business.
	Brokers []Broker
	// Bridges are the bridge sections in file order, without those for a
	// broker that is not enabled. See [Config.BridgeFor].
	Bridges []Bridge
	// Clients are in file order, without those that a start leaves out.
	Clients []Client
	Hooks   Hooks
	Log     Log
	// Faults are those of the file that a start bears, in file order.
	Faults Faults
	// Notices are things to log once: options that are obsolete or have no
	// effect, each as one line with file and line number, in file order.
	Notices []string
}

// Broker is one section that listens and hands out tunnels.
type Broker struct {
	// Name is the section's name; anonymous UCI sections are "broker0",
	// "broker1" ... by their place among the broker sections, a classic file's
	// is "broker". Unique in a Config.
	Name string
	// Interface restricts the broker to a device or netifd interface; ""
	// means any.
	Interface string
	// Addresses to listen on. Empty means any address, IPv4 and IPv6;
	// otherwise it may hold 0.0.0.0 (any IPv4) or :: (any IPv6). No zone, no
	// IPv4-mapped form.
	Addresses []netip.Addr
	// Names are names of hosts that stand for addresses, until [Config.Resolve].
	Names []string
	// Ports is never empty and has no duplicates, in file order.
	Ports []uint16
	// MaxTunnels is how many tunnels may stand at once, 1–65535.
	MaxTunnels int
	// TunnelIDBase is the first tunnel ID. TunnelIDBase to
	// TunnelIDBase+MaxTunnels-1 lies within 1–65535 and overlaps with no other
	// broker's.
	TunnelIDBase uint32
	// TunnelTimeout is the silence after which a tunnel is closed.
	TunnelTimeout time.Duration
	// PMTU is the fixed tunnel MTU in bytes, 0 to discover it.
	PMTU int
	// RateInterval is the time between two new tunnels, 0 for no limit.
	RateInterval time.Duration
	// PerIP and PerUUID limit the connections of one address (IPv6: /64) and
	// of one UUID.
	PerIP, PerUUID Rate
	UUIDPolicy     UUIDPolicy
	// AllowList and DenyList are absolute paths of UUID lists, "" for none.
	AllowList, DenyList string
	// BandwidthDownMax is the most a client may ask for, BandwidthDownDefault
	// what one gets that does not ask; kbit/s, 0 for no cap.
	BandwidthDownMax, BandwidthDownDefault uint32
	// AnswerRate is how many cookies and usages, which anybody can ask for, are
	// sent a second at most, 0 for any number.
	AnswerRate int
	// Datapath is what carries the tunnels' frames.
	Datapath Datapath
}

// Rate allows Count connections in Time. Count 0 switches it off; otherwise
// Time is positive.
type Rate struct {
	Count int
	Time  time.Duration
}

// Bridge attaches tunnels to an interface.
type Bridge struct {
	// Name is the section's name, "bridge0" ... where it has none.
	Name string
	// MTU selects tunnels of this tunnel MTU, 0 every one.
	MTU int
	// Interface is a bridge or a batman-adv interface; "%m" in it stands for the
	// tunnel's MTU, see [Bridge.Device].
	Interface string
	// Isolate sets bridge port isolation.
	Isolate bool
	// Broker selects the tunnels of the broker section of this name, which is
	// among the Brokers; "" those of every section.
	Broker string
	// Ports selects the tunnels that came in by one of these local ports. Empty
	// means any port; no duplicates.
	Ports []uint16
	// Create has the broker make the bridge, and remove what it made. What follows
	// is for such sections only.
	Create bool
	// Addresses are given to each bridge that is made, with the length of their
	// prefix; no network's own address of IPv4, no duplicates.
	Addresses []netip.Prefix
	// Table is where packets that come in from the bridge are routed by, a number
	// of 1 to 4294967295 or a name of rt_tables; "" for no rule.
	Table string
	// Priority is that of the rule for Table, 1–32765.
	Priority uint32
}

// Client is what holds for one node.
type Client struct {
	_ [0]func() // not to be compared: that would be code for nothing
	// Name is the section's name, "client0" ... where it has none.
	Name string
	// UUID is one that package wire takes, and no other client's.
	UUID string
	// TunnelID is the ID that the node always has, 0 for any. It is no other
	// client's, and in the range of no broker section.
	TunnelID uint32
	// BandwidthDown is the node's limit in kbit/s, whatever it asks for, 0 for none
	// of its own.
	BandwidthDown uint32
	// Bridge is the name of a bridge section, one of the Bridges, that goes before
	// what [Config.BridgeFor] says; "" for that.
	Bridge string
}

// Takes reports whether tunnels of the broker section can be the bridge section's,
// by its name and ports.
func (b *Bridge) Takes(broker *Broker) bool {
	return (b.Broker == "" || b.Broker == broker.Name) && (len(b.Ports) == 0 || common(b.Ports, broker.Ports))
}

// common reports whether two lists of ports have one in common.
func common(a, b []uint16) bool {
	return slices.ContainsFunc(a, func(p uint16) bool { return slices.Contains(b, p) })
}

// UUIDPolicy says what happens when a client shows up with a UUID that has a
// tunnel already.
type UUIDPolicy uint8

// The values of the option uuid_policy.
const (
	UUIDAny     UUIDPolicy = iota // both tunnels stand
	UUIDReplace                   // the new one replaces the old
	UUIDRefuse                    // the new one is refused
)

// String gives the form that the option has in a file.
func (p UUIDPolicy) String() string {
	switch p {
	case UUIDReplace:
		return "replace"
	case UUIDRefuse:
		return "refuse"
	}
	return "any"
}

// Datapath says what carries tunnels' frames.
type Datapath uint8

// The values of the option datapath.
const (
	DatapathAuto   Datapath = iota // the kernel if it can, else the program
	DatapathKernel                 // the kernel's L2TP
	DatapathUser                   // the program, by TAP devices
)

// String gives the form that the option has in a file.
func (d Datapath) String() string {
	switch d {
	case DatapathKernel:
		return "kernel"
	case DatapathUser:
		return "user"
	}
	return "auto"
}

// Event is something that hooks are told about.
type Event uint8

// The events; files/doc/hooks.md says what each is. New ones at the end only: an upgrade hands the numbers over.
const (
	EventSessionUp Event = iota
	EventSessionPreDown
	EventSessionDown
	EventMTUChanged
	EventRateLimit
	EventVerify
	// EventCount is the number of events.
	EventCount
)

var eventNames = [EventCount]string{
	"session.up", "session.pre-down", "session.down", "session.mtu-changed",
	"broker.connection-rate-limit", "session.verify",
}

// String gives the name as hooks see it in ACTION, "session.up" for example.
func (e Event) String() string {
	if e < EventCount {
		return eventNames[e]
	}
	return "unknown"
}

// Hooks are the programs that run for events.
type Hooks struct {
	// Directory holds programs that run for every event, "" for none.
	Directory string
	// Timeout is how long one program may run.
	Timeout time.Duration
	// Parallel is how many hooks run at once at most; 0: as many as the machine's
	// memory is good for.
	Parallel int
	// Program is run for one event, before those of Directory; "" for none.
	Program [EventCount]string
	// VerifyTimeoutAccept lets a client in whom session.verify did not answer
	// for in time.
	VerifyTimeoutAccept bool
	// VerifyCache is how long an answer of session.verify holds for the same
	// UUID and address, 0 for no time.
	VerifyCache time.Duration
	// LeastPrivilege has hooks run with no more rights than the broker has.
	LeastPrivilege bool
}

// Level is how much is logged.
type Level uint8

// The levels of the option verbosity.
const (
	Debug Level = iota
	Info
	Warning
	Error
)

var levelNames = [...]string{"DEBUG", "INFO", "WARNING", "ERROR"}

// String gives the form that the level has in a file.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return "unknown"
}

// Log says what is logged.
type Log struct {
	Level Level
	// Addresses allows IP addresses of clients in the log.
	Addresses bool
	// HideUUIDs has a short hash stand for each UUID in the log.
	HideUUIDs bool
}

// BridgeFor gives the bridge section for a tunnel of the named broker section, with
// this tunnel MTU, whose client came to this local port; nil where there is none.
// Where several fit, one that names the port goes before one that does not; then
// one that names the broker; then one that names the MTU.
func (c *Config) BridgeFor(broker string, mtu int, port uint16) *Bridge {
	var best *Bridge
	rank := func(b *Bridge) int {
		r := 0
		if len(b.Ports) > 0 {
			r += 4
		}
		if b.Broker != "" {
			r += 2
		}
		if b.MTU != 0 {
			r++
		}
		return r
	}
	for i := range c.Bridges {
		b := &c.Bridges[i]
		if (b.Broker == "" || b.Broker == broker) && (b.MTU == 0 || b.MTU == mtu) &&
			(len(b.Ports) == 0 || slices.Contains(b.Ports, port)) && (best == nil || rank(b) > rank(best)) {
			best = b
		}
	}
	return best
}
