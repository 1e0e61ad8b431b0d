package client

import (
	"testing"

	"tunneldigger/src/wire"
)

const (
	askUsage1 = "send 1 USAGE 000000000000000000000001"
	askUsage2 = "send 2 USAGE 000000000000000000000001"
)

func threeBrokers(p Policy) (Options, []step) {
	opt := options()
	opt.Brokers, opt.Policy = 3, p
	return opt, []step{
		{0, Event{Kind: Start}, "note 0 asking the brokers\nopen 0\nopen 1\nopen 2"},
		{0, opened(0), askUsage0},
		{0, opened(1), askUsage1},
		{0, opened(2), askUsage2},
	}
}

func TestFirst(t *testing.T) {
	opt, steps := threeBrokers(First)
	play(t, opt, append(steps,
		step{0.1, usage(1, 65535), "close 0\nclose 2\nnote 1 broker selected\nsend 1 COOKIE 0000000000000000"},
	))
}

func TestLeastUsed(t *testing.T) {
	opt, steps := threeBrokers(LeastUsed)
	play(t, opt, append(steps,
		step{0.1, usage(0, 200), ""},
		step{0.1, usage(1, 100), ""},
		step{0.2, usage(1, 300), ""}, // the answer to a repetition counts
		step{0.3, usage(2, 250), "close 1\nclose 2\nnote 0 broker selected\n" + askCookie0},
	))
}

// TestLeastUsedWithoutAll has a broker that never answers and an old one that
// only knows cookies, and therefore counts as full.
func TestLeastUsedWithoutAll(t *testing.T) {
	opt, steps := threeBrokers(LeastUsed)
	play(t, opt, append(steps,
		step{0.1, usage(2, 65534), ""},
		step{2, Event{}, askUsage0 + "\n" + askCookie0 + "\n" + askUsage1 + "\nsend 1 COOKIE 0000000000000000"},
		step{2.1, cookie(0), ""},
		step{4, Event{}, askUsage1 + "\nsend 1 COOKIE 0000000000000000"},
		step{6, Event{}, askUsage1 + "\nsend 1 COOKIE 0000000000000000"},
		step{8, Event{}, askUsage1 + "\nsend 1 COOKIE 0000000000000000"},
		step{10, Event{}, askUsage1 + "\nsend 1 COOKIE 0000000000000000" +
			"\nclose 0\nclose 1\nnote 2 broker selected\nsend 2 COOKIE 0000000000000000"},
	))
}

func TestRandom(t *testing.T) {
	for n, want := range []string{
		"close 2\nnote 0 broker selected\n" + askCookie0,
		"close 0\nnote 2 broker selected\nsend 2 COOKIE 0000000000000000",
	} {
		opt, steps := threeBrokers(Random)
		opt.Rand = func(ready int) int {
			if ready != 2 {
				t.Errorf("%d brokers ready", ready)
			}
			return n
		}
		opt.Timers.Select = 1e9
		play(t, opt, append(steps,
			step{0.1, usage(0, 1), ""},
			step{0.2, usage(2, 1), ""},
			step{0.3, Event{Kind: SocketFailed, Broker: 1}, "close 1"},
			step{1, Event{}, want},
		))
	}
}

func TestUnreachableBrokers(t *testing.T) {
	play(t, options(), []step{
		{0, Event{Kind: Start}, "note 0 asking the brokers\nopen 0"},
		{1, Event{Kind: OpenFailed}, ""},
		{1, Event{Kind: OpenFailed}, ""}, // only once
		{3, Event{}, "open 0"},
		{4, Event{Kind: OpenFailed}, ""},
		{6, Event{}, "open 0"},
		{10, Event{}, "close 0\nnote 0 no broker answers"},
		{11, opened(0), ""}, // too late
		{15, Event{}, "note 0 asking the brokers\nopen 0"},
	})
	play(t, Options{}, []step{{0, Event{Kind: Start}, ""}}) // no broker 0 to speak of
}

func TestStrangeDatagrams(t *testing.T) {
	m := play(t, options(), append(setUp("")[:2],
		step{0.1, from(0, nil), ""},
		step{0.1, from(0, []byte("GET / HTTP/1.1")), ""},
		step{0.1, from(0, wire.AppendTunnel(nil, 1, 0)), ""},
		step{0.1, from(0, []byte{0x80, 0x73, 0xa7, 1, 0x0a, 1, 0}), ""},
		step{0.1, Event{Kind: Datagram, Broker: 1}, ""},
		step{0.1, Event{Kind: Datagram, Broker: -1}, ""},
		step{0.2, usage(0, 0), "note 0 broker selected\n" + askCookie0},
		step{0.3, from(0, []byte{0x80, 0x73, 0xa7, 1, 1, 2, 0, 0}), ""},
		step{0.3, cookie(0), prepare0},
		step{0.4, from(0, []byte{0x80, 0x73, 0xa7, 1, 4, 2, 0, 1}), ""},
		step{0.4, tunnel(0, 0), ""},
	))
	if s := m.Stats(); s.Dropped != 2 {
		t.Errorf("%+v", s)
	}
}
