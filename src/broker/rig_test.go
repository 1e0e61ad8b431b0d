package broker

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/cookie"
	"tunneldigger/src/wire"
)

const s = time.Second

// The cast of the transcripts.
var (
	here   = netip.MustParseAddrPort("198.51.100.1:53")
	here6  = netip.MustParseAddrPort("[2001:db8::1]:53")
	alice  = pair{netip.MustParseAddrPort("192.0.2.10:1010"), here}
	bob    = pair{netip.MustParseAddrPort("192.0.2.20:2020"), here}
	carol  = pair{netip.MustParseAddrPort("192.0.2.30:3030"), here}
	dave   = pair{netip.MustParseAddrPort("192.0.2.40:4040"), here}
	alice6 = pair{netip.MustParseAddrPort("[2001:db8:a::10]:1010"), here6}
	names  = map[netip.AddrPort]string{alice.peer: "alice", bob.peer: "bob", carol.peer: "carol", dave.peer: "dave", alice6.peer: "alice6"}
)

const unique = wire.UniqueSessionID

// rig runs a Broker by hand. Every action leaves its effects in out, and is
// compares them with what was expected.
type rig struct {
	*Broker
	t      *testing.T
	now    time.Duration
	jar    *cookie.Jar
	out    []Effect
	handed bool     // every event goes to a successor of the broker so far
	lost   []uint32 // by the last crash
	alone  bool     // but not here: it takes too long, or looks into a broker's memory
}

// quiet has a fixed MTU, so that no probes come between.
var quiet = config.Broker{Name: "wan", MaxTunnels: 4, TunnelIDBase: 100, TunnelTimeout: 60 * s, PMTU: 1400}

// probing discovers the MTU.
var probing = config.Broker{Name: "wan", MaxTunnels: 4, TunnelIDBase: 100, TunnelTimeout: 60 * s}

func newRig(t *testing.T, c config.Broker, o Options) *rig {
	r := &rig{t: t, now: 1000 * s, jar: cookie.New([16]byte{1, 2, 3}), handed: handing}
	o.Jar = r.jar
	if o.Random == nil {
		o.Random = func() uint32 { return 0 }
	}
	r.Broker = New(c, o)
	return r
}

// event hands in an event.
func (r *rig) event(ev Event) *rig {
	r.upgrade()
	r.out = r.Handle(r.now, &ev, r.out[:0])
	return r
}

// upgrade puts a successor in the broker's place, in rigs that are for that.
func (r *rig) upgrade() {
	if r.handed && !r.alone {
		r.Broker = handOver(r.t, r.Broker)
	}
}

// listener hands in a datagram that came at the listener.
func (r *rig) listener(from pair, data []byte) *rig {
	return r.event(Event{Kind: EventDatagram, Peer: from.peer, Local: from.local, Data: data})
}

// socket hands in a datagram that came at the socket of a tunnel from its peer.
func (r *rig) socket(id uint32, data []byte) *rig {
	return r.event(Event{Kind: EventTunnelDatagram, Tunnel: id, Data: data})
}

func (r *rig) cookie(from pair) []byte {
	c := r.jar.Issue(from.peer, cookie.Tick(r.now))
	return c[:]
}

func (r *rig) prepare(from pair, uuid string, id uint32, f wire.Features) *rig {
	return r.listener(from, wire.AppendPrepare(nil, r.cookie(from), []byte(uuid), id, f))
}

func (r *rig) created(id uint32) *rig   { return r.event(Event{Kind: EventCreated, Tunnel: id}) }
func (r *rig) raised(id uint32) *rig    { return r.event(Event{Kind: EventRaised, Tunnel: id}) }
func (r *rig) destroyed(id uint32) *rig { return r.event(Event{Kind: EventDestroyed, Tunnel: id}) }
func (r *rig) failed(id uint32, f Fault) *rig {
	return r.event(Event{Kind: EventCreateFailed, Tunnel: id, Fault: f})
}

// made is created, and raised where that is asked for, with the effects of both.
func (r *rig) made(id uint32) *rig {
	effects := slices.Clone(r.created(id).out)
	if slices.ContainsFunc(effects, func(e Effect) bool { return e.Kind == EffectRaise }) {
		effects = append(effects, r.raised(id).out...)
	}
	r.out = append(r.out[:0], effects...)
	return r
}

// hookDone ends a hook of the tunnel that has the ID now.
func (r *rig) hookDone(id uint32, h config.Event) *rig {
	ev := Event{Kind: EventHookDone, Tunnel: id, Hook: h}
	if t := r.tunnels.get(id); t != nil {
		ev.Serial = t.serial
	}
	return r.event(ev)
}

// up brings a tunnel up and drops the effects of that.
func (r *rig) up(from pair, uuid string, peerID uint32, f wire.Features) uint32 {
	r.t.Helper()
	r.prepare(from, uuid, peerID, f)
	for _, e := range r.out {
		if e.Kind == EffectCreate {
			id := e.Tunnel
			r.made(id)
			return id
		}
	}
	r.t.Fatalf("no tunnel for %s: %q", uuid, r.lines())
	return 0
}

