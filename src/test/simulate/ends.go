package simulate

import (
	"fmt"

	"tunneldigger/src/wire"
)

var probe = [wire.HeaderSize]byte(wire.AppendPMTUDHeader(nil))

// describe is a message as a few words, for traces.
func describe(data []byte, size int) string {
	m, err := wire.Parse(data)
	if err != nil {
		return err.Error()
	}
	if m.Type == wire.TypePMTUD {
		return fmt.Sprintf("PMTUD %d", max(size, len(data)))
	}
	return fmt.Sprintf("%v % x", m.Type, m.Payload)
}

// checkNodes: both ends of a tunnel have the same IDs.
func (w *World) checkNodes() {
	for _, n := range w.nodes {
		if err := n.check(); err != nil {
			w.Fail("%v", err)
		}
	}
}

// check: the client's tunnel and the one of that ID that its broker has on these
// addresses and ports are two ends of one. (For a while they may be different
// tunnels, or one of them gone: that is for the network to sort out.)
func (n *Node) check() error {
	t, _, i, ok := n.tunnel()
	if !ok || n.Hasty {
		return nil
	}
	sv, so := n.world.servers[i], n.sockets[i]
	o := sv.pairs[pair{so.public, so.server}]
	if o == nil || o.state != there || o.Tunnel != t.PeerID {
		return nil
	}
	if o.peerTunnel != t.ID || o.Session != t.PeerSessionID || o.peerSession != t.SessionID || o.UUID != n.Client.UUID {
		return fmt.Errorf("client %q has tunnel %+v, its broker %d-%d for %q with %d-%d",
			n.Client.UUID, t, o.Tunnel, o.Session, o.UUID, o.peerTunnel, o.peerSession)
	}
	return nil
}

// Connected reports whether the client has a tunnel through which frames would
// pass; if not, why.
func (n *Node) Connected() error {
	t, _, i, ok := n.tunnel()
	if !ok {
		return fmt.Errorf("client %q has no tunnel", n.Client.UUID)
	}
	sv, so := n.world.servers[i], n.sockets[i]
	o := sv.pairs[pair{so.public, so.server}]
	if o == nil || o.state != there {
		return fmt.Errorf("client %q has tunnel %+v, its broker has none", n.Client.UUID, t)
	}
	// Frames name the session only: with session 1 the tunnels may be others.
	if o.Session != t.PeerSessionID || o.peerSession != t.SessionID {
		return fmt.Errorf("client %q has tunnel %+v, its broker another one: %d for %q", n.Client.UUID, t, o.Tunnel, o.UUID)
	}
	if !o.up && !o.raising {
		return fmt.Errorf("client %q has tunnel %+v, its broker does not bring the interface up", n.Client.UUID, t)
	}
	return n.check()
}

// object finds the other end of the client's tunnel; nil if it is not connected.
func (n *Node) object() (*Server, *object) {
	if n.Connected() != nil {
		return nil, nil
	}
	_, _, i, _ := n.tunnel()
	so := n.sockets[i]
	return n.world.servers[i], n.world.servers[i].pairs[pair{so.public, so.server}]
}

// Limited reports whether the client got the bandwidth that it asked for, or the
// most that there is.
func (n *Node) Limited() error {
	sv, o := n.object()
	if o == nil {
		return n.Connected()
	}
	want := n.Client.Limit
	if top := sv.config.BandwidthDownMax; top != 0 && (want == 0 || want > top) {
		want = top
	}
	if o.bandwidth != want {
		return fmt.Errorf("client %q has a bandwidth of %d kbit/s, asked for %d, want %d", n.Client.UUID, o.bandwidth, n.Client.Limit, want)
	}
	return nil
}

// MTU reports whether both ends of the client's tunnel have the MTU that its path
// allows.
func (n *Node) MTU() error {
	sv, o := n.object()
	if o == nil {
		return n.Connected()
	}
	_, mtu, _, _ := n.tunnel()
	want := expected(o.v6(), min(n.Link.up(), sv.options.MTU))
	wantClient := want
	if fixed := sv.config.PMTU; fixed != 0 {
		want = fixed
		wantClient = min(fixed, expected(o.v6(), 1500))
		if sv.refixed { // what it measured before it can't measure again
			wantClient = min(wantClient, mtu)
		}
	}
	if mtu != n.mtu {
		return fmt.Errorf("client %q means MTU %d, its interface has %d", n.Client.UUID, mtu, n.mtu)
	}
	if o.MTU != want || mtu != wantClient {
		return fmt.Errorf("client %q has MTU %d (want %d), its broker %d (want %d)", n.Client.UUID, mtu, wantClient, o.MTU, want)
	}
	return nil
}
