package client

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/wire"
)

// step hands one event to a machine and tells what is to come of it.
type step struct {
	at   float64 // seconds
	ev   Event
	want string // effects as show writes them, one a line; indentation does not count
}

// play runs a transcript. Between the steps, every Tick that Due asks for
// before the next step must have no effect: what happens is in the transcript.
func play(t *testing.T, opt Options, steps []step) *Machine {
	t.Helper()
	m := New(opt)
	for n, s := range steps {
		at := time.Duration(s.at * float64(time.Second))
		for m.Due() < at {
			due := m.Due()
			if got := m.Handle(due, Event{}, nil); len(got) != 0 {
				t.Fatalf("before step %d, at %v:\n%s", n, due, show(got))
			}
			if m.Due() <= due {
				t.Fatalf("before step %d, at %v: due again", n, due)
			}
		}
		got := show(m.Handle(at, s.ev, nil))
		var want []string
		for _, line := range strings.Split(s.want, "\n") {
			if line = strings.TrimSpace(line); line != "" {
				want = append(want, line)
			}
		}
		if w := strings.Join(want, "\n"); got != w {
			t.Fatalf("step %d, at %v s:\n%s\nwant:\n%s", n, s.at, got, w)
		}
	}
	return m
}

func show(effects []Effect) string {
	var lines []string
	for _, e := range effects {
		line := ""
		switch e.Kind {
		case Open:
			line = fmt.Sprintf("open %d", e.Broker)
		case Close:
			line = fmt.Sprintf("close %d", e.Broker)
		case Send:
			msg, err := wire.Parse(e.Data)
			if err != nil {
				line = err.Error()
				break
			}
			line = strings.TrimSpace(fmt.Sprintf("send %d %v %x", e.Broker, msg.Type, msg.Payload))
		case Probe:
			line = fmt.Sprintf("probe %d %d", e.Broker, e.Size)
		case CreateTunnel:
			line = fmt.Sprintf("create %d %+v mtu %d", e.Broker, e.Tunnel, e.MTU)
		case DeleteTunnel:
			line = fmt.Sprintf("delete %d", e.Tunnel.ID)
		case SetMTU:
			line = fmt.Sprintf("mtu %d", e.MTU)
		case RunHook:
			line = fmt.Sprintf("hook %v", e.Hook)
		case Report:
			line = fmt.Sprintf("note %d %v", e.Broker, e.Note)
			if e.Reason != 0 {
				line += ": " + e.Reason.String()
			}
		case Exit:
			line = "exit"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func opened(i int) Event              { return Event{Kind: Opened, Broker: i} }
func from(i int, data []byte) Event   { return Event{Kind: Datagram, Broker: i, Data: data} }
func usage(i int, load uint16) Event  { return from(i, wire.AppendUsage(nil, load)) }
func cookie(i int) Event              { return from(i, wire.AppendCookie(nil, [8]byte{1, 2, 3, 4, 5, 6, 7, 8})) }
func tunnel(i int, id uint32) Event   { return from(i, wire.AppendTunnel(nil, id, wire.UniqueSessionID)) }
func refusal(i int) Event             { return from(i, wire.AppendError(nil)) }
func alive(i int) Event               { return from(i, wire.AppendKeepalive(nil, 7)) }
func notify(i int, mtu uint16) Event  { return from(i, wire.AppendPMTUNtfy(nil, mtu)) }
func probeAck(i int, sz uint16) Event { return from(i, wire.AppendPMTUDAck(nil, sz)) }

const (
	askUsage0  = "send 0 USAGE 000000000000000000000001"
	askCookie0 = "send 0 COOKIE 0000000000000000"
	prepare0   = "send 0 PREPARE 0102030405060708036162630000000700000001"
	create0    = "create 0 {ID:7 PeerID:100 SessionID:7 PeerSessionID:100} mtu 1446"
	probes     = "probe 0 1306\nprobe 0 1372\nprobe 0 1422\nprobe 0 1448\nprobe 0 1464\nprobe 0 1472\n"
)

func options() Options {
	return Options{Brokers: 1, UUID: "abc", TunnelID: 7, Features: wire.UniqueSessionID, NoProbes: true}
}

// setUp is the transcript until the tunnel of the only broker stands.
func setUp(whenUp string) []step {
	return []step{
		{0, Event{Kind: Start}, "note 0 asking the brokers\nopen 0"},
		{0.1, opened(0), askUsage0},
		{0.2, usage(0, 0), "note 0 broker selected\n" + askCookie0},
		{0.3, cookie(0), prepare0},
		{0.4, tunnel(0, 100), create0},
		{0.5, Event{Kind: TunnelUp}, "note 0 tunnel established\n" + whenUp},
	}
}

func TestSetUp(t *testing.T) {
	m := play(t, options(), setUp(""))
	tun, mtu, broker, ok := m.Tunnel()
	if tun != (Tunnel{7, 100, 7, 100}) || mtu != 1446 || broker != 0 || !ok {
		t.Error(tun, mtu, broker, ok)
	}
	if s := m.Stats(); s.Repeats() != 0 || s.Established != 1 || s.Received != 3 {
		t.Errorf("%+v", s)
	}
}

func TestSetUpOverIPv6(t *testing.T) {
	steps := setUp("")
	steps[1].ev.V6 = true
	steps[4].want = strings.Replace(create0, "1446", "1426", 1)
	play(t, options(), steps)
}

func TestOldClients(t *testing.T) {
	opt := options()
	opt.Features = 0
	steps := setUp("")
	steps[1].want = "send 0 USAGE 0000000000000000"
	steps[3].want = "send 0 PREPARE 01020304050607080361626300000007"
	// Features that were not offered must not change the session IDs.
	steps[4].want = "create 0 {ID:7 PeerID:100 SessionID:1 PeerSessionID:1} mtu 1446"
	play(t, opt, steps)

	opt.NoTunnelID = true
	steps[3].want = "send 0 PREPARE 010203040506070803616263"
	steps[4].want = "create 0 {ID:1 PeerID:100 SessionID:1 PeerSessionID:1} mtu 1446"
	play(t, opt, steps)
}

func TestBrokerWithoutFeatures(t *testing.T) {
	steps := setUp("")
	steps[4].ev = from(0, wire.AppendTunnel(nil, 100, 0))
	steps[4].want = "create 0 {ID:7 PeerID:100 SessionID:1 PeerSessionID:1} mtu 1446"
	play(t, options(), steps)
}

func TestRepetition(t *testing.T) {
	m := play(t, options(), []step{
		{0, Event{Kind: Start}, "note 0 asking the brokers\nopen 0"},
		{0, opened(0), askUsage0},
		{2, Event{}, askUsage0 + "\n" + askCookie0},
		{4, Event{}, askUsage0 + "\n" + askCookie0},
		{5, usage(0, 0), "note 0 broker selected\n" + askCookie0},
		{7, Event{}, askCookie0},
		{8, cookie(0), prepare0},
		{9, cookie(0), ""}, // the answer to the repetition
		{10, Event{}, prepare0},
		{12, Event{}, prepare0},
		{13, tunnel(0, 100), create0},
		{13.5, tunnel(0, 100), ""},
		{14, Event{Kind: TunnelUp}, "note 0 tunnel established"},
		{14.5, tunnel(0, 100), ""},
	})
	s := m.Stats()
	if s.UsageRepeats != 2 || s.CookieRepeats != 1 || s.PrepareRepeats != 2 || s.Repeats() != 5 {
		t.Errorf("%+v", s)
	}
}

func TestNoAnswerToPrepare(t *testing.T) {
	steps := []step{
		{0, Event{Kind: Start}, "note 0 asking the brokers\nopen 0"},
		{0, opened(0), askUsage0},
		{0, usage(0, 0), "note 0 broker selected\n" + askCookie0},
		{1, cookie(0), prepare0},
	}
	for at := 3.0; at < 15; at += 2 {
		steps = append(steps, step{at, Event{}, prepare0})
	}
	steps = append(steps,
		// Broken, and no other is left: a pause, and everybody gets another chance.
		step{15, Event{}, `note 0 the broker set no tunnel up in time
			send 0 ERROR 12
			close 0
			note 0 asking the brokers
			note 0 no broker answers`},
		step{20, Event{}, "note 0 asking the brokers\nopen 0"},
	)
	if s := play(t, options(), steps).Stats(); s.NoAnswer != 1 {
		t.Errorf("%+v", s)
	}
}

func TestRefusedGoesToTheNextBroker(t *testing.T) {
	opt := options()
	opt.Brokers = 2
	steps := []step{
		{0, Event{Kind: Start}, "note 0 asking the brokers\nopen 0\nopen 1"},
		{0, opened(0), askUsage0},
		{0, usage(0, 0), "close 1\nnote 0 broker selected\n" + askCookie0},
		{0, refusal(0), ""}, // nothing was asked of it yet
		{1, cookie(0), prepare0},
		{2, refusal(0), "note 0 the broker refused\nclose 0\nnote 0 asking the brokers\nopen 1"},
		{2, opened(1), "send 1 USAGE 000000000000000000000001"},
		{2, usage(1, 9), "note 1 broker selected\nsend 1 COOKIE 0000000000000000"},
		{3, cookie(1), strings.Replace(prepare0, "send 0", "send 1", 1)},
		{3, tunnel(0, 5), ""}, // not from the broker that is set up
		{3, tunnel(1, 100), strings.Replace(create0, "create 0", "create 1", 1)},
		{4, Event{Kind: TunnelUp}, "note 1 tunnel established"},
		{5, from(0, wire.AppendError(nil)), ""},
	}
	// The tunnel lasts, so broker 1 is not broken; broker 0 is for an hour.
	at := 9.0
	for n := 0; n < 3; n++ {
		steps = append(steps, step{at, alive(1), fmt.Sprintf("send 1 KEEPALIVE %08x", n)})
		at += 5
	}
	steps = append(steps, step{20, from(1, wire.AppendErrorReason(nil, wire.ReasonBrokerShutdown)),
		`note 1 the broker closed the tunnel: the broker shuts down
		send 1 ERROR 10
		delete 7
		close 1
		note 0 asking the brokers
		open 1`})
	if s := play(t, opt, steps).Stats(); s.Refused != 1 || s.Lost != 1 {
		t.Errorf("%+v", s)
	}
}

func TestBrokenForAnHour(t *testing.T) {
	opt := options()
	opt.Brokers = 2
	m := play(t, opt, []step{
		{0, Event{Kind: Start}, "note 0 asking the brokers\nopen 0\nopen 1"},
		{0, opened(0), askUsage0},
		{0, usage(0, 0), "close 1\nnote 0 broker selected\n" + askCookie0},
		{0, cookie(0), prepare0},
		{0, refusal(0), "note 0 the broker refused\nclose 0\nnote 0 asking the brokers\nopen 1"},
	})
	m.brokers[0].brokenAt = 0
	for _, tt := range []struct {
		at   time.Duration
		want string
	}{
		{time.Hour - 1, "note 0 asking the brokers\nopen 1"},
		{time.Hour, "note 0 asking the brokers\nopen 0\nopen 1"},
	} {
		m.now, m.out = tt.at, nil
		m.startSelection()
		if got := show(m.out); got != tt.want {
			t.Errorf("at %v:\n%s", tt.at, got)
		}
	}
}

func TestBrokenUntilTheTunnelLasts(t *testing.T) {
	opt := options()
	steps := append(setUp(""),
		step{5.5, Event{}, "send 0 KEEPALIVE 00000000"},
		step{6, refusal(0), `note 0 the broker closed the tunnel
			send 0 ERROR 10
			delete 7
			close 0
			note 0 asking the brokers
			note 0 no broker answers`},
		step{11, Event{}, "note 0 asking the brokers\nopen 0"},
	)
	play(t, opt, steps)
}
