package simulate

import (
	"bytes"

	"tunneldigger/src/broker"
	"tunneldigger/src/wire"
)

// checkCreate: no tunnel ID twice, and no two tunnels on one 4-tuple. After an
// interface that could not be raised the next ones are raised first.
func (sv *Server) checkCreate(e *broker.Effect) {
	r := sv.records[e.Serial]
	if e.Raise != (sv.careful || r != nil && r.again) {
		sv.fail("makes tunnel %d, raised first: %v", e.Tunnel, e.Raise)
	}
	if r == nil {
		r = &record{}
		sv.records[e.Serial] = r
		sv.checkSame(e)
		sv.checkServed(&e.Facts)
		if sv.noOld && e.Session == 1 {
			sv.fail("makes a tunnel for an old client, which this kernel can't serve")
		}
	} else if r.stage != verifying && r.stage != failing && !r.again {
		sv.fail("makes tunnel %d again", e.Tunnel)
	}
	fresh := sv.names[e.Tunnel] != r // else it was given while it was verified
	if r.stage == failing {          // it is tried again; there may be another policy since
		delete(sv.names, r.Tunnel)
	} else if !r.again {
		sv.checkAlone(e)
	}
	sv.name(e.Tunnel, r)
	r.Facts, r.stage = e.Facts, creating
	for _, o := range sv.ids {
		if o.life == sv.life && o.Peer == e.Peer && o.Local == e.Local && !o.stuck {
			sv.fail("makes tunnel %d on the 4-tuple of tunnel %d", e.Tunnel, o.Tunnel)
		}
	}
	if o := sv.ids[e.Tunnel]; o != nil && o.life == sv.life && !o.stuck {
		sv.fail("makes tunnel %d, which is there", e.Tunnel)
	}
	if fresh && e.Tunnel < sv.config.TunnelIDBase || fresh && e.Tunnel >= sv.config.TunnelIDBase+uint32(sv.config.MaxTunnels) {
		sv.fail("makes tunnel %d, which is not in its range", e.Tunnel)
	}
}

// checkRaise: once, and before hooks.
func (sv *Server) checkRaise(e *broker.Effect) {
	r, o := sv.records[e.Serial], sv.ids[e.Tunnel]
	if r == nil || r.stage != answered || r.hooked || o != nil && (o.up || o.raising) {
		sv.fail("raises tunnel %d: %+v", e.Tunnel, r)
	}
}

// checkDestroy: only after session.pre-down has ended, if hooks know of it.
func (sv *Server) checkDestroy(e *broker.Effect) {
	r := sv.records[e.Serial]
	if r == nil || r.stage != closing || !r.preDown && !r.silent {
		sv.fail("destroys tunnel %d too early", e.Tunnel)
		return
	}
	r.stage = destroying
}

// checkThere gives the object of an effect that needs one; nil when only the
// socket is left of it.
func (sv *Server) checkThere(e *broker.Effect, what string) *object {
	o := sv.ids[e.Tunnel]
	if o == nil || o.life != sv.life || o.state != there && o.state != deleted {
		sv.fail("tunnel %d %s, but it is not there", e.Tunnel, what)
		return nil
	}
	if o.state == deleted {
		return nil
	}
	return o
}

// checkTunnel: all TUNNEL messages of one tunnel are identical.
func (sv *Server) checkTunnel(o *object, message []byte) {
	m, err := wire.Parse(message)
	r := sv.records[o.Serial]
	switch {
	case err != nil || r == nil:
		sv.fail("sends % x for tunnel %d (%v)", message, o.Tunnel, err)
	case m.Type == wire.TypeKeepalive:
		sv.checkBeat(r)
	case m.Type != wire.TypeTunnel:
	case r.answer == nil:
		r.answer = bytes.Clone(message)
	case !bytes.Equal(r.answer, message):
		sv.fail("sends TUNNEL % x, at first % x", message, r.answer)
	}
}

// checkBeat: KEEPALIVE every 5 s, first after 3–15 s, give or take a moment.
func (sv *Server) checkBeat(r *record) {
	gap, least, most := sv.world.now-r.beat, 5*s, 5*s
	if !r.beating {
		least, most = 3*s, 15*s
	}
	if gap < least-broker.Slack || gap > most+broker.Slack+20*ms {
		sv.fail("sends KEEPALIVE to tunnel %d after %v", r.Tunnel, gap)
	}
	r.beating, r.beat = true, sv.world.now
}

// checkAnswer: every datagram is answered or counted or a sign of life, and no
// answer to a stranger is larger than its request.
func (sv *Server) checkAnswer(ev *broker.Event, before broker.Stats) {
	replied := 0
	for i := range sv.out {
		if sv.out[i].Kind == broker.EffectReply {
			replied += len(sv.out[i].Message())
		}
	}
	if ev.Kind == broker.EventDatagram && replied > len(ev.Data) {
		sv.fail("answers % x with %d bytes", ev.Data, replied)
	}
	after := sv.core.Stats()
	if o := sv.pairs[pair{ev.Peer, ev.Local}]; o != nil && after.Drops[broker.DropStranger] != before.Drops[broker.DropStranger] {
		sv.fail("drops % x, which is for tunnel %d", ev.Data, o.Tunnel)
	}
	if len(sv.out) > 0 || after != before {
		return
	}
	m, err := wire.Parse(ev.Data)
	if err == nil {
		switch m.Type {
		case wire.TypeKeepalive, wire.TypePMTUDAck, wire.TypePMTUNtfy, wire.TypeRelAck:
			return
		}
	}
	sv.fail("neither answers nor counts % x", ev.Data)
}
