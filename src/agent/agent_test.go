package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tunneldigger/src/client"
	"tunneldigger/src/logline"
	"tunneldigger/src/wire"
)

// quick are the times of a client that neither makes a test wait nor repeats
// itself on a slow machine: nothing gets lost on the way.
var quick = client.Timers{
	Repeat: time.Minute, Select: time.Minute, Establish: time.Minute, Silence: time.Minute,
	Pause: 50 * time.Millisecond, Keepalive: 20 * time.Millisecond,
	ProbeWait: 50 * time.Millisecond, ProbeGap: 20 * time.Millisecond,
}

type testLog struct{ t *testing.T }

func (l testLog) Write(line []byte) (int, error) {
	l.t.Logf("%s", strings.TrimSpace(string(line)))
	return len(line), nil
}

func config(t *testing.T, brokers ...*fakeBroker) Config {
	c := Config{
		Interface: "tun0", Log: logline.New(testLog{t}, logline.Debug, false),
		Client: client.Options{UUID: "abc", TunnelID: 7, Timers: quick},
	}
	for _, b := range brokers {
		c.Brokers = append(c.Brokers, b.addr.String())
	}
	return c
}

// start runs an Agent. Stop ends it and returns its counters.
func start(t *testing.T, c Config, d Datapath) (stop func() client.Stats) {
	t.Helper()
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan client.Stats, 1)
	go func() { done <- a.Run(ctx.Done(), d) }()
	stop = sync.OnceValue(func() client.Stats {
		cancel()
		return <-done
	})
	t.Cleanup(func() { stop() })
	return stop
}

func TestLife(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "::1"} {
		t.Run(addr, func(t *testing.T) {
			b, d := listen(t, addr), newDatapath()
			c := config(t, b)
			c.Client.Limit = 2000
			initial, found := 1446, 1346
			if strings.Contains(addr, ":") {
				initial, found = 1426, 1326
			}
			stop := start(t, c, d)
			d.await(t, fmt.Sprintf("create 7 100 7 100 mtu %d", initial))
			b.await(wire.TypeLimit)
			first, second := b.await(wire.TypeKeepalive), b.await(wire.TypeKeepalive)
			if string(first.Payload) == string(second.Payload) {
				t.Error("two keepalives are alike")
			}
			d.await(t, fmt.Sprintf("mtu %d", found))
			b.await(wire.TypePMTUNtfy)
			b.say(wire.AppendPMTUD(nil, 1000))
			if m := b.await(wire.TypePMTUDAck); string(m.Payload) != "\x03\xe8" {
				t.Errorf("PMTUD_ACK %x", m.Payload)
			}
			s := stop()
			d.await(t, "delete")
			if m := b.await(wire.TypeError); string(m.Payload) != string(rune(wire.ReasonClientShutdown)) {
				t.Errorf("ERROR %x", m.Payload)
			}
			if s.Established != 1 || s.Lost != 0 || s.Repeats() != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestReconnect(t *testing.T) {
	b, d := listen(t, "127.0.0.1"), newDatapath()
	stop := start(t, config(t, b), d)
	const create = "create 7 100 7 100 mtu 1446"
	d.await(t, create)
	b.await(wire.TypeKeepalive)

	b.say(wire.AppendErrorReason(nil, wire.ReasonBrokerShutdown))
	if m := b.await(wire.TypeError); string(m.Payload) != string(rune(wire.ReasonClientOther)) {
		t.Errorf("ERROR %x", m.Payload)
	}
	for call := ""; call != "delete"; {
		call = <-d.calls // an MTU may come before
	}
	d.set(errors.New("no tunnel today"), false)
	d.await(t, create)
	d.await(t, create)

	d.set(nil, true)
	for call := ""; call != "delete"; {
		call = <-d.calls
	}
	d.await(t, create)
	if s := stop(); s.Established != 3 || s.Lost != 2 {
		t.Errorf("%+v", s)
	}
}

func TestNextBroker(t *testing.T) {
	first, second, d := listen(t, "127.0.0.1"), listen(t, "127.0.0.1"), newDatapath()
	first.setRefuse(true)
	c := config(t, first, second)
	c.Client.Policy = client.LeastUsed // so that the first is tried first
	c.NoFeatures = true
	stop := start(t, c, d)
	second.await(wire.TypePrepare)
	first.await(wire.TypePrepare)
	d.await(t, "create 7 100 1 1 mtu 1446")
	if s := stop(); s.Refused != 1 || s.Established != 1 {
		t.Errorf("%+v", s)
	}
}

// TestStopWithoutBroker has a broker that cannot be reached at all.
func TestStopWithoutBroker(t *testing.T) {
	c := config(t)
	c.Brokers = []string{"127.0.0.1:9"}
	c.Local = netip.MustParseAddr("::1")
	start(t, c, newDatapath())()
}

func TestHook(t *testing.T) {
	b, d := listen(t, "127.0.0.1"), newDatapath()
	dir := t.TempDir()
	out, script := filepath.Join(dir, "out"), filepath.Join(dir, "hook")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$@\" >> "+out+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := config(t, b)
	c.Hook, c.Client.NoProbes = script, true
	stop := start(t, c, d)
	d.await(t, "create 7 100 7 100 mtu 1446")
	b.await(wire.TypeKeepalive)
	stop()
	d.await(t, "delete")
	got, err := os.ReadFile(out)
	if err != nil || string(got) != "session.up tun0\nsession.pre-down tun0\nsession.down tun0\n" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"no broker", func(c *Config) { c.Brokers = nil }, []string{"no broker"}},
		{"no port", func(c *Config) { c.Brokers = []string{"a.example", "b.example:0", "b.example:x"} },
			[]string{`"a.example": want host:port`, `port "0"`, `port "x"`}},
		{"UUID", func(c *Config) { c.Client.UUID = "a b" }, []string{`UUID "a b"`}},
		{"interface", func(c *Config) { c.Interface = "sixteen-letters-" }, []string{`interface "sixteen-letters-"`}},
		{"everything", func(c *Config) { *c = Config{Log: c.Log} }, []string{"no broker", `UUID ""`, `interface ""`}},
	} {
		c := config(t)
		c.Brokers = []string{"192.0.2.1:53"}
		tt.change(&c)
		_, err := New(c)
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
	}
}

// none is a Datapath that makes nothing.
type none struct{}

func (none) Create(client.Tunnel, int, int) error { return nil }
func (none) SetMTU(int) error                     { return nil }
func (none) Delete() error                        { return nil }
func (none) Exists() bool                         { return true }

// TestManyClients is the load test in small: a hundred clients without tunnels,
// none of which has to repeat itself.
func TestManyClients(t *testing.T) {
	brokers := []*fakeBroker{listen(t, "127.0.0.1")}
	var stops []func() client.Stats
	for range 100 {
		c := config(t, brokers...)
		c.Log = logline.New(testLog{t}, logline.Error, false)
		c.Client.Timers.Keepalive = time.Minute
		c.Client.NoProbes, c.Client.Limit = true, 1
		stops = append(stops, start(t, c, none{}))
	}
	for range stops {
		brokers[0].await(wire.TypeLimit)
	}
	for _, stop := range stops {
		if s := stop(); s.Established != 1 || s.Repeats() != 0 {
			t.Errorf("%+v", s)
		}
	}
}
