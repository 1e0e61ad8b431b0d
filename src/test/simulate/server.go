package simulate

import (
	"net/netip"
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/cookie"
	"tunneldigger/src/wire"
)

// ServerOptions is what there is to choose about a broker's host.
type ServerOptions struct {
	Verify    bool // there is a session.verify program
	OldKernel bool // it refuses a second session with ID 1
	Keys      int  // that limits remember at most, 0: as many as they like
	MTU       int  // of the host's own interface, 0: 1500
}

// Server is a host with a broker: the core, and everything that the core is
// told about and asks for.
type Server struct {
	V4, V6 netip.AddrPort
	// Stopped is called when a Stop is complete; may be nil.
	Stopped func()

	world   *World
	config  config.Broker
	options ServerOptions
	core    *broker.Broker
	out     []broker.Effect
	alive   bool
	life    int           // counts the processes
	left    [][]byte      // by one that crashed, of its tunnels
	leftAt  time.Duration // when it did
	ending  map[uint32]bool
	wake    time.Duration // when the next Tick is planned, 0: it is not

	coreOptions broker.Options

	kernel
	hooks    map[uint64][]broker.Effect // by serial; the first of each runs
	records  map[uint64]*record         // by serial
	names    map[uint32]*record         // by tunnel ID
	last     lasts
	noOld    bool    // it has said that it can't serve old clients
	doubtful *record // whether it lives on is known after this turn
	noted    [32]int // notes, by kind
	refixed  bool    // the fixed MTU has changed
	most     int     // tunnels and clients that wait, when the limit fell
	keys     int     // that limits may remember
	door     door
	drained  drained
	verified bool // session.verify has run
	careful  bool // the last interface that was to be raised was not
	ticking  bool // what is carried out comes of a Tick, or of another configuration, which may serve who waits
}

// AddServer adds a broker that runs from now on.
func (w *World) AddServer(c config.Broker, o ServerOptions) *Server {
	n := byte(len(w.servers) + 1)
	v6 := netip.MustParseAddr("2001:db8::").As16()
	v6[15] = n
	if o.MTU == 0 {
		o.MTU = 1500
	}
	c.Ports = []uint16{53}
	sv := &Server{
		V4:    netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, n}), 53),
		V6:    netip.AddrPortFrom(netip.AddrFrom16(v6), 53),
		world: w, config: c, options: o,
		kernel: kernel{ids: make(map[uint32]*object)},
	}
	w.servers = append(w.servers, sv)
	w.at[sv.V4], w.at[sv.V6] = sv, sv
	sv.start()
	return sv
}

// start begins a new process, which knows nothing of the one before.
func (sv *Server) start() {
	sv.life++
	sv.alive, sv.wake, sv.noOld, sv.most, sv.careful = true, 0, false, 0, false
	sv.pairs = make(map[pair]*object)
	sv.making = nil
	sv.hooks = make(map[uint64][]broker.Effect)
	sv.records = make(map[uint64]*record)
	sv.names = make(map[uint32]*record)
	sv.last = newLasts()
	key := [16]byte{byte(sv.V4.Addr().As4()[3]), byte(sv.life)}
	sv.coreOptions = broker.Options{
		Jar: cookie.New(key), Random: sv.world.Random.Uint32, Verify: sv.options.Verify, Keys: sv.options.Keys,
	}
	sv.core = broker.New(sv.config, sv.coreOptions)
	sv.core.SetLists(sv.world.now, sv.door.allow, sv.door.deny, nil)
	sv.keys = sv.options.Keys
	sv.door.open()
	sv.trace("starts")
	sv.remake()
}

// Kill ends the process without a word; another one starts after a while. The
// kernel removes the tunnels in its own time, as their sockets are closed.
func (sv *Server) Kill(away time.Duration) {
	if sv.alive {
		sv.trace("is killed")
		sv.left = nil
		sv.end(away)
	}
}

func (sv *Server) end(away time.Duration) {
	sv.alive = false
	sv.life++
	sv.pairs = make(map[pair]*object)
	for _, id := range sv.sorted() {
		sv.remove(sv.ids[id], func() {})
	}
	sv.world.After(away, sv.start)
}

// Stop ends the process in order; another one starts after a while.
func (sv *Server) Stop(away time.Duration) {
	if !sv.alive {
		return
	}
	sv.trace("is told to stop")
	sv.left = nil
	sv.handle(broker.Event{Kind: broker.EventStop})
	deadline := sv.world.now + 150*s
	var wait func()
	wait = func() {
		switch {
		case sv.core.Tunnels() == 0:
			if len(sv.records) != 0 || sv.core.Waiting() != 0 {
				sv.fail("stopped with %d tunnels and %d who wait", len(sv.records), sv.core.Waiting())
			}
			if sv.Stopped != nil {
				sv.Stopped()
			}
			sv.end(away)
		case sv.world.now > deadline:
			sv.fail("does not stop: %d tunnels are left", sv.core.Tunnels())
		default:
			sv.after(100*ms, wait)
		}
	}
	wait()
}

