package simulate

import (
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
)

// Reconfigure changes the configuration of the process that runs; where none
// does, the next one begins with it. The tunnel IDs begin where they did.
func (sv *Server) Reconfigure(c config.Broker, verify bool) {
	c.TunnelIDBase = sv.config.TunnelIDBase
	sv.refixed = sv.refixed || c.PMTU != sv.config.PMTU
	sv.config, sv.options.Verify = c, verify
	if !sv.alive {
		return
	}
	sv.door.reopen()
	sv.trace("has another configuration: %+v, verify %v", c, verify)
	sv.most = max(sv.most, sv.core.Tunnels()+sv.core.Waiting())
	sv.ticking = true // it may serve who waits, as a tick does
	sv.out = sv.core.Reconfigure(sv.world.now, c, broker.Options{Verify: verify}, sv.out[:0])
	sv.carryOut()
	sv.ticking = false
}

// reconfigure changes some of a broker's options.
func (f *Fleet) reconfigure(sv *Server) {
	c, verify := sv.config, sv.options.Verify
	for range 1 + f.Random.IntN(3) {
		switch f.Random.IntN(9) {
		case 7:
			c.UUIDPolicy = config.UUIDPolicy(f.Random.IntN(3))
		case 8:
			c.PerUUID = config.Rate{Count: f.Random.IntN(5), Time: 20 * s}
		case 0:
			c.MaxTunnels = []int{1, 3, 5, 8, 16, 64}[f.Random.IntN(6)]
		case 1:
			c.TunnelTimeout = time.Duration(30+f.Random.IntN(60)) * s
		case 2:
			c.PMTU = f.Random.IntN(2) * (1280 + f.Random.IntN(120))
		case 3:
			c.RateInterval = []time.Duration{0, 20 * ms, 500 * ms, 2 * s, 5 * s}[f.Random.IntN(5)]
		case 4:
			c.PerIP = config.Rate{Count: f.Random.IntN(5), Time: 20 * s}
		case 5:
			c.BandwidthDownDefault, c.BandwidthDownMax = uint32(f.Random.IntN(3))*1000, uint32(f.Random.IntN(3))*5000
		case 6:
			verify = !verify
		}
	}
	sv.Reconfigure(c, verify)
}

// checkLimit: there are never more tunnels than were configured. Those that were
// there when the limit fell may stay, but don't become more.
func (sv *Server) checkLimit() {
	n := sv.core.Tunnels() + sv.core.Waiting()
	if n > max(sv.config.MaxTunnels, sv.most) {
		sv.fail("has %d tunnels, with those who wait; %d were configured, and %d there before", n, sv.config.MaxTunnels, sv.most)
	}
	sv.most = min(sv.most, n)
}

// checkFixed: in a section with a fixed MTU every tunnel that is up has that one.
func (sv *Server) checkFixed() {
	for _, r := range sv.records {
		if o := sv.ids[r.Tunnel]; sv.config.PMTU != 0 && r.stage == up && o != nil && o.state == there && o.MTU != sv.config.PMTU {
			sv.fail("has tunnel %d with MTU %d, want %d for all", r.Tunnel, o.MTU, sv.config.PMTU)
		}
	}
}