// gone takes a closing tunnel through to its end.
func (r *rig) gone(id uint32) {
	r.hookDone(id, config.EventSessionPreDown)
	r.destroyed(id)
	r.hookDone(id, config.EventSessionDown)
}

// tick calls Tick at now, without looking at Due.
func (r *rig) tick() *rig {
	r.upgrade()
	r.out = r.Tick(r.now, r.out[:0])
	return r
}

// run lets time pass, calls Tick whenever it is due, and gives all effects, each
// with the time since the call.
func (r *rig) run(d time.Duration) []string {
	var all []string
	start, end := r.now, r.now+d
	for {
		at, ok := r.Due()
		if !ok || at > end {
			break
		}
		if at > r.now {
			r.now = at
		}
		for _, line := range r.tick().lines() {
			all = append(all, fmt.Sprintf("%g %s", (r.now-start).Seconds(), line))
		}
		if next, ok := r.Due(); ok && next <= r.now {
			r.t.Fatalf("at %v Tick leaves something due at %v", r.now, next)
		}
	}
	r.now = end
	return all
}

// is compares the effects of the last action with what was expected.
func (r *rig) is(want ...string) {
	r.t.Helper()
	same(r.t, r.lines(), want...)
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if a, b := strings.Join(got, "\n\t"), strings.Join(want, "\n\t"); a != b {
		t.Fatalf("got\n\t%s\nwant\n\t%s", a, b)
	}
}

func (r *rig) lines() []string {
	var lines []string
	for i := range r.out {
		lines = append(lines, line(&r.out[i]))
	}
	return lines
}

// only keeps the lines that contain any of the words.
func only(lines []string, words ...string) []string {
	var kept []string
	for _, l := range lines {
		for _, w := range words {
			if strings.Contains(l, w) {
				kept = append(kept, l)
				break
			}
		}
	}
	return kept
}

// line is an effect as one short line.
func line(e *Effect) string {
	switch e.Kind {
	case EffectReply:
		to := name(e.Peer) + " "
		if e.Listener != 0 {
			to += fmt.Sprintf("by %d ", e.Listener)
		}
		return to + "← " + message(e)
	case EffectSend:
		return fmt.Sprintf("%d ← %s", e.Tunnel, message(e))
	case EffectCreate:
		raised := ""
		if e.Raise {
			raised = ", up"
		}
		return fmt.Sprintf("create %s for %s %d-%d mtu %d", e.Interface(), name(e.Peer), e.PeerTunnel, e.PeerSession, e.MTU) + raised
	case EffectRaise:
		return fmt.Sprintf("raise %d mtu %d", e.Tunnel, e.MTU)
	case EffectDestroy:
		return fmt.Sprintf("destroy %d", e.Tunnel)
	case EffectSetMTU:
		return fmt.Sprintf("mtu %d %d", e.Tunnel, e.MTU)
	case EffectCount:
		return fmt.Sprintf("count %d", e.Tunnel)
	case EffectShape:
		return fmt.Sprintf("shape %d %d", e.Tunnel, e.Bandwidth)
	case EffectHook:
		text := fmt.Sprintf("hook %s %d", e.Hook, e.Tunnel)
		switch e.Hook {
		case config.EventMTUChanged:
			text += fmt.Sprintf(" %d→%d", e.OldMTU, e.MTU)
		case config.EventRateLimit:
			text += " " + name(e.Peer) + " " + e.UUID
		}
		return text
	case EffectNote:
		what := [...]string{"", "up", "closed", "refused", "queued", "mtu", "limit", "bad limit", "set aside", "stuck", "no old sessions", "two nodes"}[e.Note]
		if e.Tunnel != 0 {
			what += fmt.Sprintf(" %d", e.Tunnel)
		}
		if e.UUID != "" {
			what += " " + e.UUID
		}
		if e.Other.IsValid() {
			what += ", " + name(e.Other)
		}
		if e.Reason != ReasonNone {
			what += ": " + e.Reason.String()
		}
		return "# " + what
	}
	return fmt.Sprintf("effect %d?", e.Kind)
}

func name(peer netip.AddrPort) string {
	if n := names[peer]; n != "" {
		return n
	}
	return peer.String()
}

// message is what an effect sends, in words.
func message(e *Effect) string {
	m, err := wire.Parse(e.Message())
	if err != nil {
		return err.Error()
	}
	text := m.Type.String()
	number, _ := wire.ParseUint16(m.Payload)
	switch m.Type {
	case wire.TypeTunnel:
		id, f, err := wire.ParseTunnel(m.Payload)
		text += fmt.Sprintf(" %d features %d", id, f)
		if err != nil {
			text += " " + err.Error()
		}
	case wire.TypePMTUD:
		return fmt.Sprintf("%s %d", text, e.Size)
	case wire.TypeError:
		if r, ok := wire.ParseError(m.Payload); ok {
			text += fmt.Sprintf(" 0x%02x", uint8(r))
		}
	case wire.TypeCookie:
	default:
		text += fmt.Sprintf(" %d", number)
	}
	if len(e.Message()) < wire.MinSize {
		text += " (short)"
	}
	return text
}
