package client

import (
	"fmt"
	"math"
	"testing"

	"tunneldigger/src/wire"
)

func TestKeepaliveAndSilence(t *testing.T) {
	steps := append(setUp(""), step{2, alive(0), ""})
	for n := 0; n < 12; n++ { // at 5.5 … 60.5
		steps = append(steps, step{5.5 + 5*float64(n), Event{}, fmt.Sprintf("send 0 KEEPALIVE %08x", n)})
	}
	steps = append(steps, step{62, Event{}, `note 0 the broker fell silent
		send 0 ERROR 12
		delete 7
		close 0
		note 0 asking the brokers
		open 0`})
	if s := play(t, options(), steps).Stats(); s.Lost != 1 {
		t.Errorf("%+v", s)
	}
}

func TestHooks(t *testing.T) {
	opt := options()
	opt.Hooks = true
	play(t, opt, append(setUp("hook session.up"),
		step{1, refusal(0), "note 0 the broker closed the tunnel\nsend 0 ERROR 10\nhook session.pre-down"},
		step{2, alive(0), ""},
		step{2, Event{Kind: HookDone, Hook: Up}, ""},
		step{100, Event{Kind: HookDone, Hook: PreDown}, `delete 7
			hook session.down
			close 0
			note 0 asking the brokers
			note 0 no broker answers`},
		step{101, Event{Kind: HookDone, Hook: Down}, ""},
	))
}

func TestStop(t *testing.T) {
	stop := Event{Kind: Stop}
	up := setUp("")
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"before the start", []step{{0, stop, "exit"}, {1, Event{Kind: Start}, ""}}},
		{"selecting", append(up[:2:2], step{1, stop, "close 0\nexit"}, step{2, stop, ""})},
		{"connecting", append(up[:4:4], step{1, stop, "send 0 ERROR 11\nclose 0\nexit"})},
		{"creating", append(up[:5:5], step{1, stop, ""},
			step{2, Event{Kind: TunnelUp}, "send 0 ERROR 11\ndelete 7\nclose 0\nexit"})},
		{"creating in vain", append(up[:5:5], step{1, stop, ""},
			step{2, Event{Kind: TunnelFailed}, "note 0 no tunnel from the kernel\nsend 0 ERROR 13\nclose 0\nexit"})},
		{"standing", append(up[:6:6],
			step{1, stop, "note 0 tunnel taken down\nsend 0 ERROR 11\ndelete 7\nclose 0\nexit"},
			step{2, cookie(0), ""})},
		{"pausing", []step{
			{0, Event{Kind: Start}, "note 0 asking the brokers\nopen 0"},
			{10, Event{}, "close 0\nnote 0 no broker answers"},
			{11, stop, "exit"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if m := play(t, options(), tt.steps); m.Due() != Never {
				t.Errorf("due at %v", m.Due())
			}
		})
	}

	opt := options()
	opt.Hooks = true
	play(t, opt, append(setUp("hook session.up"),
		step{1, refusal(0), "note 0 the broker closed the tunnel\nsend 0 ERROR 10\nhook session.pre-down"},
		step{2, stop, ""}, // the hook still runs
		step{3, Event{Kind: HookDone, Hook: PreDown}, "delete 7\nhook session.down\nclose 0\nexit"},
	))
}

