package user

import (
	"net/netip"
	"slices"

	"tunneldigger/src/forward"
)

// Listener is the sockets of one address and port, which the path's workers read.
type Listener struct {
	_       [0]func() // not to be compared: that would be code for nothing
	path    *Path
	carrier *forward.Listener
	open    bool // it is read
	closed  bool // by its owner; it stays for the tunnels that have no other
	users   int  // tunnels that send by it
	sent    int  // since the last Flush
	err     error
}

// Listen is sock.Listen for this path: sockets of addr, and of device unless that is
// empty. tag is the owner's, see Mail.
func (p *Path) Listen(addr netip.AddrPort, device string, tag uint32) (*Listener, error) {
	if err := p.start(); err != nil {
		return nil, err
	}
	carrier, err := p.engine.Listen(addr, device)
	if err != nil {
		return nil, err
	}
	carrier.Tag = tag
	l := &Listener{path: p, carrier: carrier, open: true}
	p.take(l)
	return l, nil
}

// AdoptListener takes over the sockets of a listener from an earlier process. What
// has come to them waits for Path.Open.
func (p *Path) AdoptListener(fds []int, tag uint32) (*Listener, error) {
	if err := p.start(); err != nil {
		return nil, err
	}
	carrier, err := p.engine.AdoptListener(fds)
	if err != nil {
		return nil, err
	}
	carrier.Tag = tag
	l := &Listener{path: p, carrier: carrier}
	p.take(l)
	return l, nil
}

// take takes in a listener, for which tunnels may have waited.
func (p *Path) take(l *Listener) {
	p.listeners = append(p.listeners, l)
	for _, t := range p.tunnels {
		if t != nil && t.carried == nil {
			_ = p.carry(t)
		}
	}
}

// find finds a listener that can send from an address and port, one that is not
// closed if there is; other than not.
func (p *Path) find(local netip.AddrPort, not *Listener) (found *Listener) {
	for _, l := range p.listeners {
		at := l.Addr()
		if l == not || at.Port() != local.Port() ||
			at.Addr() != local.Addr() && !(at.Addr().IsUnspecified() && at.Addr().Is4() == local.Addr().Is4()) {
			continue
		}
		if found == nil || found.closed && !l.closed {
			found = l
		}
	}
	return found
}

// Addr is where it listens.
func (l *Listener) Addr() netip.AddrPort { return l.carrier.Addr() }

// FDs are its sockets, to hand over.
func (l *Listener) FDs() []int { return l.carrier.FDs() }

// Queue sends data to peer, from local where the listener is for every address.
// Errors are Flush's.
func (l *Listener) Queue(local netip.Addr, peer netip.AddrPort, data []byte) {
	if err := l.carrier.Send(local, peer, data); err == nil {
		l.sent++
	} else if l.err == nil {
		l.err = err
	}
}

// Flush tells how many datagrams went out since the last one, and the first error.
func (l *Listener) Flush() (sent int, err error) {
	sent, err = l.sent, l.err
	l.sent, l.err = 0, nil
	return sent, err
}

// Close closes the sockets when what has come to them has been taken in, unless
// there are tunnels that have no others: then they stay for these. Tunnels that
// have move to the others.
func (l *Listener) Close() error {
	p := l.path
	l.closed = true
	for _, t := range p.tunnels {
		if t == nil || t.listener != l {
			continue
		}
		other := p.find(t.request.Local, l)
		if other == nil || t.carried.Via(other.carrier, t.request.Local.Addr(), t.request.Peer) != nil {
			continue
		}
		t.listener = other
		l.users--
		other.users++
	}
	l.end()
	return nil
}

// leave is called when a tunnel does not send by it any more.
func (l *Listener) leave() {
	l.users--
	l.end()
}

// end closes what nobody needs.
func (l *Listener) end() {
	if l.closed && l.users == 0 {
		l.carrier.Close()
		l.path.listeners = slices.DeleteFunc(l.path.listeners, func(o *Listener) bool { return o == l })
	}
}

// Mail is a datagram that came to a listener.
type Mail struct {
	Tag         uint32 // the listener's
	Tunnel      uint32 // that it is of, if Own
	Own         bool
	Peer, Local netip.AddrPort
	Data        []byte // good until the next call
	PathMTU     int    // not 0: there is no datagram; a router says so of Tunnel's path, in bytes of IP packet
}

// Next takes out one piece of mail, that of tunnels first; false: there is none.
// strangers says whether that of others is wanted, too.
func (p *Path) Next(m *Mail, strangers bool) bool {
	if p.engine == nil {
		return false
	}
	var in forward.Mail
	for p.engine.Next(&in, strangers) {
		*m = Mail{Tag: in.Listener.Tag, Peer: in.Peer, Local: in.Local, Data: in.Data, PathMTU: in.PathMTU}
		if in.Tunnel == nil {
			return true
		}
		m.Tunnel = in.Tunnel.ID
		if t := p.get(m.Tunnel); t != nil && t.carried == in.Tunnel {
			m.Own = true
			return true
		}
		if in.PathMTU == 0 { // its tunnel has ended since: it may be the handshake for the next one
			return true
		}
	}
	return false
}

// Waiting reports whether there is mail.
func (p *Path) Waiting() bool { return p.engine != nil && p.engine.Waiting() }

// Lingering are the sockets of listeners that are closed, and kept for tunnels.
func (p *Path) Lingering() (fds []int) {
	for _, l := range p.listeners {
		if l.closed {
			fds = append(fds, l.FDs()...)
		}
	}
	return fds
}

// AdoptLingering takes over one of the Lingering of an earlier process.
func (p *Path) AdoptLingering(fd int) {
	if l, err := p.AdoptListener([]int{fd}, 0); err == nil {
		l.closed = true
	}
}
