package vectors

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/client"
	"tunneldigger/src/config"
	"tunneldigger/src/cookie"
	"tunneldigger/src/wire"
)

// side is one end of a conversation, with a clock that begins with it.
type side interface {
	// due is when tick is wanted next; a negative time: never.
	due() time.Duration
	tick(now time.Duration)
	receive(now time.Duration, datagram []byte)
	// said gives what it has sent since the last call.
	said() [][]byte
}

// PlayBroker has package broker take the broker's part in a conversation: it hears what the client says, and has to say what
// is written, when it is written.
func PlayBroker(c *Conversation) error { return play(c, "broker", newBrokerSide(c)) }

// PlayClient has package client take the client's part.
func PlayClient(c *Conversation) error { return play(c, "client", newClientSide(c)) }

func play(c *Conversation, from string, s side) error {
	type line struct {
		at       time.Duration
		datagram []byte
	}
	var said []line
	// listen notes what was said at now.
	listen := func(now time.Duration) {
		for _, d := range s.said() {
			said = append(said, line{now, d})
		}
	}
	// pass lets time pass until the end, or until something is said.
	pass := func(end time.Duration) {
		for len(said) == 0 && s.due() >= 0 && s.due() <= end {
			now := s.due()
			s.tick(now)
			listen(now)
		}
	}
	for i := range c.Steps {
		step := &c.Steps[i]
		at := step.Time()
		switch {
		case step.Type == Data:
		case step.From != from:
			pass(at - 1)
			if !step.Lost {
				s.receive(at, step.Bytes())
				listen(at)
			}
		default:
			if pass(at); len(said) == 0 {
				return fmt.Errorf("step %d, at %v: the %s says nothing, want %s %v", i, at, from, step.Type, step.Fields)
			}
			if d := said[0]; d.at != at || !bytes.Equal(d.datagram, step.Bytes()) {
				name, fields, err := Describe(from, d.datagram)
				return fmt.Errorf("step %d: the %s says %s %v %x at %v, %w; want %s %v %s at %v",
					i, from, name, fields, d.datagram, d.at, err, step.Type, step.Fields, step.Hex, at)
			}
			said = said[1:]
		}
	}
	if len(said) != 0 {
		return fmt.Errorf("after the end the %s says %x", from, said[0].datagram)
	}
	return nil
}

// brokerSide is a broker with a kernel and hooks that do everything at once.
type brokerSide struct {
	fresh          func() *broker.Broker
	core           *broker.Broker
	stops, forgets time.Duration
	out            [][]byte
}

// The broker's clock when a conversation begins; the cookies of the file depend on it, on the key and on the addresses.
const epoch = 1000 * time.Second

var (
	clientAddress = netip.MustParseAddrPort("192.0.2.10:40000")
	brokerAddress = netip.MustParseAddrPort("198.51.100.1:8942")
)

func newBrokerSide(c *Conversation) *brokerSide {
	section := config.Broker{Name: "wan", MaxTunnels: 100, TunnelIDBase: 100, TunnelTimeout: 60 * time.Second, PMTU: c.Broker.PMTU}
	options := broker.Options{Jar: cookie.New([16]byte{'v', 'e', 'c', 't', 'o', 'r', 's'}), Random: func() uint32 { return 0 }}
	fresh := func() *broker.Broker { return broker.New(section, options) }
	return &brokerSide{fresh: fresh, core: fresh(), stops: Seconds(c.Broker.Stops), forgets: Seconds(c.Broker.Forgets)}
}

func (s *brokerSide) due() time.Duration {
	at, ok := s.core.Due()
	at -= epoch
	for _, other := range []time.Duration{s.stops, s.forgets} {
		if other > 0 && (!ok || other < at) {
			at, ok = other, true
		}
	}
	if !ok {
		return -1
	}
	return at
}

