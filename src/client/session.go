package client

import (
	"time"

	"tunneldigger/src/wire"
)

// limitTries is how often LIMIT is sent before the client gives up on it.
const limitTries = 10

// session is the tunnel that stands.
type session struct {
	tunnel    Tunnel
	alive     time.Duration // when the broker was last heard
	keepalive time.Duration // when the next one goes out
	seq       uint32        // of KEEPALIVE
	mtu       mtu
	limit     limit
}

// limit is the LIMIT that is not yet acknowledged; next is Never if there is
// none.
type limit struct {
	seq   uint16
	tries int
	next  time.Duration
}

func (s *session) due(t Timers) time.Duration {
	return min(s.keepalive, s.alive+t.Silence, s.mtu.next, s.limit.next)
}

func (m *Machine) tickSession() {
	s := &m.session
	if m.proving && m.now >= m.until {
		m.proving = false
		m.brokers[m.active].broken = false
	}
	if m.now-s.alive >= m.timers.Silence {
		m.lose(Silent, 0, wire.ReasonClientTimeout)
		return
	}
	if m.now >= s.keepalive {
		start := len(m.buf)
		m.buf = wire.AppendClientKeepalive(m.buf, s.seq)
		m.sent(m.active, start)
		s.seq++
		s.keepalive = m.now + m.timers.Keepalive
	}
	if m.now >= s.mtu.next {
		m.probe()
	}
	if m.now >= s.limit.next {
		m.repeatLimit()
	}
}

// message handles a message of the broker whose tunnel stands.
func (m *Machine) message(msg wire.Message) {
	s := &m.session
	s.alive = m.now
	switch msg.Type {
	case wire.TypeError:
		reason, _ := wire.ParseError(msg.Payload)
		m.lose(Closed, reason, wire.ReasonClientOther)
	case wire.TypePMTUD:
		start := len(m.buf)
		m.buf = wire.AppendPMTUDAck(m.buf, uint16(min(msg.Size, 0xffff)))
		m.sent(m.active, start)
	case wire.TypePMTUDAck:
		if size, ok := wire.ParseUint16(msg.Payload); ok {
			s.mtu.acknowledged(int(size))
		}
	case wire.TypePMTUNtfy:
		if mtu, ok := wire.ParseUint16(msg.Payload); ok {
			m.notified(int(mtu))
		}
	case wire.TypeRelAck:
		if seq, ok := wire.ParseUint16(msg.Payload); ok && seq == s.limit.seq {
			s.limit.next = Never
		}
	}
}

// sendLimit asks for the wanted bandwidth. One that was asked for before and is
// not acknowledged is forgotten: its sequence number is another.
func (m *Machine) sendLimit() {
	l := &m.session.limit
	l.seq++
	l.tries = 0
	m.transmitLimit()
}

func (m *Machine) transmitLimit() {
	l := &m.session.limit
	start := len(m.buf)
	m.buf = wire.AppendLimit(m.buf, l.seq, m.opt.Limit)
	m.sent(m.active, start)
	l.tries++
	l.next = m.now + m.timers.Reliable
}

func (m *Machine) repeatLimit() {
	l := &m.session.limit
	if l.tries >= limitTries {
		l.next = Never
		m.report(m.active, LimitLost, 0)
		return
	}
	m.stats.LimitRepeats++
	m.transmitLimit()
}

// lose closes a tunnel that ends by itself.
func (m *Machine) lose(why Note, theirs, ours wire.Reason) {
	m.stats.Lost++
	m.close(why, theirs, ours)
}

// close tells the broker, and takes the tunnel down once the hook has ended.
func (m *Machine) close(why Note, theirs, ours wire.Reason) {
	m.report(m.active, why, theirs)
	m.sendError(ours)
	m.phase = closing
	if m.opt.Hooks {
		m.emit(Effect{Kind: RunHook, Broker: m.active, Hook: PreDown})
		return
	}
	m.finishClose()
}

func (m *Machine) finishClose() {
	m.emit(Effect{Kind: DeleteTunnel, Broker: m.active, Tunnel: m.session.tunnel})
	if m.opt.Hooks {
		m.emit(Effect{Kind: RunHook, Broker: m.active, Hook: Down})
	}
	m.end()
}
