// Package pmtu finds the path MTU of a tunnel: which probes to send when, and
// what their answers mean. A Prober is a plain value in its tunnel; it sends
// nothing itself and reads no clock.
//
// All sizes go out at once, so that a round trip tells the answer, and again
// every second for those that are still unanswered, because a lost probe looks
// like one that was too large.
package pmtu

import (
	"time"

	"tunneldigger/src/wire"
)

const (
	bursts    = 5 // in a round, the first included
	hasty     = 2 // bursts after which a new tunnel takes what it has so far
	spacing   = time.Second
	firstRest = 30 * time.Second
	longRest  = 600 * time.Second
	hintRest  = 5 * time.Second // two rounds are at least this far apart
	maxHints  = 6               // so often that doubles for those that hints ask for: to 320 s
)

// sizes are the path MTUs that are probed, in bytes (protocol.md, "While the
// tunnel stands"), largest first.
var sizes = [...]int{1500, 1492, 1476, 1450, 1400, 1334}

// TunnelMTUs are the MTUs, in bytes, that a Prober may find, largest first and
// without duplicates.
func TunnelMTUs(v6 bool) (all []int) {
	for _, size := range sizes {
		mtu := max(size-wire.TunnelOverhead(v6), wire.MinTunnelMTU)
		if len(all) == 0 || mtu < all[len(all)-1] {
			all = append(all, mtu)
		}
	}
	return all
}

// Prober measures one tunnel's path from this side to the other.
type Prober struct {
	v6     bool
	idle   bool          // between rounds
	burst  int           // bursts sent in this round
	best   int           // largest path MTU acknowledged in this round
	limit  int           // larger ones are known not to pass in this round; 0: none known
	warned int           // the limit that the next round begins with
	hinted bool          // something has asked for the next round
	hints  int           // how many rounds of late were asked for
	path   int           // outcome of the last round that had one; 0: none yet
	began  time.Duration // start of the round
	ended  time.Duration // end of the last round
	next   time.Duration // when Fire is due
	resume time.Duration // the rest after this round
}

// New makes a Prober whose first round is due at now.
func New(v6 bool, now time.Duration) Prober {
	return Prober{v6: v6, idle: true, next: now, resume: firstRest}
}

// Due is when Fire is to be called next.
func (p *Prober) Due() time.Duration { return p.next }

// Resting reports whether the next Fire begins a round.
func (p *Prober) Resting() bool { return p.idle }

// Fire is called when Due has come. It appends the UDP payload sizes to probe
// now, in bytes, and reports whether the outcome changed: here that is the first
// one, or a smaller one. heard is when the peer was last heard: a round without
// a single acknowledgement means "nothing passes" only if the peer was heard
// after it began, since a client may take long to make its end of a new tunnel.
func (p *Prober) Fire(now, heard time.Duration, out []int) ([]int, bool) {
	if p.idle {
		p.idle, p.burst, p.best, p.began = false, 0, 0, now
		p.limit, p.warned = p.warned, 0
		if p.hinted {
			p.hints = min(p.hints+1, maxHints)
		} else {
			p.hints = max(p.hints-1, 0)
		}
		p.hinted = false
	}
	if p.burst == bursts {
		return out, p.end(now, heard)
	}
	changed := false
	if p.path == 0 && p.burst == hasty && p.best != 0 {
		p.path, changed = p.best, true
	}
	p.burst++
	p.next = now + spacing
	for _, size := range sizes {
		if size > p.best && p.passable(size) {
			out = append(out, size-wire.UDPOverhead(p.v6))
		}
	}
	return out, changed
}

// Ack notes that a probe of payload bytes arrived, and reports whether the
// outcome changed: a larger size counts at once, a smaller one when the round
// ends without a better. Sizes that were never probed are ignored.
func (p *Prober) Ack(now time.Duration, payload int) bool {
	path := payload + wire.UDPOverhead(p.v6)
	if p.idle || path <= p.best || !probed(path) {
		return false
	}
	p.best = path
	return p.settle(now)
}

// TooBig notes that this host or a router on the way can't pass packets larger
// than path bytes. It may come at any time (by a failed send, or by ICMP for a
// frame) and starts a round where none is under way. It is a hint for this
// round alone, because anyone can forge one; it can end the round early, but the
// outcome is always a size that the peer acknowledged.
func (p *Prober) TooBig(now time.Duration, path int) bool {
	if path < sizes[len(sizes)-1] {
		return false
	}
	if p.idle {
		if path >= p.path && p.path != 0 {
			return false
		}
		p.warned = path
		p.Hint(now)
		return false
	}
	if p.limit == 0 || path < p.limit {
		p.limit = path
	}
	return p.settle(now)
}

// Hint asks for a round soon: something says that the path has changed. Anybody
// can forge that, and a round is a thousand times as large as what asks for it:
// so the first is believed at once, and each one after it takes twice as long.
func (p *Prober) Hint(now time.Duration) {
	if p.idle {
		if p.hints == 0 {
			p.resume = firstRest
		}
		p.hinted = true
		p.next = min(p.next, max(now, p.ended+hintRest<<p.hints))
	}
}

// MTU is the tunnel MTU that the last outcome allows, 0 before the first, never
// below wire.MinTunnelMTU.
func (p *Prober) MTU() int {
	if p.path == 0 {
		return 0
	}
	return max(p.path-wire.TunnelOverhead(p.v6), wire.MinTunnelMTU)
}

// settle ends the round when no larger size is left to wait for, and raises the
// outcome as soon as it is known to be larger.
func (p *Prober) settle(now time.Duration) bool {
	for _, size := range sizes {
		if size > p.best && p.passable(size) {
			if p.best > p.path && p.path != 0 {
				p.path = p.best
				p.resume = firstRest
				return true
			}
			return false
		}
	}
	return p.end(now, now)
}

func (p *Prober) end(now, heard time.Duration) bool {
	before := p.path
	switch {
	case p.best != 0:
		p.path = p.best
	case heard > p.began:
		p.path = sizes[len(sizes)-1]
	}
	if p.path != before {
		p.resume = firstRest
	}
	p.idle, p.ended, p.next = true, now, now+p.resume
	p.resume = min(2*p.resume, longRest)
	return p.path != before
}

func (p *Prober) passable(size int) bool { return p.limit == 0 || size <= p.limit }

func probed(path int) bool {
	for _, size := range sizes {
		if size == path {
			return true
		}
	}
	return false
}
