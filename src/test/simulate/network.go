package simulate

import (
	"time"

	"tunneldigger/src/wire"
)

// Link is a client's way to the brokers and back.
type Link struct {
	Delay     time.Duration // one way
	Jitter    time.Duration // on top, at most
	Loss      float64       // chance, each way
	Duplicate float64       // chance
	Reorder   float64       // chance to be held up by up to 200 ms more
	MTU       int           // largest packet that passes; more is dropped
	UpMTU     int           // the same towards the broker, if that is less
	ICMP      bool          // routers say so when they drop a packet for its size
}

// up is the largest packet that passes towards the broker.
func (l *Link) up() int {
	if l.UpMTU != 0 {
		return min(l.MTU, l.UpMTU)
	}
	return l.MTU
}

// carry takes a datagram of size bytes of payload over l, or does not. tooBig may
// be nil.
func (w *World) carry(l *Link, mtu int, v6 bool, size int, deliver func(), tooBig func(mtu int)) {
	if size+wire.UDPOverhead(v6) > mtu {
		if l.ICMP && tooBig != nil && !w.chance(l.Loss) {
			w.After(l.Delay, func() { tooBig(mtu) })
		}
		return
	}
	if w.chance(l.Loss) {
		return
	}
	copies := 1
	if w.chance(l.Duplicate) {
		copies = 2
	}
	for i := 0; i < copies; i++ {
		d := l.Delay + w.upTo(l.Jitter)
		if i > 0 || w.chance(l.Reorder) {
			d += w.upTo(200 * ms)
		}
		w.After(d, deliver)
	}
}

// toServer sends from a client's socket.
func (w *World) toServer(so *socket, data []byte, size int) {
	from, server := so.public, so.server
	payload := pad(data, size)
	w.carry(&so.node.Link, so.node.Link.up(), server.Addr().Is6(), len(payload), func() {
		w.at[server].deliver(pair{from, server}, payload)
	}, nil)
}

// toClient sends from a broker to a client's public address. Where nobody is
// behind that any more, the datagram is lost.
func (w *World) toClient(p pair, data []byte, size int, tooBig func(mtu int)) {
	so := w.sockets[p]
	if so == nil {
		return
	}
	payload := pad(data, size)
	w.carry(&so.node.Link, so.node.Link.MTU, p.server.Addr().Is6(), len(payload), func() {
		if so := w.sockets[p]; so != nil {
			so.node.receive(so, payload)
		}
	}, tooBig)
}

// pad copies data, with zeros up to size.
func pad(data []byte, size int) []byte {
	return append(make([]byte, 0, max(size, len(data))), data...)[:max(size, len(data))]
}
