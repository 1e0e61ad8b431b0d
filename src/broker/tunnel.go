package broker

import (
	"net/netip"
	"time"

	"tunneldigger/src/pmtu"
	"tunneldigger/src/wire"
)

type state uint8

const (
	verifying  state = iota // the session.verify hook is asked
	creating                // the kernel is asked
	answered                // the client has its answer, the interface is not up yet
	up                      // the interface is up, and hooks hear of it
	closing                 // session.pre-down runs
	destroying              // the interface is being removed
	down                    // session.down runs
)

// pair is what tells clients apart: both ends of the UDP conversation.
type pair struct{ peer, local netip.AddrPort }

// request is what a client asked for with a PREPARE whose cookie held.
type request struct {
	pair
	listener   int
	peerTunnel uint32
	features   wire.Features
	uuid       string
	heard      time.Duration // when it was last repeated
	since      time.Duration // when it first came
}

func (r *request) same(uuid []byte, peerTunnel uint32, features wire.Features) bool {
	return r.uuid == string(uuid) && r.peerTunnel == peerTunnel && r.features == features
}

// tunnel is one tunnel, from the admission of its client until its ID is free.
type tunnel struct {
	_ [0]func() // not to be compared: that would be code for nothing
	request
	id         uint32
	serial     uint64
	state      state
	tries      int           // IDs tried so far
	opened     time.Duration // when it came up
	due        time.Duration // when it next needs attention
	place      int           // in the deadlines, -1: not there
	keepalive  time.Duration // when the next one is due
	sequence   uint16
	mtu        int  // in force
	notified   int  // what the peer measured, 0: unknown
	told       int  // what hooks know
	telling    bool // session.mtu-changed runs
	fresh      bool // session.up has not ended yet
	again      bool // a crash took it, and it is made again: its client knows nothing of that
	mourning   bool // session.down of the interface that the crash took has not ended yet
	fixed      bool // its ID is the node's own
	silent     bool // it goes without having been up, and hooks hear nothing of it
	prober     pmtu.Prober
	bandwidth  uint32 // kbit/s, 0: no limit
	wanted     uint32 // what the client asked for
	asked      bool   // it has asked
	limitSeq   uint16 // of the last LIMIT that was applied
	limitKnown bool
	successor  *request      // what the client wants once this tunnel is gone
	spent      time.Duration // for when changes that the client wanted are paid
	behind     bool          // some of them wait
	misfit     *misfit       // nil: no frame of another session came
	rivalry    *rivalry      // nil: nobody else was seen to claim the UUID
}

func (t *tunnel) v6() bool { return !t.peer.Addr().Is4() }

// stands reports whether the client has its answer and nothing has ended the tunnel.
func (t *tunnel) stands() bool { return t.state == answered || t.state == up }

// session gives this side's session ID: the tunnel's own for clients that know
// unique session IDs, else 1 (protocol.md, "Set-up").
func (t *tunnel) session() uint32 {
	if t.features&wire.UniqueSessionID != 0 {
		return t.id
	}
	return 1
}

func (t *tunnel) peerSession() uint32 {
	if t.features&wire.UniqueSessionID != 0 {
		return t.peerTunnel
	}
	return 1
}

func (t *tunnel) facts() Facts {
	return Facts{Serial: t.serial, Tunnel: t.id, Session: t.session(), MTU: t.mtu, Peer: t.peer, Local: t.local, UUID: t.uuid}
}
