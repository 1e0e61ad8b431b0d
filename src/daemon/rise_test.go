package daemon

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/poll"
)

// lifts is a datapath that raises tunnels if it wants to.
type lifts struct {
	noDatapath
	refuses bool
	raised  []int // MTUs
}

func (l *lifts) create(_ *Daemon, p *port, e *broker.Effect) error {
	p.index = int(e.Tunnel)
	return nil
}

func (l *lifts) raise(_ *Daemon, _ *port, mtu int) error {
	if l.refuses {
		return errors.New("the bridge is full")
	}
	l.raised = append(l.raised, mtu)
	return nil
}

// rising is a daemon whose loop is the test's, with a hook that notes events and MTUs.
type rising struct {
	*Daemon
	t    *testing.T
	path *lifts
	note string
}

func newRising(t *testing.T) *rising {
	t.Helper()
	d, _ := started(t, 1)
	r := &rising{d, t, new(lifts), filepath.Join(t.TempDir(), "note")}
	d.datapath = r.path
	script := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho $ACTION $MTU >>"+r.note+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for e := range d.config.Hooks.Program {
		if e := config.Event(e); e != config.EventVerify {
			d.config.Hooks.Program[e] = script
		}
	}
	return r
}

// come makes the tunnel of a client up to its answer, and tells what became of it.
func (r *rising) come(id uint32) *port {
	r.t.Helper()
	local := netip.AddrPortFrom(host, r.sections[0].config.Ports[0])
	e := broker.Effect{Kind: broker.EffectCreate, PeerTunnel: 7, PeerSession: 7}
	e.Facts = broker.Facts{Serial: uint64(id), Tunnel: id, Session: id, MTU: 1446, Local: local, Peer: netip.AddrPortFrom(local.Addr(), 4711), UUID: "a"}
	r.create(r.sections[0], &e)
	return r.ports.get(id)
}

func (r *rising) effect(kind broker.EffectKind, h config.Event, p *port, mtu int) {
	e := broker.Effect{Kind: kind, Hook: h}
	e.Facts = broker.Facts{Serial: uint64(p.id), Tunnel: p.id, Session: p.id, MTU: mtu}
	r.effects = append(r.effects[:0], e)
	r.carryOut(r.sections[0])
}

// events are what the core is going to be told.
func (r *rising) events() (kinds []broker.EventKind) {
	for _, q := range r.queue {
		kinds = append(kinds, q.event.Kind)
	}
	r.queue = nil
	return kinds
}

// ran waits until hooks have ended and tells which ran.
func (r *rising) ran(hooks int) []string {
	r.t.Helper()
	for ended := 0; ended < hooks; {
		if _, err := r.poller.Wait(-1, make([]poll.Event, 8)); err != nil {
			r.t.Fatal(err)
		}
		r.wake.Drain()
		ended += len(r.hooks.Done())
	}
	text, _ := os.ReadFile(r.note)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// The client has its answer, the interface follows; hooks hear of it then, with the MTU that is in force.
func TestRise(t *testing.T) {
	r := newRising(t)
	p := r.come(100)
	if got := r.events(); !slices.Equal(got, []broker.EventKind{broker.EventCreated}) || len(r.path.raised) != 0 {
		t.Fatalf("events %v, raised %v", got, r.path.raised)
	}
	r.effect(broker.EffectHook, config.EventSessionUp, p, 1446)
	r.effect(broker.EffectSetMTU, 0, p, 1400)
	r.effect(broker.EffectHook, config.EventMTUChanged, p, 1400)
	if got := r.events(); !slices.Equal(got, []broker.EventKind{broker.EventHookDone}) {
		t.Errorf("events %v, want that session.mtu-changed is done", got)
	}
	r.rises.newcomer = r.now
	if r.raiseNext() {
		t.Error("raised although a newcomer was here")
	}
	r.now += lull
	if !r.raiseNext() || !slices.Equal(r.path.raised, []int{1400}) || p.rise != nil || r.raiseNext() {
		t.Errorf("raised %v", r.path.raised)
	}
	if got := r.ran(1); !slices.Equal(got, []string{"session.up 1400"}) {
		t.Errorf("hooks %q", got)
	}
}

// Newcomers keep an interface waiting for a second at most.
func TestRiseOverdue(t *testing.T) {
	r := newRising(t)
	r.come(100)
	r.now += overdue
	r.rises.newcomer = r.now
	if !r.raiseNext() {
		t.Error("still waiting")
	}
}

// Of a tunnel that ends before it is up hooks hear nothing, and it is not raised.
func TestRiseOfNothing(t *testing.T) {
	r := newRising(t)
	p := r.come(100)
	r.effect(broker.EffectHook, config.EventSessionUp, p, 1446)
	r.events()
	r.effect(broker.EffectHook, config.EventSessionPreDown, p, 1446)
	r.effect(broker.EffectHook, config.EventSessionDown, p, 1446)
	if got := r.events(); !slices.Equal(got, []broker.EventKind{broker.EventHookDone, broker.EventHookDone}) || len(r.unborn) != 0 {
		t.Errorf("events %v, unborn %v", got, r.unborn)
	}
	r.now += lull
	if r.raiseNext() || len(r.path.raised) != 0 || !r.hooks.Idle() {
		t.Errorf("raised %v", r.path.raised)
	}
}

// When one can't be raised it is closed, and the next client of that section is refused before it has an answer, until one succeeds.
func TestRiseFails(t *testing.T) {
	r := newRising(t)
	r.path.refuses = true
	r.come(100)
	r.events()
	r.now += lull
	// The core has no such tunnel: what it would be told is what counts.
	r.raise(r.rises.queue[0])
	if got := r.queue; len(got) != 1 || got[0].event.Kind != broker.EventLost || got[0].event.Fault != broker.FaultAttach {
		t.Errorf("told %+v", got)
	}
	r.events()
	if p := r.come(101); p != nil {
		t.Error("a client was answered before its tunnel was raised")
	}
	if got := r.events(); !slices.Equal(got, []broker.EventKind{broker.EventCreateFailed}) {
		t.Errorf("events %v", got)
	}
	r.path.refuses = false
	if r.come(102); !slices.Equal(r.path.raised, []int{1446}) {
		t.Errorf("raised %v", r.path.raised)
	}
	if p := r.come(103); p == nil || p.rise == nil || len(r.path.raised) != 1 {
		t.Error("the one after was not answered first")
	}
}
