package client

import (
	"math"

	"tunneldigger/src/wire"
)

// startSelection asks every broker that is not broken for its usage.
func (m *Machine) startSelection() {
	m.phase, m.until = selecting, m.now+m.timers.Select
	m.report(0, Selecting, 0)
	for i := range m.brokers {
		b := &m.brokers[i]
		if b.broken && m.now-b.brokenAt >= m.timers.Broken {
			b.broken = false
		}
		if !b.broken {
			m.open(i)
		}
	}
	m.choose()
}

func (m *Machine) open(i int) {
	m.brokers[i].state = opening
	m.emit(Effect{Kind: Open, Broker: i})
}

func (m *Machine) opened(i int, v6 bool) {
	b := &m.brokers[i]
	if m.phase != selecting || b.state != opening {
		return
	}
	b.state, b.v6 = asking, v6
	m.askUsage(i)
}

func (m *Machine) askUsage(i int) {
	start := len(m.buf)
	m.buf = wire.AppendUsageRequest(m.buf, m.opt.Features)
	m.sent(i, start)
	m.brokers[i].next = m.now + m.timers.Repeat
}

func (m *Machine) tickSelection() {
	for i := range m.brokers {
		b := &m.brokers[i]
		switch {
		case b.state == reopening && m.now >= b.next:
			m.open(i)
		case b.state == asking && m.now >= b.next:
			m.stats.UsageRepeats++
			m.askUsage(i)
			m.askCookie(i) // an old broker answers only this
		}
	}
	m.choose()
}

// answered handles a message of a broker that is being asked.
func (m *Machine) answered(i int, msg wire.Message) {
	b := &m.brokers[i]
	switch msg.Type {
	case wire.TypeUsage:
		if load, ok := wire.ParseUint16(msg.Payload); ok && (b.state == asking || b.state == standby) {
			b.state, b.usage = standby, load
		}
	case wire.TypeCookie:
		if b.state == asking {
			b.state, b.usage = standby, math.MaxUint16
		}
	}
}

// choose ends the selection when enough brokers have answered, or it has taken
// long enough.
func (m *Machine) choose() {
	working, ready, best := 0, 0, -1
	for i := range m.brokers {
		switch b := &m.brokers[i]; b.state {
		case off:
		case standby:
			working++
			ready++
			if best < 0 || m.opt.Policy == LeastUsed && b.usage < m.brokers[best].usage {
				best = i
			}
		default:
			working++
		}
	}
	over := m.now >= m.until || ready == working
	if !over && (ready == 0 || m.opt.Policy != First) {
		return
	}
	if ready == 0 {
		m.pause()
		return
	}
	if m.opt.Policy == Random && m.opt.Rand != nil {
		best = m.nthReady(m.opt.Rand(ready))
	}
	m.connect(best)
}

// nthReady returns the n-th broker that answered, counting from 0; the last
// one if there are fewer.
func (m *Machine) nthReady(n int) int {
	found := 0
	for i := range m.brokers {
		if m.brokers[i].state == standby {
			found = i
			if n--; n < 0 {
				break
			}
		}
	}
	return found
}

func (m *Machine) pause() {
	for i := range m.brokers {
		m.closeSocket(i)
	}
	m.report(0, NoBroker, 0)
	m.phase, m.until = pausing, m.now+m.timers.Pause
}

// connect starts the set-up with broker i. It counts as broken from here until
// its tunnel has proved itself, so that the next selection avoids it.
func (m *Machine) connect(i int) {
	for j := range m.brokers {
		if j != i {
			m.closeSocket(j)
		}
	}
	b := &m.brokers[i]
	b.broken, b.brokenAt = true, m.now
	b.state, b.next = getCookie, m.now+m.timers.Repeat
	m.phase, m.active, m.until = connecting, i, m.now+m.timers.Establish
	m.report(i, Selected, 0)
	m.askCookie(i)
}
