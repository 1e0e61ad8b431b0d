package simulate

import (
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
)

// Crash is Kill, and the process has left a record of its tunnels: the next one makes
// them again.
func (sv *Server) Crash(away time.Duration) {
	if !sv.alive {
		return
	}
	sv.left, sv.leftAt, sv.ending = nil, sv.world.now, make(map[uint32]bool)
	for t, ok := sv.core.Next(0); ok; t, ok = sv.core.Next(t.Tunnel + 1) {
		if record := sv.core.AppendTunnel(nil, t.Tunnel); len(record) > 0 {
			sv.left = append(sv.left, record)
			r := sv.records[t.Serial]
			sv.ending[t.Tunnel] = r == nil || r.stage > up
		}
	}
	sv.trace("crashes, and leaves %d tunnels", len(sv.left))
	sv.end(away)
}

// remake has the tunnels made again that the process before has left.
func (sv *Server) remake() {
	left := sv.left
	sv.left = nil
	if len(left) == 0 {
		return
	}
	var remade []uint32
	remade, _, sv.out = sv.core.Remake(sv.world.now, sv.leftAt, left, sv.out[:0])
	for i := range sv.out {
		e := &sv.out[i]
		r := sv.records[e.Serial]
		if r == nil {
			r = &record{Facts: e.Facts, stage: down}
			sv.records[e.Serial] = r
			sv.name(e.Tunnel, r)
		}
		switch e.Kind {
		case broker.EffectHook:
			r.mourning = true
		case broker.EffectCreate:
			r.stage, r.again = creating, true
		}
	}
	for _, id := range remade {
		if sv.ending[id] {
			sv.fail("makes tunnel %d again, which was ending", id)
		}
	}
	sv.most = sv.core.Tunnels()
	sv.carryOut()
}

// checkMourning: session.down of an interface that a crash took comes first, once.
func (sv *Server) checkMourning(e *broker.Effect, r *record) bool {
	if r == nil || !r.mourning || e.Hook != config.EventSessionDown || r.last == e.Hook {
		return false
	}
	r.last = e.Hook
	return true
}

// notRemade is called when a tunnel that was to be made again is given up.
func (sv *Server) notRemade(r *record) {
	if r.stage = down; !r.mourning {
		sv.forget(r)
	}
}
