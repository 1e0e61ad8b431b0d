package broker

import (
	"net/netip"
	"time"

	"tunneldigger/src/admission"
	"tunneldigger/src/config"
	"tunneldigger/src/cookie"
	"tunneldigger/src/pmtu"
	"tunneldigger/src/wire"
)

const (
	known        = wire.UniqueSessionID // the features that this broker has
	keepaliveGap = 5 * time.Second      // protocol.md, "While the tunnel stands"
	stale        = 6500 * time.Millisecond
	asideTime    = 60 * time.Second
	removalTime  = 10 * time.Second // that the kernel may take to remove an interface
	maxTries     = 4                // IDs for one client
	hookGap      = 10 * time.Second // between two connection-rate-limit hooks for one address
	limiterKeys  = 4096
)

// Slack is by how much a keepalive may be early. A loop that is awake for something
// else calls Tick for what is due within it, and need not wake for that: with
// hundreds of tunnels this halves the wakings.
const Slack = 20 * time.Millisecond

// Options is what a Broker needs beside its configuration.
type Options struct {
	Jar    *cookie.Jar
	Random func() uint32 // any numbers; they spread timers, nothing secret
	Verify bool          // a session.verify program is configured
	// MaxTunnels is how many tunnels this process can hold (descriptors), 0: as
	// many as configured.
	MaxTunnels int
	// Taken reports whether something else holds a tunnel ID, such as a
	// section that is being removed; nil: nothing has.
	Taken func(id uint32) bool
	// Client gives what holds for one node; nil: nothing for any. It may change
	// until the next Reconfigure.
	Client func(uuid string) Client
	// Serial is what the tunnels' serial numbers begin after.
	Serial uint64
	// Keys is how many addresses and how many UUIDs limits remember at most, 0:
	// 4096.
	Keys int
}

// Client is what holds for one node.
type Client struct {
	Tunnel    uint32 // the ID that it always has, none of the section's range; 0: any
	Bandwidth uint32 // kbit/s, whatever it asks for; 0: as others
}

func (b *Broker) client(uuid string) Client {
	if b.options.Client == nil {
		return Client{}
	}
	return b.options.Client(uuid)
}

// Broker holds the tunnels of one section. It is not safe for concurrent use.
type Broker struct {
	config  config.Broker
	options Options
	limit   int // most tunnels at once

	tunnels   table
	pairs     map[pair]*tunnel
	deadlines deadlines
	ids       idPool
	recent    recent
	serial    uint64
	queue     *admission.Queue[pair, request]
	perIP     *admission.Limiter[netip.Addr]
	perUUID   *admission.Limiter[string]
	hooked    *admission.Limiter[netip.Addr]
	lists     lists
	shed      shedder
	strangers strangers

	drain drain
	// careful is set when an interface could not be raised: then the next ones are
	// raised before their clients have an answer, so that ERROR sends them to
	// another broker, until one succeeds.
	careful    bool
	stopping   bool
	why        Reason // it is stopping, ReasonNone: it is not
	noOld      bool   // the kernel can't give sessions to clients without UNIQUE_SESSION_ID
	stats      Stats
	probeSizes []int
	out        []Effect
}

func (o *Options) keys() int {
	if o.Keys > 0 {
		return o.Keys
	}
	return limiterKeys
}

// New makes a Broker without tunnels.
func New(c config.Broker, o Options) *Broker {
	b := &Broker{
		config: c, options: o, serial: o.Serial,
		tunnels: newTable(c.TunnelIDBase, c.MaxTunnels),
		pairs:   make(map[pair]*tunnel),
		ids:     newIDPool(c.TunnelIDBase, c.MaxTunnels),
		queue:   admission.NewQueue[pair, request](c.RateInterval),
		perIP:   admission.NewLimiter[netip.Addr](c.PerIP.Count, c.PerIP.Time, o.keys()),
		perUUID: admission.NewLimiter[string](c.PerUUID.Count, c.PerUUID.Time, o.keys()),
		hooked:  admission.NewLimiter[netip.Addr](1, hookGap, o.keys()),
		shed:    newShedder(c.AnswerRate),
	}
	b.setLimit()
	return b
}

// Tunnels is the number of tunnels, those included that are coming or going.
func (b *Broker) Tunnels() int { return b.tunnels.count }

// Waiting is the number of clients in the queue.
func (b *Broker) Waiting() int { return b.queue.Len() }

// Stats gives the counters as they are now.
func (b *Broker) Stats() Stats { return b.stats }

