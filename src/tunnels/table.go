// Package tunnels has the broker's ends of tunnels on the data paths: those that wait to
// be made, to be raised or to be brought to another bridge, and those that stand. It
// decides nothing: it is told what is to be done, does as much of it in a turn as others can wait
// for, and what came of it is a Result, with the event that the core is to hear of.
package tunnels

import (
	"net/netip"
	"time"

	"tunneldigger/src/bridges"
	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/datapath"
	"tunneldigger/src/link"
	"tunneldigger/src/poll"
)

// Section is what tunnels share that are of one broker section.
type Section struct {
	_      [0]func() // not to be compared: that would be code for nothing
	Number int
	Config *config.Broker
	Path   datapath.Path
}

// Tunnel is one tunnel's end. Those of a Table are only to be read.
type Tunnel struct {
	_           [0]func() // not to be compared: that would be code for nothing
	ID          uint32    // 1–65535
	Section     *Section
	Listener    int // by which its client came
	Peer, Local netip.AddrPort
	Interface   string
	Closing     bool         // its socket is closed, the interface is on its way out
	Traffic     link.Traffic // as Count has heard last

	uuid   string
	want   datapath.Want
	raises bool          // the interface is to be raised
	since  time.Duration // since when
	silent int           // how often in a row its socket had nothing but errors
}

// Result is what came of something that was to be done for a tunnel.
type Result struct {
	Section *Section
	Event   broker.Event // for the core; Kind 0: nothing that it is to hear
	Err     error        // why the tunnel could not be made or raised; nil: it could
}

// Table has the tunnels of a broker, by their IDs. It is not safe for concurrent use.
type Table struct {
	// Newcomer is when a client last asked for something, which goes before raising.
	Newcomer time.Duration

	links  *datapath.Interfaces
	plan   *bridges.Plan
	poller *poll.Poller
	token  uint64

	byID     []*Tunnel
	creates  []creation
	rises    []*Tunnel
	moving   bool   // tunnels are being brought to other bridges
	moveNext uint32 // the ID from which on
	results  []Result
	padded   [1500]byte
}

// New makes a Table without tunnels, whose interfaces are among links, attached as plan
// wants them. poller waits at their sockets, each by its ID, added to token.
func New(links *datapath.Interfaces, plan *bridges.Plan, poller *poll.Poller, token uint64) *Table {
	return &Table{links: links, plan: plan, poller: poller, token: token}
}

// Follow has tunnels attached as another plan wants them from now on. Those that stand follow
// where their MTU changes; the others Move has follow.
func (ts *Table) Follow(plan *bridges.Plan) { ts.plan = plan }

// Get is the tunnel of an ID, whatever that is: the kernel has tunnels of others as well. nil:
// it is none of these.
func (ts *Table) Get(id uint32) *Tunnel {
	if uint64(id) < uint64(len(ts.byID)) {
		return ts.byID[id]
	}
	return nil
}

// Next is the first tunnel whose ID is not below id; nil: there is none.
func (ts *Table) Next(id uint32) *Tunnel {
	for ; uint64(id) < uint64(len(ts.byID)); id++ {
		if ts.byID[id] != nil {
			return ts.byID[id]
		}
	}
	return nil
}

func (ts *Table) add(t *Tunnel) {
	for uint64(t.ID) >= uint64(len(ts.byID)) {
		ts.byID = append(ts.byID, nil)
	}
	ts.byID[t.ID] = t
}

// Ports adds the UDP ports that tunnels have on this side.
func (ts *Table) Ports(to map[uint16]bool) {
	for t := ts.Next(0); t != nil; t = ts.Next(t.ID + 1) {
		to[t.Local.Port()] = true
	}
}

// Count takes in what passed an interface, which may be none of a tunnel's.
func (ts *Table) Count(name []byte, passed link.Traffic) {
	if t := ts.Get(broker.TunnelOf(name)); t != nil && t.Interface == string(name) {
		t.Traffic = passed
	}
}

// Due is when Make, Raise or Move has something to do; false: nothing is there for them.
func (ts *Table) Due() (at time.Duration, ok bool) {
	if ts.moving || len(ts.creates) > 0 {
		return 0, true
	}
	return ts.Newcomer + lull, len(ts.rises) > 0
}
