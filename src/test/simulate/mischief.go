package simulate

import (
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/wire"
)

// mischief breaks one thing.
func (f *Fleet) mischief() {
	sv, n := f.servers[f.Random.IntN(len(f.servers))], f.nodes[f.Random.IntN(len(f.nodes))]
	soon := func(do func()) { f.After(f.upTo(10*s), do) }
	switch f.Random.IntN(26) {
	case 18, 19, 20:
		f.reconfigure(sv)
	case 0:
		sv.Kill(f.upTo(20 * s))
	case 24, 25:
		sv.Crash(f.upTo(20 * s))
	case 21:
		sv.Move(f.upTo(2 * s))
	case 22, 23:
		sv.KickUnheard()
	case 1:
		sv.Stop(f.upTo(20 * s))
	case 2, 3:
		sv.DeleteInterface()
	case 4:
		n.Link.MTU = f.path()
	case 5:
		n.Link = f.link()
	case 6: // nothing passes for a while
		loss := n.Link.Loss
		n.Link.Loss = 1
		f.After(f.upTo(100*s), func() { n.Link.Loss = min(n.Link.Loss, loss) })
	case 7, 8:
		n.Rebind()
	case 16:
		n.LoseSocket()
	case 9: // the same again
		n.Crash()
		soon(n.Start)
	case 10: // with another identity, when all is forgotten that was under way
		f.reborn(n, 12*s+f.upTo(10*s))
	case 17: // and before
		n.Hasty = true
		f.reborn(n, f.upTo(3*s))
	case 11:
		n.Stop(func() { soon(n.Start) })
	case 12:
		n.SetLimit(uint32(f.Random.IntN(20000)))
	case 13:
		n.LoseInterface()
	case 14:
		f.stranger(sv)
	case 15: // forged, or about a path that is used no more
		for _, id := range sv.sorted() {
			if o := sv.ids[id]; sv.alive && o.life == sv.life && o.state == there {
				sv.handle(broker.Event{Kind: broker.EventTooBig, Tunnel: id, Size: f.Random.IntN(1600)})
				break
			}
		}
	}
}

// reborn ends a client; it comes back with another identity, perhaps on the same
// port.
func (f *Fleet) reborn(n *Node, away time.Duration) {
	n.Crash()
	f.After(away, func() {
		if n.running || f.calm {
			n.Start()
			return
		}
		n.mayBeHasty()
		switch f.Random.IntN(3) {
		case 0:
			n.Client.UUID += "x"
		case 1:
			n.Client.TunnelID = uint32(1 + f.Random.IntN(1000))
		case 2:
			n.Client.Features ^= wire.UniqueSessionID
		}
		n.Start()
	})
}