func TestLimit(t *testing.T) {
	opt := options()
	opt.Limit = 2000
	const first = "send 0 LIMIT 00000104000007d0"
	ack := func(seq uint16) Event { return from(0, wire.AppendRelAck(nil, seq)) }
	m := play(t, opt, append(setUp(first),
		step{1.5, Event{}, first},
		step{2.4, ack(1), ""},
		step{2.5, Event{}, first},
		step{3, ack(0), ""},
		step{3, ack(0), ""},
		step{4, Event{Kind: SetLimit, Limit: 0}, "send 0 LIMIT 0001010400000000"},
		step{5, Event{}, "send 0 LIMIT 0001010400000000"},
		step{5.1, Event{Kind: SetLimit, Limit: 16}, "send 0 LIMIT 0002010400000010"},
		step{5.2, ack(1), ""}, // too late for the one before
		step{5.5, Event{}, "send 0 KEEPALIVE 00000000"},
		step{6.1, Event{}, "send 0 LIMIT 0002010400000010"},
		step{6.2, ack(2), ""},
		step{9, alive(0), ""},
	))
	if s := m.Stats(); s.LimitRepeats != 4 {
		t.Errorf("%+v", s)
	}
}

func TestLimitIsGivenUp(t *testing.T) {
	opt := options()
	opt.Limit = 16
	opt.Timers.Keepalive = math.MaxInt32 * 1e9
	opt.Timers.Reliable = 1e8
	const first = "send 0 LIMIT 0000010400000010"
	steps := setUp(first)
	for n := 1; n < limitTries; n++ {
		steps = append(steps, step{0.5 + 0.1*float64(n), Event{}, first})
	}
	play(t, opt, append(steps, step{1.5, Event{}, "note 0 the broker never acknowledged the limit"}))
}

func TestMTU(t *testing.T) {
	opt := options()
	opt.NoProbes = false
	opt.Timers.Keepalive = math.MaxInt32 * 1e9
	m := play(t, opt, append(setUp(""),
		// The broker probes.
		step{1, from(0, wire.AppendPMTUD(nil, 1372)), "send 0 PMTUD_ACK 055c"},
		step{1, from(0, wire.AppendPMTUD(nil, 12)), "send 0 PMTUD_ACK 000c"},
		// The broker's measurement counts, before ours and down to the minimum.
		step{2, notify(0, 1400), "mtu 1400"},
		step{2, notify(0, 1400), ""},
		step{3, notify(0, 1000), "mtu 1280"},
		step{4, notify(0, 9000), "mtu 1446"},
		// Acknowledgements outside a round and of sizes never sent don't count.
		step{5, probeAck(0, 1306), ""},
		step{15.5, Event{}, probes},
		step{15.6, probeAck(0, 1306), ""},
		step{15.6, probeAck(0, 1500), ""},
		step{16.5, Event{}, probes},
		step{17, probeAck(0, 1422), ""},
		step{17, probeAck(0, 1372), ""},
		step{17.5, Event{}, probes},
		step{18.5, Event{}, probes},
		step{19.5, Event{}, probes},
		step{20.5, Event{}, "mtu 1396\nsend 0 PMTU_NTFY 0574"},
		// The smaller one is in force.
		step{21, notify(0, 1346), "mtu 1346"},
		step{22, notify(0, 1446), "mtu 1396"},
		// The change hints at the next round; one without an answer changes nothing.
		step{36, Event{}, probes},
		step{37, Event{}, probes},
		step{38, Event{}, probes},
		step{39, Event{}, probes},
		step{40, Event{}, probes},
		step{41, alive(0), "send 0 PMTU_NTFY 0574"},
	))
	if m.session.mtu.next != 66e9 {
		t.Errorf("next round at %v", m.session.mtu.next)
	}
}

// TestFixedMTU has a broker that answers every probe with its configured MTU.
func TestFixedMTU(t *testing.T) {
	opt := options()
	opt.NoProbes = false
	opt.Timers.Keepalive = math.MaxInt32 * 1e9
	play(t, opt, append(setUp(""),
		step{1, notify(0, 1364), "mtu 1364"},
		step{15.5, Event{}, probes},
		step{15.6, notify(0, 1364), ""},
		step{16.5, Event{}, probes},
		step{17.5, Event{}, probes},
		step{18.5, Event{}, probes},
		step{19.5, Event{}, probes},
		step{20.5, notify(0, 1364), ""}, // nothing was measured, so nothing is notified
		step{45.5, Event{}, probes},
	))
}