// Due is when Tick is to be called next; false: no need to.
func (b *Broker) Due() (time.Duration, bool) {
	at, ok := b.queue.Due()
	if b.drain.gap > 0 && b.tunnels.count > 0 && (!ok || b.drain.at < at) {
		at, ok = b.drain.at, true
	}
	if told, waits := b.strangers.due(b.tellStep()); waits && (!ok || told < at) {
		at, ok = told, true
	}
	if len(b.deadlines) > 0 && (!ok || b.deadlines[0].due < at) {
		return b.deadlines[0].due, true
	}
	return at, ok
}

// Handle takes in what happened and appends what is to be done to out. An event
// about a tunnel that is not there, or not in a state for it, is ignored: it
// crossed with a change on its way.
func (b *Broker) Handle(now time.Duration, ev *Event, out []Effect) []Effect {
	b.out = out
	switch ev.Kind {
	case EventDatagram:
		b.datagram(now, ev, nil)
	case EventStop:
		b.stop(now, ClosedStopping)
	case EventRemove:
		b.stop(now, ClosedRemoved)
	default:
		if t := b.tunnels.get(ev.Tunnel); t != nil {
			b.tunnelEvent(now, ev, t)
		}
	}
	out, b.out = b.out, nil
	return out
}

func (b *Broker) tunnelEvent(now time.Duration, ev *Event, t *tunnel) {
	switch ev.Kind {
	case EventTunnelDatagram:
		b.datagram(now, ev, t)
	case EventCreated:
		if t.state == creating {
			b.created(now, t, ev.Up)
		}
	case EventRaised:
		if t.state == answered {
			b.raised(now, t)
		}
	case EventRaiseFailed:
		if t.state == answered {
			b.careful = true
			b.close(now, t, ClosedAttach)
		}
	case EventCreateFailed:
		switch {
		case t.state == creating && t.again:
			b.notRemade(now, t, ev.Fault)
		case t.state == creating:
			b.failed(now, t, ev.Fault)
		}
	case EventDestroyed:
		if t.state == destroying {
			b.destroyed(now, t)
		}
	case EventLost:
		if t.stands() {
			b.close(now, t, ClosedLost)
		}
	case EventAdopted:
		if t.state == up && t.fresh {
			b.hook(config.EventSessionUp, t)
		}
	case EventCounted:
		if t.stands() {
			b.counted(now, t, ev.Frames)
		}
	case EventKick:
		if t.stands() {
			b.close(now, t, ClosedKicked)
		}
	case EventHookDone:
		if t.serial == ev.Serial {
			b.hookDone(now, t, ev)
		}
	case EventTooBig:
		if t.stands() && b.config.PMTU == 0 {
			b.measured(now, t, t.prober.TooBig(now, ev.Size))
			b.schedule(t)
		}
	}
}

// Tick does what time brings: keepalives, probes, time-outs and the queue.
func (b *Broker) Tick(now time.Duration, out []Effect) []Effect {
	b.out = out
	for len(b.deadlines) > 0 && b.deadlines[0].attendable(now) {
		b.attend(now, b.deadlines[0].tunnel)
	}
	b.release(now)
	b.tellRow(now)
	for {
		r, ok := b.queue.Pop(now)
		if !ok {
			break
		}
		if now-r.heard <= stale {
			b.start(now, r)
		}
	}
	out, b.out = b.out, nil
	return out
}

// effect appends an effect; the pointer is good until the next one.
func (b *Broker) effect(kind EffectKind) *Effect {
	b.out = append(b.out, Effect{Kind: kind})
	return &b.out[len(b.out)-1]
}

func (b *Broker) send(t *tunnel) *Effect {
	e := b.effect(EffectSend)
	e.Tunnel = t.id
	return e
}

func (b *Broker) note(n Note, f Facts, r Reason) *Effect {
	e := b.effect(EffectNote)
	e.Note, e.Facts, e.Reason = n, f, r
	return e
}

func (b *Broker) hook(h config.Event, t *tunnel) *Effect {
	e := b.effect(EffectHook)
	e.Hook, e.Facts = h, t.facts()
	return e
}

// newProber has the first round come after a second or two: a client needs some
// time for its end of the tunnel, and in a storm twelve datagrams for each of
// those who have their answer would keep the others waiting.
func newProber(now time.Duration, t *tunnel, random uint32) pmtu.Prober {
	return pmtu.New(t.v6(), now+time.Second+time.Duration(random%1000)*time.Millisecond)
}
