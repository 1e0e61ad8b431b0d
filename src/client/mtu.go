package client

import (
	"time"

	"tunneldigger/src/wire"
)

// bursts is how often a round of probes sends all sizes.
const bursts = 5

// sizes are the path MTUs that are probed, in bytes.
var sizes = [...]int{1334, 1400, 1450, 1476, 1492, 1500}

// mtu is the path MTU discovery of clients in the field: all sizes at once,
// five times, and the largest that was acknowledged counts when the round is
// over.
type mtu struct {
	v6       bool
	inForce  int           // the interface's
	measured int           // tunnel MTU, 0 while there was no round with an answer
	peer     int           // tunnel MTU that the broker notified, 0 for none
	burst    int           // bursts sent in this round, 0 between rounds
	best     int           // largest UDP payload acknowledged in this round
	began    time.Duration // start of the round
	next     time.Duration // next burst, end of the round, or next round
	wait     time.Duration // from the start of one round to that of the next
}

func newMTU(v6 bool) mtu {
	path := sizes[len(sizes)-1]
	return mtu{v6: v6, inForce: path - wire.TunnelOverhead(v6), next: Never}
}

// acknowledged notes that a probe of payload bytes arrived. A size that is not
// probed is ignored, as anybody could claim it.
func (p *mtu) acknowledged(payload int) {
	for _, size := range sizes {
		if p.burst > 0 && payload == size-wire.UDPOverhead(p.v6) {
			p.best = max(p.best, payload)
		}
	}
}

// probe sends a burst, or ends the round after the last one.
func (m *Machine) probe() {
	p := &m.session.mtu
	if p.burst == bursts {
		m.endRound()
		return
	}
	if p.burst == 0 {
		p.began = m.now
	}
	p.burst++
	p.next = m.now + m.timers.ProbeGap
	for _, size := range sizes {
		m.emit(Effect{Kind: Probe, Broker: m.active, Size: size - wire.UDPOverhead(p.v6)})
	}
}

func (m *Machine) endRound() {
	p := &m.session.mtu
	if p.best != 0 {
		p.measured = p.best + wire.UDPOverhead(p.v6) - wire.TunnelOverhead(p.v6)
		m.applyMTU()
	}
	if p.measured != 0 {
		start := len(m.buf)
		m.buf = wire.AppendPMTUNtfy(m.buf, uint16(p.measured))
		m.sent(m.active, start)
	}
	p.wait = min(2*p.wait, m.timers.ProbeMax)
	p.burst, p.best = 0, 0
	p.next = max(p.began+p.wait, m.now)
}

// notified notes the tunnel MTU that the broker measured. Another one than
// before says that the path has changed, so that the next round comes soon.
func (m *Machine) notified(mtu int) {
	p := &m.session.mtu
	if mtu == p.peer {
		return
	}
	if p.peer != 0 && p.burst == 0 && !m.opt.NoProbes {
		p.wait = m.timers.ProbeWait
		p.next = min(p.next, m.now+p.wait)
	}
	p.peer = mtu
	m.applyMTU()
}

// applyMTU brings the interface to the smaller of both measurements.
func (m *Machine) applyMTU() {
	p := &m.session.mtu
	want := p.measured
	if want == 0 {
		want = newMTU(p.v6).inForce
	}
	if p.peer != 0 {
		want = min(want, p.peer)
	}
	if want = max(want, wire.MinTunnelMTU); want != p.inForce {
		p.inForce = want
		m.emit(Effect{Kind: SetMTU, Broker: m.active, MTU: want})
	}
}
