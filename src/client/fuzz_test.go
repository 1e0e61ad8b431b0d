package client

import (
	"testing"
	"time"

	"tunneldigger/src/wire"
)

// world checks that effects make sense to the one who carries them out.
type world struct {
	open, sends  []bool // by broker: opening or open; can be sent to
	created      bool
	pendingUp    bool
	pendingDown  bool
	exited       bool
	tunnelBroker int
}

func (w *world) apply(t *testing.T, m *Machine, effects []Effect) {
	for _, e := range effects {
		if w.exited {
			t.Fatal("an effect after Exit")
		}
		switch e.Kind {
		case Open:
			if w.open[e.Broker] {
				t.Fatal("opened twice")
			}
			w.open[e.Broker] = true
		case Close:
			if !w.open[e.Broker] {
				t.Fatal("closed what was not open")
			}
			if w.created && e.Broker == w.tunnelBroker {
				t.Fatal("the socket goes before its tunnel")
			}
			w.open[e.Broker], w.sends[e.Broker] = false, false
		case Send, Probe:
			if !w.sends[e.Broker] {
				t.Fatal("sent without a socket")
			}
			if e.Kind == Send {
				if _, err := wire.Parse(e.Data); err != nil {
					t.Fatal(err)
				}
			}
		case CreateTunnel:
			if w.created || w.pendingUp {
				t.Fatal("a second tunnel")
			}
			w.pendingUp, w.tunnelBroker = true, e.Broker
		case DeleteTunnel:
			if !w.created {
				t.Fatal("no tunnel to delete")
			}
			w.created = false
		case SetMTU:
			if !w.created || e.MTU < wire.MinTunnelMTU || e.MTU > wire.DefaultTunnelMTU {
				t.Fatalf("MTU %d, tunnel: %v", e.MTU, w.created)
			}
		case RunHook:
			if e.Hook == PreDown {
				w.pendingDown = true
			}
		case Exit:
			if w.created || w.pendingUp {
				t.Fatal("Exit leaves a tunnel")
			}
			for i := range w.open {
				if w.open[i] {
					t.Fatal("Exit leaves a socket")
				}
			}
			w.exited = true
		}
	}
}

// FuzzMachine drives a client with any sequence of events that its caller may
// hand in, answers to effects included, and holds it to its duties: no tunnel
// twice, none left behind, nothing sent without a socket, Due always ahead. A
// client that is told to stop gets there.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 1, 0x20, 2, 0x21, 3, 0x22, 4, 0x23, 5, 20, 30, 40, 0x24, 6, 7})
	f.Add([]byte{3, 1, 1, 0x20, 0x30, 0x31, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) == 0 {
			return
		}
		opt := Options{
			Brokers: 2, UUID: "abc", Features: wire.UniqueSessionID, Policy: Policy(script[0] % 3), Limit: uint32(script[0] & 4),
			Hooks: script[0]&8 != 0, NoTunnelID: script[0]&16 != 0, Rand: func(n int) int { return int(script[0]) % n },
		}
		m := New(opt)
		w := &world{open: make([]bool, 2), sends: make([]bool, 2)}
		var now time.Duration
		do := func(ev Event) { w.apply(t, m, m.Handle(now, ev, nil)) }
		answer := func(kind EventKind, i int) {
			switch {
			case w.pendingUp && kind == TunnelUp:
				w.pendingUp, w.created = false, true
				do(Event{Kind: TunnelUp})
			case w.pendingUp && kind == TunnelFailed:
				w.pendingUp = false
				do(Event{Kind: TunnelFailed})
			case w.pendingDown && kind == HookDone:
				w.pendingDown = false
				do(Event{Kind: HookDone, Hook: PreDown})
			case w.open[i] && !w.sends[i] && kind == Opened:
				w.sends[i] = true
				do(Event{Kind: Opened, Broker: i, V6: script[0]&32 != 0})
			case w.open[i] && !w.sends[i] && kind == OpenFailed:
				w.open[i] = false
				do(Event{Kind: OpenFailed, Broker: i})
			}
		}
		do(Event{Kind: Start})
		for _, c := range script[1:] {
			i := int(c>>4) & 1
			switch c & 15 {
			case 0:
				answer(Opened, i)
			case 1:
				answer(OpenFailed, i)
			case 2:
				do(usage(i, uint16(c)<<8))
			case 3:
				do(cookie(i))
			case 4:
				do(tunnel(i, uint32(c)))
			case 5:
				answer(TunnelUp, i)
			case 6:
				answer(TunnelFailed, i)
			case 7:
				do(refusal(i))
			case 8:
				do(notify(i, uint16(c)<<6))
			case 9:
				do(probeAck(i, []uint16{1306, 1372, 1422, 1448, 1464, 1472, 9, 0}[c>>5]))
			case 10:
				answer(HookDone, i)
			case 11:
				do(Event{Kind: SocketFailed, Broker: i})
			case 12:
				do([]Event{{Kind: TunnelLost}, {Kind: SetLimit, Limit: 5}, {Kind: Stop}, alive(i)}[c>>6])
			case 13:
				now += time.Duration(c>>4) * 100 * time.Millisecond
				do(Event{})
			default:
				if m.Due() != Never {
					now = max(now, m.Due())
					do(Event{})
				}
			}
			if m.Due() <= now {
				t.Fatalf("due at %v, now %v", m.Due(), now)
			}
		}
		do(Event{Kind: Stop})
		answer(TunnelUp, 0)
		answer(HookDone, 0)
		if !w.exited {
			t.Fatal("did not stop")
		}
	})
}
