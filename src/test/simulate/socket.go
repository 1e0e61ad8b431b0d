package simulate

import (
	"net/netip"

	"tunneldigger/src/client"
)

// socket is one of a client, connected to a broker.
type socket struct {
	node   *Node
	broker int
	server netip.AddrPort
	public netip.AddrPort // what the broker sees
}

// LoseSocket makes one of the client's sockets useless.
func (n *Node) LoseSocket() {
	for i, so := range n.sockets {
		if so != nil {
			n.trace("loses the socket to broker %d", i)
			n.handle(client.Event{Kind: client.SocketFailed, Broker: i})
			return
		}
	}
}

// Rebind gives the client's sockets another public port, as a NAT does that has
// forgotten them. The old ports may become others' soon. It is one that nobody
// had before: this protocol can't tell a client in the middle of a session from
// another one that had the port a minute before.
func (n *Node) Rebind() {
	n.trace("is rebound")
	for _, so := range n.sockets {
		if so != nil {
			n.world.unbind(so)
			n.world.rebound++
			so.public = n.freePort(so.server, 30000+n.world.rebound)
			n.world.bind(so)
		}
	}
}

// freePort gives a public port towards a server. 0 leaves the choice to the NAT,
// which counts through few ports, so that they come again soon, also to another
// client, but not within 30 s.
func (n *Node) freePort(server netip.AddrPort, want uint16) netip.AddrPort {
	if want != 0 {
		return netip.AddrPortFrom(n.Addr, want)
	}
	n.ports++
	for want = 10000 + n.ports%16; ; want++ {
		p := pair{netip.AddrPortFrom(n.Addr, want), server}
		if last, used := n.world.released[p]; n.world.sockets[p] == nil && (!used || n.world.now-last > 30*s) {
			return p.client
		}
	}
}

func (w *World) bind(so *socket) { w.sockets[pair{so.public, so.server}] = so }

func (w *World) unbind(so *socket) {
	p := pair{so.public, so.server}
	delete(w.sockets, p)
	w.released[p] = w.now
}

func (n *Node) open(i int) {
	w := n.world
	n.openings[i]++
	opening := n.openings[i]
	n.after(w.upTo(5*ms), func() {
		switch {
		case n.openings[i] != opening:
		case w.chance(w.Trouble.ClientFails):
			n.handle(client.Event{Kind: client.OpenFailed, Broker: i})
		default:
			server := w.servers[i].V4
			if n.Addr.Is6() {
				server = w.servers[i].V6
			}
			so := &socket{node: n, broker: i, server: server, public: n.freePort(server, n.Port)}
			n.sockets[i] = so
			w.bind(so)
			n.handle(client.Event{Kind: client.Opened, Broker: i, V6: n.Addr.Is6()})
		}
	})
}

func (n *Node) close(i int) {
	n.openings[i]++
	if so := n.sockets[i]; so != nil {
		n.world.unbind(so)
		n.sockets[i] = nil
	}
}

// receive takes a datagram from the network.
func (n *Node) receive(so *socket, data []byte) {
	if n.running && n.sockets[so.broker] == so {
		n.handle(client.Event{Kind: client.Datagram, Broker: so.broker, Data: data})
	}
}

func (n *Node) send(i int, data []byte, size int) {
	so := n.sockets[i]
	if so == nil {
		n.world.Fail("client %q sends without a socket", n.Client.UUID)
		return
	}
	if n.world.Trace != nil {
		n.trace("%v → broker %d %s", so.public, i, describe(data, size))
	}
	n.world.toServer(so, data, size)
}
