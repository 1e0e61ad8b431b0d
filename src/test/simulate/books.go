package simulate

import (
	"time"

	"tunneldigger/src/admission"
	"tunneldigger/src/broker"
	"tunneldigger/src/config"
)

// stage is how far a tunnel has come, as its effects tell.
type stage uint8

const (
	verifying stage = iota
	creating
	failing  // creation has failed; it is tried again or forgotten
	answered // not up yet: hooks hear nothing of it
	up
	closing
	destroying
	down
)

// record is the world's own book-keeping about a tunnel of a broker.
type record struct {
	broker.Facts
	stage   stage
	hooked  bool // any hook but session.verify
	last    config.Event
	preDown bool // session.pre-down has ended
	silent  bool // it was closed before it was up
	again   bool // it is made again after a crash, and not up yet
	// session.down of its interface before has not ended yet
	mourning bool
	beating  bool
	beat     time.Duration // of the last KEEPALIVE, or of set-up
	answer   []byte        // TUNNEL as it was first sent
}

// stands reports whether the client has its answer and nothing has ended the tunnel.
func (r *record) stands() bool { return r.stage == answered || r.stage == up }

// mayAnswer is called when the kernel has a tunnel.
func (sv *Server) mayAnswer(serial uint64) {
	if r := sv.records[serial]; r != nil && r.stage == creating {
		r.stage, r.beat = answered, sv.world.now
	}
}

// gone is called when the kernel has a tunnel no more: of one that never was up
// there is no other end.
func (sv *Server) gone(serial uint64) {
	if r := sv.records[serial]; r != nil && r.silent {
		sv.notRemade(r)
	}
}

// inKernel says whether the kernel must have something of a tunnel.
func (r *record) inKernel() bool { return r.stage >= creating && r.stage != failing && r.stage < down }

// name gives a tunnel ID to a record: it must be free, that is, the hooks of the
// last one to have it must have ended.
func (sv *Server) name(id uint32, r *record) {
	if other := sv.names[id]; other != nil && other != r {
		sv.fail("uses tunnel ID %d twice: stage %d, %q", id, other.stage, other.UUID)
	}
	sv.names[id] = r
}

func (sv *Server) forget(r *record) {
	delete(sv.records, r.Serial)
	if r.stage == down {
		sv.last.ended(r)
	}
	if r.stage == verifying {
		sv.last.freed[r.Tunnel] = sv.world.now
	}
	if sv.names[r.Tunnel] == r {
		delete(sv.names, r.Tunnel)
	}
}

// undecided says that the core is about to hear something after which it may
// forget a tunnel without a word.
func (sv *Server) undecided(serial uint64) {
	if r := sv.records[serial]; r != nil && !r.again { // else it is told of
		r.stage, sv.doubtful = failing, r
	}
}

