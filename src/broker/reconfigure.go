package broker

import (
	"net/netip"
	"time"

	"tunneldigger/src/admission"
	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// Reconfigure brings another configuration of the same section into force.
// Tunnels stand, and follow what concerns them: the fixed MTU, the time-out,
// their bandwidth. An ID of its own a node has with its next tunnel. TunnelIDBase stays as it is. With a smaller MaxTunnels the
// tunnels above it live to their end. Those who wait are served at the new pace;
// who can't be served in time any more is sent away. Of o, Verify and
// MaxTunnels count. Effects are appended to out.
func (b *Broker) Reconfigure(now time.Duration, c config.Broker, o Options, out []Effect) []Effect {
	b.out = out
	old := b.config
	c.TunnelIDBase = old.TunnelIDBase
	b.config = c
	b.options.Verify, b.options.MaxTunnels = o.Verify, o.MaxTunnels
	b.setLimit()
	b.strangers.row, b.strangers.waits = nil, nil // they speak again, perhaps elsewhere
	if c.MaxTunnels != old.MaxTunnels {
		b.tunnels.resize(c.MaxTunnels)
		b.ids.resize(c.MaxTunnels, b.Holds)
	}
	b.perIP.Set(now, c.PerIP.Count, c.PerIP.Time)
	b.perUUID.Set(now, c.PerUUID.Count, c.PerUUID.Time)
	if c.AnswerRate != old.AnswerRate {
		b.shed = newShedder(c.AnswerRate)
	}
	if c.RateInterval != old.RateInterval {
		b.repace(now, old.RateInterval)
	}
	b.tunnels.each(func(t *tunnel) {
		switch {
		case t.state == verifying:
			t.mtu = b.firstMTU(t)
		case t.stands():
			b.follow(now, t, old.PMTU)
		}
	})
	out, b.out = b.out, nil
	return out
}

// Knows reports whether the conversation of these two ends is that of a tunnel.
func (b *Broker) Knows(peer, local netip.AddrPort) bool { return b.pairs[pair{peer, local}] != nil }

// Serial is the last serial number that a tunnel has got.
func (b *Broker) Serial() uint64 { return b.serial }

// follow adapts a tunnel that stands.
func (b *Broker) follow(now time.Duration, t *tunnel, oldPMTU int) {
	switch fixed := b.config.PMTU; {
	case fixed == oldPMTU:
	case fixed != 0:
		b.sendMTU(t, fixed)
		b.changeMTU(t, fixed)
	default: // it keeps what it has until that is known to be wrong
		t.prober = newProber(now, t, b.options.Random())
	}
	b.allot(t)
	b.schedule(t)
}

// repace lets those who wait go on to wait in a queue of another pace.
func (b *Broker) repace(now, oldInterval time.Duration) {
	old := b.queue
	b.queue = admission.NewQueue[pair, request](b.config.RateInterval)
	next, _ := old.Due()
	b.queue.Served(next - oldInterval) // when the last one was
	for {
		r, ok := old.Pop(1<<63 - 1)
		switch {
		case !ok:
			return
		case now-r.heard > stale:
		case b.config.RateInterval == 0:
			b.start(now, r)
		default:
			b.push(&r)
		}
	}
}

func (b *Broker) setLimit() {
	b.limit = b.config.MaxTunnels
	if most := b.options.MaxTunnels; most > 0 && most < b.limit {
		b.limit = most
	}
}

// firstMTU is what a tunnel's interface has until more is known.
func (b *Broker) firstMTU(t *tunnel) int {
	if b.config.PMTU != 0 {
		return b.config.PMTU
	}
	return wire.DefaultTunnelMTU + wire.TunnelOverhead(false) - wire.TunnelOverhead(t.v6())
}