func TestMTUOverIPv6(t *testing.T) {
	opt := options()
	opt.NoProbes = false
	opt.Timers.Keepalive = math.MaxInt32 * 1e9
	opt.Timers.ProbeGap = 1e8
	steps := setUp("")
	steps[1].ev.V6 = true
	steps[4].want = "create 0 {ID:7 PeerID:100 SessionID:7 PeerSessionID:100} mtu 1426"
	const probes6 = "probe 0 1286\nprobe 0 1352\nprobe 0 1402\nprobe 0 1428\nprobe 0 1444\nprobe 0 1452"
	steps = append(steps, step{15.5, Event{}, probes6}, step{15.55, probeAck(0, 1352), ""})
	for n := 1; n < bursts; n++ {
		steps = append(steps, step{15.5 + 0.1*float64(n), Event{}, probes6})
	}
	play(t, opt, append(steps, step{16, Event{}, "mtu 1326\nsend 0 PMTU_NTFY 052e"}))
}

// TestProbeSchedule wants rounds to start 15 s after set-up and then 30, 60 …
// 600 s apart.
func TestProbeSchedule(t *testing.T) {
	opt := options()
	opt.NoProbes = false
	opt.Timers.Silence = math.MaxInt32 * 1e9
	m := play(t, opt, setUp(""))
	last := m.now
	for _, want := range []float64{15, 30, 60, 120, 240, 480, 600, 600} {
		for m.session.mtu.burst != 0 || m.session.mtu.next > m.Due() {
			m.Handle(m.Due(), Event{}, nil)
		}
		if got := (m.Due() - last).Seconds(); got != want {
			t.Errorf("a round after %v s, want %v", got, want)
		}
		last = m.Due()
		m.Handle(m.Due(), Event{}, nil)
	}
}

func TestTunnelAndSocketFailures(t *testing.T) {
	after := "send 0 ERROR 13\ndelete 7\nclose 0\nnote 0 asking the brokers\nnote 0 no broker answers"
	for _, tt := range []struct {
		ev   Event
		note string
	}{
		{Event{Kind: TunnelLost}, "note 0 no tunnel from the kernel\n"},
		{Event{Kind: SocketFailed}, "note 0 the socket failed\n"},
	} {
		play(t, options(), append(setUp(""), step{1, tt.ev, tt.note + after}))
	}
	play(t, options(), append(setUp("")[:4], step{1, Event{Kind: SocketFailed},
		"note 0 the socket failed\nclose 0\nnote 0 asking the brokers\nnote 0 no broker answers"}))
}

func TestKernelFailure(t *testing.T) {
	steps := setUp("")
	steps[5] = step{0.5, Event{Kind: TunnelFailed}, `note 0 no tunnel from the kernel
		send 0 ERROR 13
		close 0
		note 0 asking the brokers
		note 0 no broker answers`}
	play(t, options(), steps)
}

func TestErrorWhileTheKernelIsAtIt(t *testing.T) {
	steps := append(setUp("")[:5],
		step{0.5, refusal(0), "note 0 the broker refused"},
		step{20, Event{Kind: TunnelUp}, `delete 7
			close 0
			note 0 asking the brokers
			note 0 no broker answers`})
	play(t, options(), steps)
}

// TestNoAllocation covers what happens while a tunnel stands.
func TestNoAllocation(t *testing.T) {
	m := play(t, options(), setUp(""))
	out := make([]Effect, 0, 16)
	data := wire.AppendKeepalive(nil, 1)
	probe := wire.AppendPMTUD(nil, 1300)
	n := testing.AllocsPerRun(100, func() {
		out = m.Handle(m.Due(), from(0, data), out[:0])
		out = m.Handle(m.now, from(0, probe), out)
	})
	if n != 0 || len(out) != 2 {
		t.Errorf("%v allocations, %d effects", n, len(out))
	}
}
