package client

import (
	"math"
	"time"

	"tunneldigger/src/wire"
)

// Never is what Due returns when only an event from outside can move the
// machine.
const Never time.Duration = math.MaxInt64

// phase is what the machine as a whole is doing.
type phase uint8

const (
	idle phase = iota
	selecting
	pausing    // no broker is left
	connecting // to the active broker
	standing   // the active broker's tunnel stands
	closing    // it waits for the hook before the tunnel goes
	stopped
)

// state is where the handshake with one broker is.
type state uint8

const (
	off       state = iota // no socket
	opening                // Open was asked for
	reopening              // Open failed and will be tried again
	asking                 // USAGE sent
	standby                // it answered
	getCookie              // COOKIE sent
	getTunnel              // PREPARE sent
	creating               // TUNNEL received, the kernel is at it
	inUse                  // phases standing and closing
)

type broker struct {
	state    state
	v6       bool
	broken   bool
	usage    uint16
	cookie   [8]byte
	next     time.Duration // the next repetition
	brokenAt time.Duration
}

// Machine is one client.
type Machine struct {
	opt      Options
	timers   Timers
	brokers  []broker
	phase    phase
	active   int  // broker; valid in connecting, standing and closing
	proving  bool // the tunnel is younger than Establish: the broker still counts as broken
	stopping bool
	abort    bool          // the tunnel under creation is not wanted any more
	until    time.Duration // end of selecting, pausing, connecting or proving
	session  session
	stats    Stats

	// During Handle:
	now time.Duration
	out []Effect
	buf []byte // backs the data of Send
}

// New returns a client that waits for Start.
func New(opt Options) *Machine {
	if opt.TunnelID == 0 || opt.NoTunnelID {
		opt.TunnelID = 1
	}
	if opt.NoTunnelID {
		opt.Features = 0
	}
	return &Machine{opt: opt, timers: opt.Timers.withDefaults(), brokers: make([]broker, max(opt.Brokers, 0))}
}

// Handle takes ev, which happened at now, and appends what there is to do.
// Events that do not fit the state are ignored. now may not go back.
func (m *Machine) Handle(now time.Duration, ev Event, out []Effect) []Effect {
	m.now, m.out, m.buf = now, out, m.buf[:0]
	if ev.Broker >= 0 && ev.Broker < len(m.brokers) {
		m.event(ev)
	}
	m.tick()
	out, m.out = m.out, nil
	return out
}

// Due is when Tick is wanted at the latest, or Never.
func (m *Machine) Due() time.Duration {
	switch m.phase {
	case selecting:
		due := m.until
		for i := range m.brokers {
			if b := &m.brokers[i]; b.state == asking || b.state == reopening {
				due = min(due, b.next)
			}
		}
		return due
	case pausing:
		return m.until
	case connecting:
		if b := &m.brokers[m.active]; b.state != creating {
			return min(m.until, b.next)
		}
	case standing:
		due := m.session.due(m.timers)
		if m.proving {
			due = min(due, m.until)
		}
		return due
	}
	return Never
}

// Stats returns the counters.
func (m *Machine) Stats() Stats { return m.stats }

// Tunnel returns the tunnel that stands, its MTU in bytes and the broker that
// it leads to; false if there is none.
func (m *Machine) Tunnel() (t Tunnel, mtu, broker int, ok bool) {
	if m.phase != standing {
		return Tunnel{}, 0, 0, false
	}
	return m.session.tunnel, m.session.mtu.inForce, m.active, true
}

func (m *Machine) event(ev Event) {
	switch ev.Kind {
	case Start:
		if m.phase == idle {
			m.startSelection()
		}
	case Stop:
		m.stop()
	case Opened:
		m.opened(ev.Broker, ev.V6)
	case OpenFailed:
		if b := &m.brokers[ev.Broker]; b.state == opening {
			b.state, b.next = reopening, m.now+m.timers.Repeat
		}
	case Datagram:
		m.datagram(ev.Broker, ev.Data)
	case SocketFailed:
		m.socketFailed(ev.Broker)
	case TunnelUp:
		m.tunnelUp()
	case TunnelFailed:
		m.tunnelFailed()
	case TunnelLost:
		if m.phase == standing {
			m.lose(KernelError, 0, wire.ReasonClientFailure)
		}
	case HookDone:
		if m.phase == closing && ev.Hook == PreDown {
			m.finishClose()
		}
	case SetLimit:
		m.opt.Limit = ev.Limit
		if m.phase == standing {
			m.sendLimit()
		}
	}
}

// tick does what is due.
func (m *Machine) tick() {
	switch m.phase {
	case selecting:
		m.tickSelection()
	case pausing:
		if m.now >= m.until {
			// There is no point in avoiding brokers when no other is left.
			for i := range m.brokers {
				m.brokers[i].broken = false
			}
			m.startSelection()
		}
	case connecting:
		m.tickHandshake()
	case standing:
		m.tickSession()
	}
}

func (m *Machine) datagram(i int, data []byte) {
	msg, err := wire.Parse(data)
	if err != nil {
		m.stats.Dropped++
		return
	}
	m.stats.Received++
	switch m.phase {
	case selecting:
		m.answered(i, msg)
	case connecting:
		if i == m.active {
			m.handshake(msg)
		}
	case standing:
		if i == m.active {
			m.message(msg)
		}
	}
}

func (m *Machine) socketFailed(i int) {
	b := &m.brokers[i]
	switch {
	case m.phase == selecting && (b.state == asking || b.state == standby):
		m.emit(Effect{Kind: Close, Broker: i})
		b.state, b.next = reopening, m.now+m.timers.Repeat
	case m.phase == connecting && i == m.active && b.state != creating:
		m.report(i, SocketError, 0)
		m.end()
	case m.phase == standing && i == m.active:
		m.lose(SocketError, 0, wire.ReasonClientFailure)
	}
}

// stop takes down what there is.
func (m *Machine) stop() {
	if m.stopping {
		return
	}
	m.stopping = true
	switch m.phase {
	case idle, selecting, pausing:
		m.exit()
	case connecting:
		if m.brokers[m.active].state == creating {
			m.abort = true
			return
		}
		m.sendError(wire.ReasonClientShutdown)
		m.end()
	case standing:
		m.close(Stopped, 0, wire.ReasonClientShutdown)
	}
}

// end leaves the active broker, whose tunnel is gone or never was.
func (m *Machine) end() {
	m.abort, m.proving = false, false
	m.closeSocket(m.active)
	if m.stopping {
		m.exit()
		return
	}
	m.startSelection()
}

func (m *Machine) exit() {
	for i := range m.brokers {
		m.closeSocket(i)
	}
	m.phase = stopped
	m.emit(Effect{Kind: Exit})
}

func (m *Machine) closeSocket(i int) {
	if b := &m.brokers[i]; b.state != off {
		if b.state != reopening {
			m.emit(Effect{Kind: Close, Broker: i})
		}
		b.state = off
	}
}

func (m *Machine) emit(e Effect) { m.out = append(m.out, e) }

func (m *Machine) report(i int, n Note, r wire.Reason) {
	m.emit(Effect{Kind: Report, Broker: i, Note: n, Reason: r})
}

// sent turns what was appended to m.buf since start into an effect.
func (m *Machine) sent(i, start int) {
	m.emit(Effect{Kind: Send, Broker: i, Data: m.buf[start:len(m.buf):len(m.buf)]})
}

func (m *Machine) sendError(r wire.Reason) {
	start := len(m.buf)
	m.buf = wire.AppendErrorReason(m.buf, r)
	m.sent(m.active, start)
}