// after plans something that dies with the process.
func (sv *Server) after(d time.Duration, do func()) {
	life := sv.life
	sv.world.After(d, func() {
		if sv.life == life {
			do()
		}
	})
}

// deliver takes a datagram from the network to one of the process's sockets. A
// connected socket gets its peer's, the listener the rest; but sometimes, and
// before a new socket is connected in particular, it is another one.
func (sv *Server) deliver(p pair, data []byte) {
	sv.world.record(sv, p, data)
	if !sv.alive || sv.takesFrame(p, data) {
		return
	}
	ev := broker.Event{Kind: broker.EventDatagram, Peer: p.client, Local: p.server, Data: data}
	if p.server == sv.V6 {
		ev.Listener = 1
	}
	switch o := sv.pairs[p]; {
	case o == nil && len(sv.making) > 0 && sv.world.chance(10*sv.world.Trouble.Window):
		m := sv.making[sv.world.Random.IntN(len(sv.making))]
		m.held = append(m.held, ev)
		return
	case o == nil || o.state != making && sv.world.chance(sv.world.Trouble.Window):
	case o.state == making:
		ev.Kind, ev.Tunnel = broker.EventTunnelDatagram, o.Tunnel
		o.held = append(o.held, ev)
		return
	default:
		ev = broker.Event{Kind: broker.EventTunnelDatagram, Tunnel: o.Tunnel, Data: data}
	}
	sv.handle(ev)
}

// handle lets the core take in an event and does what it asks for. It is never
// called while that goes on.
func (sv *Server) handle(ev broker.Event) {
	before := sv.core.Stats()
	sv.out = sv.core.Handle(sv.world.now, &ev, sv.out[:0])
	if ev.Kind == broker.EventDatagram || ev.Kind == broker.EventTunnelDatagram {
		sv.checkAnswer(&ev, before)
	}
	sv.carryOut()
}

func (sv *Server) tick() {
	sv.out = sv.core.Tick(sv.world.now, sv.out[:0])
	sv.ticking = true
	sv.carryOut()
	sv.ticking = false
}

// plan sees to it that Tick is called when it is due.
func (sv *Server) plan() {
	due, ok := sv.core.Due()
	if !ok || sv.wake != 0 && sv.wake <= due {
		return
	}
	sv.wake = due
	sv.after(due-sv.world.now+sv.world.upTo(sv.world.Trouble.Late), func() {
		if sv.wake == due {
			sv.wake = 0
			sv.tick()
		}
	})
}

func (sv *Server) carryOut() {
	for i := range sv.out {
		switch e := &sv.out[i]; e.Kind {
		case broker.EffectReply:
			sv.reply(e)
		case broker.EffectSend:
			sv.send(e)
		case broker.EffectCreate:
			sv.checkCreate(e)
			sv.create(e)
		case broker.EffectRaise:
			sv.checkRaise(e)
			sv.raise(e)
		case broker.EffectDestroy:
			sv.checkDestroy(e)
			sv.destroy(e)
		case broker.EffectSetMTU:
			if o := sv.checkThere(e, "gets another MTU"); o != nil {
				o.MTU = e.MTU
			}
		case broker.EffectShape:
			if o := sv.checkThere(e, "gets another bandwidth"); o != nil {
				o.bandwidth = e.Bandwidth
			}
		case broker.EffectCount:
			sv.count(e)
		case broker.EffectHook:
			sv.checkHook(e)
			sv.hook(e)
		case broker.EffectNote:
			sv.note(e)
		}
	}
	sv.settleRecords()
	sv.plan()
}

func (sv *Server) reply(e *broker.Effect) {
	if (e.Listener == 1) != (e.Local == sv.V6) {
		sv.fail("answers from %v by listener %d", e.Local, e.Listener)
	}
	if sv.world.Trace != nil {
		sv.trace("→ %v %s", e.Peer, describe(e.Message(), 0))
	}
	sv.world.toClient(pair{e.Peer, e.Local}, e.Message(), 0, nil)
}

func (sv *Server) send(e *broker.Effect) {
	o := sv.checkThere(e, "is to send")
	if o == nil {
		return
	}
	sv.checkTunnel(o, e.Message())
	if sv.world.Trace != nil {
		sv.trace("%d → %v %s", e.Tunnel, o.Peer, describe(e.Message(), e.Size))
	}
	id := e.Tunnel
	tooBig := func(mtu int) {
		if sv.ids[id] == o && o.life == sv.life {
			sv.handle(broker.Event{Kind: broker.EventTooBig, Tunnel: id, Size: mtu})
		}
	}
	if packet := max(e.Size, len(e.Message())) + wire.UDPOverhead(o.v6()); packet > sv.options.MTU {
		sv.after(0, func() { tooBig(packet - 1) })
		return
	}
	sv.world.toClient(o.pair(), e.Message(), e.Size, tooBig)
}

func (sv *Server) trace(format string, args ...any) {
	if sv.world.Trace != nil {
		sv.world.trace("broker "+sv.V4.Addr().String()+" "+format, args...)
	}
}

func (sv *Server) fail(format string, args ...any) {
	sv.world.Fail("broker "+sv.V4.Addr().String()+" "+format, args...)
}
