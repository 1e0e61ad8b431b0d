package simulate

import (
	"fmt"
	"net/netip"
	"time"

	"tunneldigger/src/admission"
	"tunneldigger/src/config"
	"tunneldigger/src/cookie"
	"tunneldigger/src/wire"
)

// recorded is a datagram that somebody has overheard on its way to a broker.
type recorded struct {
	server *Server
	pair   pair
	data   []byte
}

// tapeLength is how many datagrams are remembered.
const tapeLength = 64

func (w *World) record(sv *Server, p pair, data []byte) {
	if len(w.tape) < tapeLength {
		w.tape = append(w.tape, recorded{})
	}
	w.tape[w.taped%tapeLength] = recorded{sv, p, data}
	w.taped++
}

// Cookie is what the broker gives to an address, for those who come by it in
// another way than a client does.
func (sv *Server) Cookie(peer netip.AddrPort) []byte {
	c := sv.coreOptions.Jar.Issue(peer, cookie.Tick(sv.world.now))
	return c[:]
}

// guard gives a broker of a fleet rules about who may come.
func (f *Fleet) guard(c *config.Broker, o *ServerOptions) {
	c.UUIDPolicy = config.UUIDPolicy(f.Random.IntN(3))
	if f.pick(4) {
		c.PerUUID = config.Rate{Count: 2 + f.Random.IntN(3), Time: 20 * s}
	}
	if f.pick(2) {
		o.Keys = 4 + f.Random.IntN(12)
	}
}

// attack is one of the things that people do who are no good neighbours.
func (f *Fleet) attack() {
	sv, n := f.servers[f.Random.IntN(len(f.servers))], f.nodes[f.Random.IntN(len(f.nodes))]
	switch f.Random.IntN(5) {
	case 0:
		f.forge(sv)
	case 1:
		f.replay()
	case 2:
		f.flap(n, f.Now()+60*s)
	case 3: // another node's UUID
		other := f.nodes[f.Random.IntN(len(f.nodes))]
		n.Crash()
		f.After(12*s+f.upTo(10*s), func() {
			if !n.running && !f.calm {
				n.mayBeHasty()
				n.Client.UUID = other.Client.UUID
			}
			n.Start()
		})
	case 4:
		f.keepOut(sv)
	}
}

// mayBeHasty is called before a client gets another identity.
func (n *Node) mayBeHasty() { n.Hasty = n.Hasty || n.world.now-n.left < 12*s }

// forge sends PREPAREs with good cookies from many addresses, in many names,
// also in those of others, and forgets what comes of it.
func (f *Fleet) forge(sv *Server) {
	for range 10 + f.Random.IntN(40) {
		p := pair{netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(f.Random.IntN(16))}), uint16(1000+f.Random.IntN(64))), sv.V4}
		if f.pick(3) {
			addr := netip.MustParseAddr(fmt.Sprintf("2001:db8:ff:%x::%x", f.Random.IntN(16), f.Random.IntN(64)))
			p = pair{netip.AddrPortFrom(addr, 1000), sv.V6}
		}
		uuid := fmt.Sprint("forged", f.Random.IntN(1000))
		if f.pick(4) {
			uuid = f.nodes[f.Random.IntN(len(f.nodes))].Client.UUID
		}
		data := wire.AppendPrepare(nil, sv.Cookie(p.client), []byte(uuid), uint32(f.Random.IntN(4)), wire.Features(f.Random.IntN(2)))
		f.After(f.upTo(5*s), func() { sv.deliver(p, data) })
	}
}

// replay sends what was overheard once more, also from the address of another.
// Who that hurts can't know it: nothing in this protocol is signed.
func (f *Fleet) replay() {
	for range min(10, len(f.tape)) {
		t := f.tape[f.Random.IntN(len(f.tape))]
		if f.pick(3) {
			t.pair = f.tape[f.Random.IntN(len(f.tape))].pair
			t.server = f.at[t.pair.server]
		}
		f.After(f.upTo(2*s), func() {
			if f.calm { // whom it hurts then is not set right any more, see Play
				return
			}
			m, err := wire.Parse(t.data)
			if so := f.sockets[t.pair]; so != nil && err == nil {
				switch m.Type {
				case wire.TypeCookie, wire.TypeUsage, wire.TypeKeepalive, wire.TypePMTUD:
				default:
					so.node.Hasty = true
				}
			}
			if f.pick(4) { // cut off
				t.data = t.data[:f.Random.IntN(len(t.data)+1)]
			}
			t.server.deliver(t.pair, t.data)
		})
	}
}

// flap has a client come and go until then.
func (f *Fleet) flap(n *Node, until time.Duration) {
	if f.calm || f.now > until {
		n.Start()
		return
	}
	again := func() { f.After(f.upTo(3*s), func() { n.Start(); f.After(f.upTo(8*s), func() { f.flap(n, until) }) }) }
	if f.pick(2) {
		n.Crash()
		again()
	} else if n.running {
		n.Stop(again)
	} else {
		again()
	}
}

// keepOut puts somebody on a list, and takes the list away after a while.
func (f *Fleet) keepOut(sv *Server) {
	text := ""
	for range 1 + f.Random.IntN(2) {
		n := f.nodes[f.Random.IntN(len(f.nodes))]
		switch f.Random.IntN(3) {
		case 0:
			text += n.Client.UUID + "\n"
		case 1:
			text += n.Addr.String() + "\n"
		case 2:
			text += netip.PrefixFrom(n.Addr, n.Addr.BitLen()-f.Random.IntN(8)).String() + " # and around\n"
		}
	}
	l, err := admission.ParseList("list", []byte(text))
	if err != nil {
		f.Fail("%v", err)
		return
	}
	if f.pick(3) {
		sv.SetLists(l, nil)
	} else {
		sv.SetLists(nil, l)
	}
	f.After(f.upTo(60*s), func() { sv.SetLists(nil, nil) })
}

// twinned reports whether another client has the tunnel that this one can't have.
func (f *Fleet) twinned(n *Node) bool {
	for _, other := range f.nodes {
		if other != n && other.Client.UUID == n.Client.UUID && other.Connected() == nil {
			return true
		}
	}
	return false
}
