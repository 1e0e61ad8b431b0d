package simulate

import "time"

// drained is what is known of a broker that is being drained.
type drained struct {
	since    time.Duration
	rate     int // tunnels a minute
	released int
}

// Drain switches draining of the process that runs on or off.
func (sv *Server) Drain(on bool, rate int) {
	if !sv.alive {
		return
	}
	sv.trace("is drained: %v, %d a minute", on, rate)
	sv.drained = drained{since: sv.world.now, rate: rate}
	sv.out = sv.core.Drain(sv.world.now, on, rate, sv.out[:0])
	sv.carryOut()
	if n := sv.core.Waiting(); on && n > 0 {
		sv.fail("has %d clients waiting while it is drained", n)
	}
}

// drain takes a broker out of service for a while.
func (f *Fleet) drain(sv *Server) {
	sv.Drain(true, []int{0, 0, 20, 600}[f.Random.IntN(4)])
	f.After(f.upTo(60*s), func() { sv.Drain(false, 0) })
}

// checkNewcomer: nobody is let in by a broker that is being drained.
func (sv *Server) checkNewcomer() {
	if on, _ := sv.core.Draining(); on {
		sv.fail("lets a client in while it is drained")
	}
}

// checkReleased: no more tunnels are closed than was asked for. A loop that is
// late catches up on a second.
func (sv *Server) checkReleased() {
	d := &sv.drained
	d.released++
	if on, _ := sv.core.Draining(); !on || d.rate == 0 {
		sv.fail("closes a tunnel as it would when it is drained")
		return
	}
	if most := 1 + int((sv.world.now-d.since+s)*time.Duration(d.rate)/time.Minute); d.released > most {
		sv.fail("has closed %d tunnels %v after draining began, at %d a minute", d.released, sv.world.now-d.since, d.rate)
	}
}
