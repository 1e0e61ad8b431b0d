package simulate

import (
	"slices"

	"tunneldigger/src/broker"
	"tunneldigger/src/wire"
)

// kernel is what a broker's host has in its kernel. It outlives the process.
type kernel struct {
	ids    map[uint32]*object
	pairs  map[pair]*object // those with a socket of the process that runs
	making []*object
}

type objectState uint8

const (
	making   objectState = iota // the kernel is at it
	there                       // socket, tunnel, session and interface exist
	deleted                     // by hand: only the socket is left
	removing                    // the socket is closed, the interface goes
)

// object is a tunnel with its session, interface and socket.
type object struct {
	broker.Facts
	peerTunnel, peerSession uint32
	bandwidth               uint32
	frames                  uint64 // that came from the client
	state                   objectState
	life                    int  // the process that owns it
	raising                 bool // it is to be brought up
	up                      bool
	stuck                   bool           // the broker does not wait for its removal any more
	held                    []broker.Event // datagrams that came while it was made
}

func (o *object) pair() pair { return pair{o.Peer, o.Local} }
func (o *object) v6() bool   { return o.Peer.Addr().Is6() }

// create makes a tunnel in the kernel, or leaves nothing.
func (sv *Server) create(e *broker.Effect) {
	w := sv.world
	o := &object{Facts: e.Facts, peerTunnel: e.PeerTunnel, peerSession: e.PeerSession, life: sv.life}
	raise := e.Raise
	fault, fails := broker.FaultOther, false
	switch {
	case sv.ids[o.Tunnel] != nil || w.chance(w.Trouble.CreateExists):
		fault, fails = broker.FaultExists, true
	case sv.options.OldKernel && o.Session == 1 && sv.oldSessions() > 0:
		fault, fails = broker.FaultOldSession, true
	case w.chance(w.Trouble.CreateFails), e.Raise && w.chance(w.Trouble.RaiseFails):
		fails = true
	}
	if !fails {
		sv.ids[o.Tunnel] = o
	}
	sv.pairs[o.pair()] = o
	sv.making = append(sv.making, o)
	sv.after(w.upTo(2*ms)+w.upTo(w.Trouble.Kernel), func() {
		sv.making = slices.DeleteFunc(sv.making, func(m *object) bool { return m == o })
		if fails {
			delete(sv.pairs, o.pair())
			sv.undecided(o.Serial)
			sv.trace("can't make %s: fault %d", o.Interface(), fault)
			sv.handle(broker.Event{Kind: broker.EventCreateFailed, Tunnel: o.Tunnel, Fault: fault})
		} else {
			o.state, o.up = there, raise
			sv.trace("made %s for %v %q", o.Interface(), o.Peer, o.UUID)
			if raise {
				sv.careful = false
			}
			sv.mayAnswer(o.Serial)
			sv.handle(broker.Event{Kind: broker.EventCreated, Tunnel: o.Tunnel, Up: raise})
		}
		// What strangers sent to the new socket belongs to the handshake.
		for _, ev := range o.held {
			if ev.Kind == broker.EventDatagram || !fails {
				sv.handle(ev)
			}
		}
		o.held = nil
	})
}

// raise brings an interface up, in the kernel's time; it can be gone by then.
func (sv *Server) raise(e *broker.Effect) {
	w := sv.world
	o := sv.checkThere(e, "is to be raised")
	if o == nil {
		return
	}
	o.raising = true
	sv.after(w.upTo(20*ms)+w.upTo(w.Trouble.Kernel), func() {
		switch o.raising = false; {
		case o.state != there:
		case w.chance(w.Trouble.RaiseFails):
			sv.careful = true
			sv.trace("can't raise %s", o.Interface())
			sv.handle(broker.Event{Kind: broker.EventRaiseFailed, Tunnel: o.Tunnel})
			if r := sv.records[o.Serial]; r != nil && r.stage == answered {
				sv.fail("keeps tunnel %d, which can't be raised", o.Tunnel)
			}
		default:
			o.up = true
			sv.handle(broker.Event{Kind: broker.EventRaised, Tunnel: o.Tunnel})
		}
	})
}

// oldSessions counts the sessions with ID 1.
func (sv *Server) oldSessions() (n int) {
	for _, o := range sv.ids {
		if o.Session == 1 {
			n++
		}
	}
	return n
}

// destroy closes a tunnel's socket and has the interface removed.
func (sv *Server) destroy(e *broker.Effect) {
	o := sv.ids[e.Tunnel]
	if o == nil {
		return
	}
	if sv.pairs[o.pair()] == o {
		delete(sv.pairs, o.pair())
	}
	id := o.Tunnel
	sv.remove(o, func() {
		sv.gone(o.Serial)
		sv.handle(broker.Event{Kind: broker.EventDestroyed, Tunnel: id})
	})
}

// remove takes an object out of the kernel. done is called unless the process
// has ended meanwhile: then the one after it mostly hears of the interface's end.
func (sv *Server) remove(o *object, done func()) {
	w := sv.world
	wait := w.upTo(20*ms) + w.upTo(w.Trouble.Kernel)
	switch {
	case o.state == deleted:
		wait = 0
	case w.chance(w.Trouble.Stuck):
		wait += 10 * s
	}
	o.state = removing
	life := sv.life
	w.After(wait, func() {
		if sv.ids[o.Tunnel] == o {
			delete(sv.ids, o.Tunnel)
			sv.trace("removed %s", o.Interface())
		}
		switch {
		case sv.life == life:
			done()
		case sv.alive && !w.chance(0.1):
			sv.core.Freed(w.now, o.Interface())
			sv.plan()
		}
	})
}

// DeleteInterface removes one of the interfaces by hand; false if there is none.
func (sv *Server) DeleteInterface() bool {
	for _, id := range sv.sorted() {
		if o := sv.ids[id]; sv.alive && o.state == there && o.life == sv.life {
			o.state = deleted
			sv.trace("%s is deleted by hand", o.Interface())
			sv.after(sv.world.upTo(5*ms), func() {
				if sv.ids[id] != o {
					return
				}
				sv.handle(broker.Event{Kind: broker.EventLost, Tunnel: id})
				if r := sv.records[o.Serial]; r != nil && r.stands() {
					sv.fail("keeps tunnel %d, which is lost", id)
				}
			})
			return true
		}
	}
	return false
}

// sorted gives the IDs in the kernel, beginning at a random one.
func (sv *Server) sorted() []uint32 {
	ids := make([]uint32, 0, len(sv.ids))
	for id := range sv.ids {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if len(ids) == 0 {
		return ids
	}
	n := sv.world.Random.IntN(len(ids))
	return append(ids[n:len(ids):len(ids)], ids[:n]...)
}

// expected is the tunnel MTU that a path allows: the largest size that is
// probed and passes.
func expected(v6 bool, path int) int {
	for _, size := range []int{1500, 1492, 1476, 1450, 1400} {
		if size <= path {
			return max(size-wire.TunnelOverhead(v6), wire.MinTunnelMTU)
		}
	}
	return max(1334-wire.TunnelOverhead(v6), wire.MinTunnelMTU)
}
