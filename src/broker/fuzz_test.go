package broker

import (
	"bytes"
	"testing"
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// auditor carries out the effects of a broker on paper and fails when they make
// no sense for a kernel, a hook runner or a client.
type auditor struct {
	*rig
	creating, there, removing map[uint32]Facts // kernel objects
	raising                   map[uint32]bool  // what is to be raised with creation, or after it
	hooks                     []Effect         // that run or wait
	stage                     map[uint64]config.Event
	standing                  map[pair][]byte // TUNNEL as it was first sent
}

func newAuditor(t *testing.T, c config.Broker, o Options) *auditor {
	r := newRig(t, c, o)
	r.handed = true
	return &auditor{
		rig: r, creating: map[uint32]Facts{}, there: map[uint32]Facts{}, removing: map[uint32]Facts{}, raising: map[uint32]bool{},
		stage: map[uint64]config.Event{}, standing: map[pair][]byte{},
	}
}

// do hands in an event and audits what comes of it.
func (a *auditor) do(ev Event) {
	a.event(ev)
	replied := 0
	for i := range a.out {
		if a.out[i].Kind == EffectReply {
			replied += len(a.out[i].Message())
		}
	}
	if ev.Kind == EventDatagram && replied > len(ev.Data) {
		a.t.Fatalf("%d bytes in answer to %d", replied, len(ev.Data))
	}
	a.audit()
}

func (a *auditor) audit() {
	for i := range a.out {
		e := &a.out[i]
		switch e.Kind {
		case EffectCreate:
			for _, in := range []map[uint32]Facts{a.creating, a.there, a.removing} {
				for id, f := range in {
					if id == e.Tunnel || f.Peer == e.Peer && f.Local == e.Local {
						a.t.Fatalf("%s while %s is there", line(e), f.Interface())
					}
				}
			}
			a.creating[e.Tunnel] = e.Facts
			a.raising[e.Tunnel] = e.Raise
			if e.Raise != a.careful {
				a.t.Fatalf("%s while a failed raise makes careful: %v", line(e), a.careful)
			}
		case EffectRaise:
			_, there := a.there[e.Tunnel]
			if last, any := a.stage[e.Serial]; !there || a.raising[e.Tunnel] || any && last != config.EventVerify {
				a.t.Fatalf("%s out of order", line(e))
			}
			a.raising[e.Tunnel] = true
		case EffectDestroy:
			f, ok := a.there[e.Tunnel]
			if !ok {
				a.t.Fatalf("%s, which is not there", line(e))
			}
			delete(a.there, e.Tunnel)
			delete(a.raising, e.Tunnel)
			a.removing[e.Tunnel] = f
		case EffectSend:
			f, ok := a.there[e.Tunnel]
			if !ok {
				a.t.Fatalf("%s, which is not there", line(e))
			}
			if m, err := wire.Parse(e.Message()); err != nil {
				a.t.Fatal(err)
			} else if p := (pair{f.Peer, f.Local}); m.Type == wire.TypeTunnel {
				if first := a.standing[p]; first != nil && !bytes.Equal(first, e.Message()) {
					a.t.Fatalf("TUNNEL % x, at first % x", e.Message(), first)
				}
				a.standing[p] = bytes.Clone(e.Message())
			}
		case EffectSetMTU, EffectShape:
			if _, ok := a.there[e.Tunnel]; !ok {
				a.t.Fatalf("%s, which is not there", line(e))
			}
		case EffectHook:
			a.hooked(e)
			a.hooks = append(a.hooks, *e)
		case EffectNote:
			if e.Note == NoteClosed {
				delete(a.standing, pair{e.Peer, e.Local})
			}
		}
	}
	kernel := 0
	for _, t := range a.tunnels.slots {
		if t == nil {
			continue
		}
		in := map[state]map[uint32]Facts{creating: a.creating, answered: a.there, up: a.there, closing: a.there, destroying: a.removing}[t.state]
		if _, ok := in[t.id]; in != nil && !ok {
			a.t.Fatalf("tunnel %d is in state %d, the kernel knows nothing", t.id, t.state)
		}
		if t.stands() && a.raising[t.id] != (t.state == answered) {
			a.t.Fatalf("tunnel %d is in state %d, and to be raised: %v", t.id, t.state, a.raising[t.id])
		}
		if t.state != verifying && t.state != down {
			kernel++
		}
	}
	if kernel != len(a.creating)+len(a.there)+len(a.removing) {
		a.t.Fatalf("%d tunnels, the kernel has %d + %d + %d", kernel, len(a.creating), len(a.there), len(a.removing))
	}
	check(a.t, a.Broker)
	a.auditDoor()
}

// hooked checks that the hooks of one tunnel come in order.
func (a *auditor) hooked(e *Effect) {
	if e.Serial == 0 {
		return
	}
	last, any := a.stage[e.Serial]
	ok := false
	switch e.Hook {
	case config.EventVerify:
		ok = !any
	case config.EventSessionUp:
		_, there := a.there[e.Tunnel]
		ok = (!any || last == config.EventVerify) && there && !a.raising[e.Tunnel]
	case config.EventMTUChanged:
		ok = any && (last == config.EventSessionUp || last == config.EventMTUChanged) && e.OldMTU != e.MTU
	case config.EventSessionPreDown:
		_, there := a.there[e.Tunnel]
		ok = any && there && (last == config.EventSessionUp || last == config.EventMTUChanged)
	case config.EventSessionDown:
		_, removing := a.removing[e.Tunnel]
		ok = any && !removing && last == config.EventSessionPreDown
	}
	if !ok {
		a.t.Fatalf("%s after %v (%v)", line(e), last, any)
	}
	a.stage[e.Serial] = e.Hook
}

// answer gives one of the answers that are due, the n-th; false if there is none.
func (a *auditor) answer(n int, fault Fault, refused bool) bool {
	for id := a.config.TunnelIDBase; id < a.config.TunnelIDBase+uint32(a.config.MaxTunnels); id++ {
		if f, ok := a.creating[id]; ok {
			if n--; n < 0 {
				delete(a.creating, id)
				if refused {
					a.do(Event{Kind: EventCreateFailed, Tunnel: id, Fault: fault})
				} else {
					a.there[id] = f
					isUp := a.raising[id]
					delete(a.raising, id)
					a.do(Event{Kind: EventCreated, Tunnel: id, Up: isUp})
				}
				return true
			}
		}
		if _, ok := a.there[id]; ok && a.raising[id] {
			if n--; n < 0 {
				delete(a.raising, id)
				kind := EventRaised
				if refused {
					kind = EventRaiseFailed
				}
				a.do(Event{Kind: kind, Tunnel: id})
				return true
			}
		}
		if _, ok := a.removing[id]; ok {
			if n--; n < 0 {
				delete(a.removing, id)
				a.do(Event{Kind: EventDestroyed, Tunnel: id})
				return true
			}
		}
	}
	running := map[uint64]bool{}
	for i, h := range a.hooks {
		if h.Serial != 0 && running[h.Serial] {
			continue
		}
		running[h.Serial] = true
		if n--; n < 0 {
			a.hooks = append(a.hooks[:i:i], a.hooks[i+1:]...)
			a.do(Event{Kind: EventHookDone, Tunnel: h.Tunnel, Serial: h.Serial, Hook: h.Hook, Refused: refused})
			return true
		}
	}
	return false
}

// wait lets time pass, but less than the kernel may take.
func (a *auditor) wait(d time.Duration) {
	for end := a.now + d; ; {
		at, ok := a.Due()
		if !ok || at > end {
			a.now = end
			return
		}
		a.now = max(a.now, at)
		for id := uint32(100); id < 103; id++ { // the kernel is in time
			if t := a.tunnels.get(id); t != nil && t.state == destroying && t.due <= a.now {
				delete(a.removing, id)
				a.do(Event{Kind: EventDestroyed, Tunnel: id})
			}
		}
		a.tick()
		a.audit()
	}
}

// FuzzCore plays what the bytes say: clients, the network, the kernel, hooks
// and the clock. Each step is an opcode and an argument.
func FuzzCore(f *testing.F) {
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) < 2 {
			return
		}
		c := config.Broker{Name: "fuzz", MaxTunnels: 3, TunnelIDBase: 100, TunnelTimeout: 20 * s}
		flags := script[0]
		if flags&1 != 0 {
			c.PMTU = 1400
		}
		if flags&2 != 0 {
			c.RateInterval = 3 * s
		}
		if flags&4 != 0 {
			c.PerIP = config.Rate{Count: 2, Time: 30 * s}
		}
		if flags&8 != 0 {
			c.BandwidthDownDefault, c.BandwidthDownMax = 1000, 2000
		}
		random := uint32(script[1])
		o := Options{Verify: flags&16 != 0, Random: func() uint32 { random = random*1664525 + 1013904223; return random }}
		guard(flags, &c, &o)
		a := newAuditor(t, c, o)
		clients := []pair{alice, bob, carol, dave, alice6, elsewhere}
		for script = script[2:]; len(script) >= 2; script = script[2:] {
			arg := script[1]
			from := clients[int(arg>>4)%len(clients)]
			ev := Event{Kind: EventDatagram, Peer: from.peer, Local: from.local}
			if arg&8 != 0 { // at a tunnel's socket
				ev = Event{Kind: EventTunnelDatagram, Tunnel: 100 + uint32(arg>>4)%3}
				if t := a.tunnels.get(ev.Tunnel); t != nil {
					from = t.pair
				}
			}
			switch op := script[0] % 20; op {
			case 16, 17, 18, 19:
				a.door(op, arg)
			case 0, 1: // a good PREPARE: two UUIDs, two IDs, with flags and without
				ev.Data = wire.AppendPrepare(nil, a.cookie(from), []byte{'a' + arg&1}, uint32(1+arg>>1&1), wire.Features(arg>>2&1))
				a.do(ev)
			case 2, 3:
				a.answer(int(arg>>4), FaultOther, false)
			case 4:
				a.answer(int(arg>>4), Fault(arg&3%3), true)
			case 5:
				a.wait(time.Duration(arg) * 50 * time.Millisecond)
			case 6:
				ev.Data = [][]byte{wire.AppendCookieRequest(nil), wire.AppendUsageRequest(nil, wire.Features(arg&1))}[arg&1]
				a.do(ev)
			case 7:
				ev.Data = wire.AppendClientKeepalive(nil, uint32(arg))
				a.do(ev)
			case 8:
				ev.Data = wire.AppendPMTUDAck(nil, []uint16{1472, 1464, 1372, 1306, 1452, 1286, 1, 1422}[arg&7])
				a.do(ev)
			case 9:
				ev.Data = wire.AppendPMTUNtfy(nil, []uint16{1446, 1438, 1346, 1280, 0, 65535, 1426, 1300}[arg&7])
				a.do(ev)
			case 10:
				ev.Data = wire.AppendLimit(nil, uint16(arg&7), uint32(arg>>3)*1000)
				a.do(ev)
			case 11:
				ev.Data = [][]byte{wire.AppendError(nil), wire.AppendErrorReason(nil, wire.ReasonClientShutdown), wire.AppendPMTUD(nil, 1400), wire.AppendRelAck(nil, 1)}[arg&3]
				a.do(ev)
			case 12: // crossed on its way
				a.do(Event{Kind: EventLost, Tunnel: 100 + uint32(arg&3)})
			case 13:
				a.do(Event{Kind: EventTooBig, Tunnel: 100 + uint32(arg&3), Size: 1300 + int(arg>>2)*4})
			case 14: // for one that had the ID before, or nobody
				a.do(Event{Kind: EventHookDone, Tunnel: 100 + uint32(arg&3), Serial: 0, Hook: config.Event(arg>>2) % config.EventCount})
			case 15: // the bytes that follow, as they are
				n := min(int(arg&63), len(script)-2)
				ev.Data = script[2 : 2+n]
				if n >= 2 && arg&64 != 0 {
					ev.Data = append([]byte{0x80, 0x73, 0xA7, 1, ev.Data[0], byte(n - 1)}, ev.Data[1:]...)
				}
				a.do(ev)
				script = script[n:]
				if len(script) < 2 {
					script = append(script, 5, 0)
				}
			}
		}
		// In the end everything goes, and in order.
		a.do(Event{Kind: EventStop})
		for a.answer(0, FaultOther, false) {
		}
		if a.Tunnels() != 0 || a.Waiting() != 0 || len(a.pairs) != 0 || len(a.deadlines) != 0 {
			t.Fatalf("%d tunnels, %d wait, %d pairs, %d deadlines are left", a.Tunnels(), a.Waiting(), len(a.pairs), len(a.deadlines))
		}
		for serial, last := range a.stage {
			if last != config.EventSessionDown && last != config.EventVerify {
				t.Fatalf("the last hook of tunnel %d was %v", serial, last)
			}
		}
	})
}
