package simulate

import (
	"time"

	"tunneldigger/src/broker"
)

// mostLast is fewer than the nodes that a broker remembers.
const mostLast = 4000

// lasts is the world's own memory of which ID each node had last, of the IDs that a broker may leave alone, and of when requests that
// were being verified gave theirs back: who takes the place of such a one has chosen another ID before.
type lasts struct {
	id    map[string]uint32
	aside map[uint32]bool
	freed map[uint32]time.Duration
}

func newLasts() lasts {
	return lasts{make(map[string]uint32), make(map[uint32]bool), make(map[uint32]time.Duration)}
}

// ended is called when nothing is left of a tunnel.
func (l *lasts) ended(r *record) {
	if l.id[r.UUID] = r.Tunnel; len(l.id) > mostLast {
		clear(l.id)
	}
}

// checkSame: a node that comes back has the ID that it had last, if that is free.
func (sv *Server) checkSame(e *broker.Effect) {
	id, known := sv.last.id[e.UUID]
	if !known || sv.last.aside[id] || id-sv.config.TunnelIDBase >= uint32(sv.config.MaxTunnels) {
		return
	}
	if at, freed := sv.last.freed[id]; freed && at == sv.world.now {
		return
	}
	if id != e.Tunnel && sv.names[id] == nil && sv.ids[id] == nil {
		sv.fail("gives ID %d to %q, which had %d last, and that is free", e.Tunnel, e.UUID, id)
	}
}
