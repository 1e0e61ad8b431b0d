package broker

import (
	"time"

	"tunneldigger/src/wire"
)

// TunnelInfo is one tunnel as a report shows it.
type TunnelInfo struct {
	Facts
	State     string        // verifying, creating, answered, up, closing, destroying or down, see the package comment
	Opened    time.Duration // when it came up, 0: not yet
	Heard     time.Duration // when the client last said something
	Bandwidth uint32        // kbit/s towards the client, 0: no limit
	Features  wire.Features // that both sides use
	// PeerTunnel and PeerSession are the client's IDs.
	PeerTunnel, PeerSession uint32
}

var stateNames = [...]string{"verifying", "creating", "answered", "up", "closing", "destroying", "down"}

// Stands reports whether the client has the tunnel and nothing has ended it; its
// interface may not be up yet.
func (t *TunnelInfo) Stands() bool { return t.Answered() || t.State == stateNames[up] }

// Answered reports whether the tunnel's interface is still to be raised.
func (t *TunnelInfo) Answered() bool { return t.State == stateNames[answered] }

// Next gives the first tunnel whose ID is not below id; false: there is none.
func (b *Broker) Next(id uint32) (TunnelInfo, bool) {
	t := b.tunnels.next(id)
	if t == nil {
		return TunnelInfo{}, false
	}
	return TunnelInfo{t.facts(), stateNames[t.state], t.opened, t.heard, t.bandwidth, t.features, t.peerTunnel, t.peerSession()}, true
}

// next gives the first tunnel whose ID is not below id, nil if there is none.
func (t *table) next(id uint32) *tunnel {
	for i := max(id, t.base) - t.base; uint64(i) < uint64(len(t.slots)); i++ {
		if t.slots[i] != nil {
			return t.apartBefore(id, t.slots[i])
		}
	}
	return t.apartBefore(id, nil)
}

// apartBefore gives the first tunnel outside of the range from id on, if its ID is below that
// of one in it.
func (t *table) apartBefore(id uint32, first *tunnel) *tunnel {
	if i := t.apartFrom(id); i < len(t.apart) && (first == nil || t.apart[i].id < first.id) {
		return t.apart[i]
	}
	return first
}

// Limit is how many tunnels there may be at once.
func (b *Broker) Limit() int { return b.limit }

// Refusal tells a refusal's reason from that of a close.
func (r Reason) Refusal() bool { return reasonLabels[min(r, ReasonCount)].refusal }

// Label names the reason for programs: it is stable, and unique among refusals
// and among closes.
func (r Reason) Label() string { return reasonLabels[min(r, ReasonCount)].label }

var reasonLabels = [ReasonCount + 1]struct {
	refusal bool
	label   string
}{
	RefusedFull: {true, "full"}, RefusedQueue: {true, "queue"}, RefusedRate: {true, "rate"}, RefusedUUID: {true, "uuid"},
	RefusedVerify: {true, "verify"}, RefusedOldClient: {true, "old_client"}, RefusedFailure: {true, "failure"},
	RefusedStopping: {true, "stopping"}, RefusedDenied: {true, "denied"}, RefusedDraining: {true, "draining"},
	RefusedRemoved: {true, "removed"}, RefusedTwin: {true, "twin"}, RefusedUUIDRate: {true, "uuid_rate"}, RefusedHeldOff: {true, "held_off"},

	ClosedTimeout: {false, "timeout"}, ClosedByPeer: {false, "peer"}, ClosedReplaced: {false, "replaced"},
	ClosedStopping: {false, "stopping"}, ClosedLost: {false, "lost"}, ClosedDenied: {false, "denied"},
	ClosedKicked: {false, "kicked"}, ClosedDrained: {false, "drained"}, ClosedRemoved: {false, "removed"},
	ClosedAttach: {false, "attach"},
	ClosedTwin:   {false, "twin"},
	ClosedMisfit: {false, "misfit"},
}

// Label names the kind for programs: it is stable and unique.
func (d Drop) Label() string { return dropWords[d].label }

// String says in words what kind of datagram it was.
func (d Drop) String() string { return dropWords[d].text }

var dropWords = [DropCount]struct{ label, text string }{
	DropMalformed: {"malformed", "broken, or of another protocol"},
	DropCookie:    {"cookie", "with a wrong or old cookie"},
	DropStranger:  {"stranger", "from an address that has no tunnel"},
	DropDirection: {"direction", "such as only brokers send"},
	DropClosing:   {"closing", "for a tunnel that is being closed"},
	DropShed:      {"shed", "above answer_rate_limit"},
	DropFrame:     {"frame", "with a frame, before the tunnel was there"},
	DropMisfit:    {"misfit", "with a frame of another session than the tunnel's"},
}