// note keeps the records by what the core tells, and checks refusals.
func (sv *Server) note(e *broker.Effect) {
	sv.trace("note %d about tunnel %d of %q: %v", e.Note, e.Tunnel, e.UUID, e.Reason)
	sv.noted[e.Note]++
	r := sv.records[e.Serial]
	move := func(from, to stage) {
		if r == nil || r.stage != from {
			sv.fail("tunnel %d goes to stage %d from %+v", e.Tunnel, to, r)
			return
		}
		r.stage = to
	}
	switch e.Note {
	case broker.NoteUp:
		if move(answered, up); r != nil {
			r.again = false
		}
		if o := sv.checkThere(e, "is up"); o != nil && !o.up {
			sv.fail("takes tunnel %d for up", e.Tunnel)
		}
	case broker.NoteClosed:
		switch {
		case r != nil && r.stage == answered:
			r.stage, r.silent = closing, true
		case r != nil && r.again && r.stage == creating:
			sv.notRemade(r)
		default:
			move(up, closing)
		}
		switch e.Reason {
		case broker.ClosedTwin:
			sv.checkDisplaced(e)
		case broker.ClosedDrained:
			sv.checkReleased()
		}
	case broker.NoteQueued:
		sv.door.waits[pair{e.Peer, e.Local}] = sv.world.now
	case broker.NoteStuck:
		sv.gone(e.Serial)
		if o := sv.ids[e.Tunnel]; o != nil {
			o.stuck = true
		}
	case broker.NoteSetAside:
		sv.last.aside[e.Tunnel] = true
	case broker.NoteOldSessions:
		sv.noOld = true
	case broker.NoteRefused:
		delete(sv.door.waits, pair{e.Peer, e.Local})
		switch e.Reason {
		case broker.RefusedQueue:
			// In a Tick one of those who wait may have been served after this.
			if n := sv.core.Waiting(); n < sv.room() && !sv.ticking {
				sv.fail("refuses a client although only %d of %d wait", n, sv.room())
			}
		case broker.RefusedFull:
			if taken := sv.core.Tunnels() + sv.core.Waiting() + sv.aside(); taken < sv.config.MaxTunnels {
				sv.fail("refuses a client although only %d tunnels of %d are in use", taken, sv.config.MaxTunnels)
			}
		}
	}
	// What is wrong in itself changes nothing about what was asked for before.
	if e.Tunnel == 0 && e.Reason != broker.RefusedUUID && e.Reason != broker.RefusedDenied {
		sv.unverified(e)
	}
}

// unverified forgets who was being verified and has another fate now.
func (sv *Server) unverified(e *broker.Effect) {
	if !sv.verified && sv.doubtful == nil {
		return
	}
	for _, r := range sv.records {
		if (r.stage == verifying || r.stage == failing) && r.Peer == e.Peer && r.Local == e.Local {
			sv.forget(r)
		}
	}
}

// recount forgets those that were being verified and are not any more: the UUID
// policy or a list may end that without a word.
func (sv *Server) recount() {
	for _, r := range sv.records {
		if t, ok := sv.core.Next(r.Tunnel); r.stage == verifying && (!ok || t.Serial != r.Serial) {
			sv.forget(r)
		}
	}
}

// room is how many clients the queue holds.
func (sv *Server) room() int {
	if sv.config.RateInterval == 0 {
		return 0
	}
	return max(1, int(admission.Patience/sv.config.RateInterval))
}

// aside is how many IDs may at most be set aside.
func (sv *Server) aside() int { return sv.noted[broker.NoteSetAside] }

// settleRecords is called when all effects of a turn were seen.
func (sv *Server) settleRecords() {
	if r := sv.doubtful; r != nil && r.stage == failing {
		sv.forget(r)
	}
	sv.doubtful = nil
	if len(sv.records) != sv.core.Tunnels() {
		sv.recount()
	}
	if len(sv.records) != sv.core.Tunnels() {
		sv.fail("has %d tunnels, want %d", sv.core.Tunnels(), len(sv.records))
	}
	sv.checkLimit()
	if n := sv.core.Waiting(); n > sv.room() {
		sv.fail("has %d clients waiting, at most %d can be served in time", n, sv.room())
	}
	// In a large world not everything is looked at after every step.
	if len(sv.records) > 32 && sv.world.steps%(2*len(sv.records)) != 0 {
		return
	}
	sv.checkFixed()
	sv.checkLists()
	kernel := 0
	for _, r := range sv.records {
		if r.inKernel() && r.stage != creating {
			kernel++
			if o := sv.ids[r.Tunnel]; o == nil || o.Serial != r.Serial || o.life != sv.life {
				sv.fail("has tunnel %d in stage %d, the kernel has not", r.Tunnel, r.stage)
			}
		}
	}
	for _, o := range sv.ids {
		if o.life == sv.life && o.state != making && !o.stuck {
			kernel--
		}
	}
	if kernel != 0 {
		sv.fail("and its kernel disagree about %d tunnels", kernel)
	}
}
