package simulate

import (
	"time"

	"tunneldigger/src/admission"
	"tunneldigger/src/broker"
	"tunneldigger/src/config"
)

// door is the world's own book-keeping about whom a process lets in.
type door struct {
	allow, deny *admission.List
	last        time.Duration              // when the last newcomer was served, 0: never
	waits       map[pair]time.Duration     // in the queue, since when
	came        map[string][]time.Duration // who was let in of late, by address or UUID
	forgets     bool                       // a limit has had to forget somebody
}

func (d *door) open() { *d = door{allow: d.allow, deny: d.deny, waits: make(map[pair]time.Duration)} }

// reopen is called when the rules have changed: what was before can't be held
// against the broker.
func (d *door) reopen() { d.open() }

// SetLists puts an allow and a deny list in force, for later processes as well.
func (sv *Server) SetLists(allow, deny *admission.List) {
	sv.door.allow, sv.door.deny = allow, deny
	if sv.alive {
		sv.out = sv.core.SetLists(sv.world.now, allow, deny, sv.out[:0])
		sv.carryOut()
	}
}

func (sv *Server) denies(f *broker.Facts) bool {
	addr := f.Peer.Addr()
	return sv.door.deny.Has(f.UUID, addr) || sv.door.allow != nil && !sv.door.allow.Has(f.UUID, addr)
}

// checkServed is called when a newcomer is served: not sooner after another one
// than the rate allows, not later than it can wait, within the limits.
func (sv *Server) checkServed(f *broker.Facts) {
	sv.checkNewcomer()
	d, now := &sv.door, sv.world.now
	if gap := now - d.last; d.last != 0 && gap < sv.config.RateInterval {
		sv.fail("serves %q %v after another one", f.UUID, gap)
	}
	d.last = now
	since, waited := d.waits[pair{f.Peer, f.Local}]
	if delete(d.waits, pair{f.Peer, f.Local}); !waited || !sv.ticking { // it was in the queue, but left that
		since = now
	}
	// Each turn before it may have been late.
	if now-since > admission.Patience+time.Duration(1+sv.room())*20*ms {
		sv.fail("lets %q wait for %v", f.UUID, now-since)
	}
	if sv.denies(f) {
		sv.fail("serves %q at %v, which the lists keep out", f.UUID, f.Peer)
	}
	if sv.keys > 0 {
		l := sv.core.Limits(now)
		d.forgets = d.forgets || max(l.Addresses, l.UUIDs) >= sv.keys
		if max(l.Addresses, l.UUIDs) > sv.keys {
			sv.fail("remembers %+v, %d were to be the most", l, sv.keys)
		}
	}
	// Who was in the queue when the rules changed came by the old ones.
	if old := sv.ticking && !waited; !d.forgets && !old {
		sv.checkRate(admission.AddrKey(f.Peer.Addr()).String(), since, sv.config.PerIP)
		sv.checkRate("UUID "+f.UUID, since, sv.config.PerUUID)
	}
}

// checkRate: in no period more than what was saved up and what came back.
func (sv *Server) checkRate(key string, at time.Duration, rate config.Rate) {
	if rate.Count == 0 {
		return
	}
	if sv.door.came == nil {
		sv.door.came = make(map[string][]time.Duration)
	}
	came, kept := sv.door.came[key], 0
	for _, t := range came {
		if t > at-rate.Time {
			came[kept] = t
			kept++
		}
	}
	came = append(came[:kept], at)
	sv.door.came[key] = came
	if len(came) > 2*rate.Count {
		sv.fail("lets %s in %d times within %v, at most %d are allowed", key, len(came), rate.Time, 2*rate.Count)
	}
}

// checkAlone: with a policy no tunnel is made while another one of its UUID
// stands or is being made.
func (sv *Server) checkAlone(e *broker.Effect) {
	if sv.config.UUIDPolicy == config.UUIDAny {
		return
	}
	for _, r := range sv.records {
		if r.UUID == e.UUID && r.Serial != e.Serial && (r.stage == creating || r.stands()) {
			sv.fail("makes tunnel %d for %q, which has tunnel %d", e.Tunnel, e.UUID, r.Tunnel)
		}
	}
}

// checkDisplaced: a tunnel that was heard of late loses its place only to one of
// the same site.
func (sv *Server) checkDisplaced(e *broker.Effect) {
	t, ok := sv.core.Next(e.Tunnel)
	if !ok || t.Serial != e.Serial {
		sv.fail("closes tunnel %d, which is not there", e.Tunnel)
		return
	}
	if sv.world.now-t.Heard >= 6500*ms {
		return
	}
	for i := range sv.out {
		o := &sv.out[i]
		if o.Kind == broker.EffectCreate && o.UUID == e.UUID && admission.AddrKey(o.Peer.Addr()) == admission.AddrKey(e.Peer.Addr()) {
			return
		}
	}
	sv.fail("throws out tunnel %d, which was heard %v ago", e.Tunnel, sv.world.now-t.Heard)
}

// checkLists: who is kept out has no tunnel that is not on its way out.
func (sv *Server) checkLists() {
	if sv.door.allow == nil && sv.door.deny == nil {
		return
	}
	for _, r := range sv.records {
		if (r.stands() || r.stage == verifying) && sv.denies(&r.Facts) {
			sv.fail("keeps tunnel %d for %q, which the lists keep out", r.Tunnel, r.UUID)
		}
	}
}
