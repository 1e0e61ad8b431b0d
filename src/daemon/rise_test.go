package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/datapath/fake"
	"tunneldigger/src/poll"
)

// rising is a daemon whose loop is the test's, with a hook that notes events and MTUs.
type rising struct {
	*Daemon
	t      *testing.T
	kernel *fake.Kernel
	note   string
}

func newRising(t *testing.T) *rising {
	t.Helper()
	d, k, _ := faked(t)
	r := &rising{d, t, k, filepath.Join(t.TempDir(), "note")}
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

// come makes the tunnel of a client, and tells in which state it is then.
func (r *rising) come(uuid string, peerPort uint16, id uint32) string {
	r.t.Helper()
	r.askFor(peerPort, uuid)
	r.createSome()
	return r.state(id)
}

func (r *rising) state(id uint32) string {
	if info, ok := r.sections[0].core.Next(id); ok && info.Tunnel == id {
		return info.State
	}
	return ""
}

// raised are the MTUs of interfaces that are up.
func (r *rising) raised() (mtus []int) {
	for t := r.tunnels.Next(0); t != nil; t = r.tunnels.Next(t.ID + 1) {
		if l := r.kernel.Named(t.Interface); l != nil && l.Up {
			mtus = append(mtus, l.MTU)
		}
	}
	return mtus
}

// ran waits until hooks have ended and tells which ran.
func (r *rising) ran(hooks int) []string {
	r.t.Helper()
	for ended := 0; ended < hooks; {
		if _, err := r.poller.Wait(-1, make([]poll.Event, 8)); err != nil {
			r.t.Fatal(err)
		}
		r.wake.Drain()
		ended += len(r.hooks.Runner.Done())
	}
	text, _ := os.ReadFile(r.note)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// The client has its answer, the interface follows when no newcomer has come for a while; it has the MTU that is in force then.
func TestRise(t *testing.T) {
	r := newRising(t)
	if state := r.come("a", 20000, 100); state != "answered" || len(r.raised()) != 0 {
		t.Fatalf("state %s, raised %v", state, r.raised())
	}
	e := broker.Effect{Kind: broker.EffectSetMTU}
	e.Tunnel, e.MTU = 100, 1400
	r.effects = append(r.effects[:0], e)
	r.carryOut(r.sections[0])
	r.tunnels.Newcomer = r.now
	if r.raiseNext() {
		t.Error("raised although a newcomer was here")
	}
	r.now += 20 * time.Millisecond
	if !r.raiseNext() || !slices.Equal(r.raised(), []int{1400}) || r.state(100) != "up" || r.raiseNext() {
		t.Errorf("raised %v, state %s", r.raised(), r.state(100))
	}
	if got := r.ran(1); len(got) != 1 || !strings.HasPrefix(got[0], "session.up ") {
		t.Errorf("hooks %q", got)
	}
}

// Newcomers keep an interface waiting for a second at most.
func TestRiseOverdue(t *testing.T) {
	r := newRising(t)
	r.come("a", 20000, 100)
	r.now += time.Second
	r.tunnels.Newcomer = r.now
	if !r.raiseNext() {
		t.Error("still waiting")
	}
}

// A tunnel that ends before its turn is not raised.
func TestRiseOfNothing(t *testing.T) {
	r := newRising(t)
	r.come("a", 20000, 100)
	r.handle(r.sections[0], &broker.Event{Kind: broker.EventKick, Tunnel: 100})
	r.now += 20 * time.Millisecond
	if r.raiseNext() || len(r.raised()) != 0 || !r.hooks.Idle() {
		t.Errorf("raised %v", r.raised())
	}
}

// When one can't be raised it is closed, and the next client of that section is refused before it has an answer, until one succeeds.
func TestRiseFails(t *testing.T) {
	r := newRising(t)
	r.kernel.Fail = func(step string) unix.Errno {
		if step == "up" {
			return unix.EXFULL
		}
		return 0
	}
	r.come("a", 20000, 100)
	r.now += 20 * time.Millisecond
	if !r.raiseNext() || r.state(100) != "destroying" {
		t.Errorf("state %s", r.state(100))
	}
	if state := r.come("b", 20001, 101); state != "" || r.tunnels.Get(101) != nil {
		t.Errorf("a client was answered before its tunnel was raised: %s", state)
	}
	r.kernel.Fail = nil
	if state := r.come("c", 20002, 102); state != "up" || !slices.Equal(r.raised(), []int{1446}) {
		t.Errorf("state %s, raised %v", state, r.raised())
	}
	if state := r.come("d", 20003, 103); state != "answered" || len(r.raised()) != 1 {
		t.Errorf("the one after was not answered first: %s", state)
	}
}
