package simulate

import (
	"encoding/binary"
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/cookie"
	"tunneldigger/src/wire"
)

const (
	frameGap = 2 * s // between two frames of a client
	// deadTime is for how long a tunnel may lead nowhere once nothing goes wrong any more:
	// until the client's next word or three seconds of frames that do not fit, with what
	// happened before still under way.
	deadTime = 16 * s
)

// sendFrames has the client send a frame into its tunnel every now and then, as a mesh
// protocol does.
func (n *Node) sendFrames() {
	n.after(frameGap+n.world.upTo(200*ms), func() {
		if t, _, i, ok := n.tunnel(); ok && n.sockets[i] != nil {
			frame := make([]byte, wire.DataSize+60)
			frame[1] = 3
			binary.BigEndian.PutUint32(frame[4:], t.PeerSessionID)
			n.world.toServer(n.sockets[i], frame, 0)
		}
		n.sendFrames()
	})
}

// takesFrame reports whether the kernel knows what to do with a datagram.
func (sv *Server) takesFrame(p pair, data []byte) bool {
	session, ok := wire.ParseData(data)
	o := sv.pairs[p]
	if !ok || o == nil || o.state == making || session != o.Session || sv.world.chance(sv.world.Trouble.Window) {
		return false
	}
	o.frames++
	return true
}

func (sv *Server) count(e *broker.Effect) {
	if o := sv.checkThere(e, "is counted"); o != nil {
		frames := o.frames
		sv.after(0, func() {
			if sv.ids[o.Tunnel] == o {
				sv.handle(broker.Event{Kind: broker.EventCounted, Tunnel: o.Tunnel, Frames: frames})
			}
		})
	}
}

// Move gives the broker's addresses to another machine, which knows nothing of the tunnels
// and begins to serve after a while. What the first one had goes with it.
func (sv *Server) Move(away time.Duration) {
	if sv.alive {
		sv.trace("loses its addresses to another machine")
		sv.end(away)
		sv.ids = make(map[uint32]*object)
	}
}

// KickUnheard closes a tunnel in a moment in which its client hears nothing.
func (sv *Server) KickUnheard() {
	for _, id := range sv.sorted() {
		o := sv.ids[id]
		if !sv.alive || o.life != sv.life || o.state != there {
			continue
		}
		if so := sv.world.sockets[o.pair()]; so != nil {
			link := &so.node.Link
			loss := link.Loss
			link.Loss = 1
			sv.handle(broker.Event{Kind: broker.EventKick, Tunnel: id})
			link.Loss = loss
			if sv.world.chance(0.5) {
				sv.latePrepare(so)
			}
		}
		return
	}
}

// latePrepare has a PREPARE of the client arrive once more, when its tunnel may be gone
// already, of which it has not heard. It then means the old tunnel, and the broker another.
func (sv *Server) latePrepare(so *socket) {
	p, c := pair{so.public, so.server}, so.node.Client
	sv.after(sv.world.upTo(2*s), func() {
		cookie := sv.coreOptions.Jar.Issue(p.client, cookie.Tick(sv.world.now))
		data := wire.AppendPrepare(nil, cookie[:], []byte(c.UUID), c.TunnelID, c.Features)
		if c.NoTunnelID {
			data = wire.AppendPrepareNoID(nil, cookie[:], []byte(c.UUID))
		}
		sv.deliver(p, data)
	})
}

// checkDead: when nothing goes wrong any more, no tunnel leads nowhere for long. (The
// broker must have room for the client, and it must be able to come back at its pace.)
func (f *Fleet) checkDead() {
	for _, n := range f.nodes {
		_, _, i, ok := n.tunnel()
		if !ok || n.Hasty || n.Connected() == nil || !f.servers[i].heals(n) {
			n.dead = 0
			continue
		}
		if n.dead == 0 {
			n.dead = f.now
		}
		if most := deadTime + time.Duration(len(f.nodes))*f.servers[i].config.RateInterval; f.now-n.dead > most {
			f.Fail("for %v: %v", f.now-n.dead, n.Connected())
		}
	}
}

// heals reports whether a broker is to tell the client that its tunnel is gone.
func (sv *Server) heals(n *Node) bool {
	on, _ := sv.core.Draining()
	return sv.alive && !on && sv.config.PerIP.Count == 0 && sv.config.UUIDPolicy == config.UUIDAny && sv.door.deny == nil &&
		sv.core.Tunnels()+sv.core.Waiting()+len(sv.world.nodes) < sv.config.MaxTunnels &&
		2*sv.core.Waiting() <= sv.room()
}
