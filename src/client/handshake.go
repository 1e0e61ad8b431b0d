package client

import (
	"math"

	"tunneldigger/src/wire"
)

func (m *Machine) askCookie(i int) {
	start := len(m.buf)
	m.buf = wire.AppendCookieRequest(m.buf)
	m.sent(i, start)
}

func (m *Machine) prepare() {
	b := &m.brokers[m.active]
	start := len(m.buf)
	if m.opt.NoTunnelID {
		m.buf = wire.AppendPrepareNoID(m.buf, b.cookie[:], []byte(m.opt.UUID))
	} else {
		m.buf = wire.AppendPrepare(m.buf, b.cookie[:], []byte(m.opt.UUID), m.opt.TunnelID, m.opt.Features)
	}
	m.sent(m.active, start)
	b.next = m.now + m.timers.Repeat
}

func (m *Machine) tickHandshake() {
	b := &m.brokers[m.active]
	if b.state == creating {
		return
	}
	if m.now >= m.until {
		m.stats.NoAnswer++
		m.report(m.active, NoAnswer, 0)
		if b.state == getTunnel {
			m.sendError(wire.ReasonClientTimeout) // perhaps only its TUNNEL got lost
		}
		m.end()
		return
	}
	if m.now < b.next {
		return
	}
	switch b.state {
	case getCookie:
		m.stats.CookieRepeats++
		m.askCookie(m.active)
		b.next = m.now + m.timers.Repeat
	case getTunnel:
		m.stats.PrepareRepeats++
		m.prepare()
	}
}

// handshake handles a message of the broker that was chosen.
func (m *Machine) handshake(msg wire.Message) {
	b := &m.brokers[m.active]
	switch msg.Type {
	case wire.TypeCookie:
		cookie, ok := wire.ParseCookie(msg.Payload)
		if ok && b.state == getCookie {
			b.state, b.cookie = getTunnel, cookie
			m.prepare()
		}
	case wire.TypeError:
		if b.state != getTunnel && b.state != creating {
			return
		}
		reason, _ := wire.ParseError(msg.Payload)
		m.stats.Refused++
		m.report(m.active, Refused, reason)
		if b.state == creating {
			m.abort = true
			return
		}
		m.end()
	case wire.TypeTunnel:
		id, features, err := wire.ParseTunnel(msg.Payload)
		if err == nil && id != 0 && b.state == getTunnel {
			m.create(id, features)
		}
	}
}

// create asks the kernel for the tunnel that the broker agreed to.
func (m *Machine) create(peer uint32, accepted wire.Features) {
	t := Tunnel{ID: m.opt.TunnelID, PeerID: peer, SessionID: 1, PeerSessionID: 1}
	if accepted&m.opt.Features&wire.UniqueSessionID != 0 {
		t.SessionID, t.PeerSessionID = t.ID, t.PeerID
	}
	b := &m.brokers[m.active]
	b.state = creating
	m.session = session{tunnel: t, alive: m.now, mtu: newMTU(b.v6)}
	m.emit(Effect{Kind: CreateTunnel, Broker: m.active, Tunnel: t, MTU: m.session.mtu.inForce})
}

func (m *Machine) tunnelUp() {
	b := &m.brokers[m.active]
	if m.phase != connecting || b.state != creating {
		return
	}
	if m.abort {
		if m.stopping {
			m.sendError(wire.ReasonClientShutdown)
		}
		m.emit(Effect{Kind: DeleteTunnel, Broker: m.active, Tunnel: m.session.tunnel})
		m.end()
		return
	}
	b.state = inUse
	m.phase, m.proving = standing, true
	m.stats.Established++
	m.report(m.active, Established, 0)
	s := &m.session
	s.alive, s.keepalive = m.now, m.now+m.timers.Keepalive
	s.mtu.next, s.mtu.wait = m.now+m.timers.ProbeWait, m.timers.ProbeWait
	if m.opt.NoProbes {
		s.mtu.next = Never
	}
	s.limit = limit{seq: math.MaxUint16, next: Never} // so that the first is 0
	if m.opt.Hooks {
		m.emit(Effect{Kind: RunHook, Broker: m.active, Hook: Up})
	}
	if m.opt.Limit != 0 {
		m.sendLimit()
	}
}

func (m *Machine) tunnelFailed() {
	if m.phase != connecting || m.brokers[m.active].state != creating {
		return
	}
	m.report(m.active, KernelError, 0)
	m.sendError(wire.ReasonClientFailure)
	m.end()
}