func (s *brokerSide) tick(now time.Duration) {
	if s.stops > 0 && now >= s.stops {
		s.stops = 0
		s.event(now, broker.Event{Kind: broker.EventStop})
		return
	}
	if s.forgets > 0 && now >= s.forgets {
		s.forgets, s.core = 0, s.fresh()
		return
	}
	s.carryOut(now, s.core.Tick(epoch+now, nil))
}

func (s *brokerSide) receive(now time.Duration, datagram []byte) {
	s.event(now, broker.Event{Kind: broker.EventDatagram, Peer: clientAddress, Local: brokerAddress, Data: datagram})
}

func (s *brokerSide) event(now time.Duration, ev broker.Event) {
	s.carryOut(now, s.core.Handle(epoch+now, &ev, nil))
}

func (s *brokerSide) carryOut(now time.Duration, effects []broker.Effect) {
	for i := range effects {
		switch e := &effects[i]; e.Kind {
		case broker.EffectReply, broker.EffectSend:
			d := bytes.Clone(e.Message())
			s.out = append(s.out, append(d, make([]byte, max(0, e.Size-len(d)))...))
		case broker.EffectCreate:
			s.event(now, broker.Event{Kind: broker.EventCreated, Tunnel: e.Tunnel, Up: e.Raise})
		case broker.EffectRaise:
			s.event(now, broker.Event{Kind: broker.EventRaised, Tunnel: e.Tunnel})
		case broker.EffectDestroy:
			s.event(now, broker.Event{Kind: broker.EventDestroyed, Tunnel: e.Tunnel})
		case broker.EffectHook:
			s.event(now, broker.Event{Kind: broker.EventHookDone, Tunnel: e.Tunnel, Serial: e.Serial, Hook: e.Hook})
		}
	}
}

func (s *brokerSide) said() [][]byte {
	out := s.out
	s.out = nil
	return out
}

// clientSide is a client with a kernel that makes tunnels at once.
type clientSide struct {
	machine *client.Machine
	started bool
	stops   time.Duration
	out     [][]byte
}

func newClientSide(c *Conversation) *clientSide {
	return &clientSide{stops: Seconds(c.Client.Stops), machine: client.New(client.Options{
		Brokers: 1, UUID: c.Client.UUID, TunnelID: c.Client.TunnelID, NoTunnelID: c.Client.TunnelID == 0,
		Features: wire.Features(c.Client.Features), Limit: c.Client.Kbit, NoProbes: !c.Client.Probes,
	})}
}

func (s *clientSide) due() time.Duration {
	at := s.machine.Due()
	switch {
	case !s.started:
		return 0
	case s.stops > 0 && s.stops < at:
		return s.stops
	case at == client.Never:
		return -1
	}
	return at
}

func (s *clientSide) tick(now time.Duration) {
	switch {
	case !s.started:
		s.started = true
		s.event(now, client.Event{Kind: client.Start})
	case s.stops > 0 && now >= s.stops:
		s.stops = 0
		s.event(now, client.Event{Kind: client.Stop})
	default:
		s.event(now, client.Event{})
	}
}

func (s *clientSide) receive(now time.Duration, datagram []byte) {
	s.event(now, client.Event{Kind: client.Datagram, Data: datagram})
}

func (s *clientSide) event(now time.Duration, ev client.Event) {
	effects := s.machine.Handle(now, ev, nil)
	// The datagrams first: they are the machine's until the next event.
	for i := range effects {
		switch e := &effects[i]; e.Kind {
		case client.Send:
			s.out = append(s.out, bytes.Clone(e.Data))
		case client.Probe:
			s.out = append(s.out, wire.AppendPMTUD(nil, e.Size))
		}
	}
	for i := range effects {
		switch e := &effects[i]; e.Kind {
		case client.Open:
			s.event(now, client.Event{Kind: client.Opened, Broker: e.Broker})
		case client.CreateTunnel:
			s.event(now, client.Event{Kind: client.TunnelUp})
		}
	}
}

func (s *clientSide) said() [][]byte {
	out := s.out
	s.out = nil
	return out
}
