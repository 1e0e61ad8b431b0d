package events

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/hook"
	"tunneldigger/src/logline"
)

// world is Hooks of sections 0 and 3, whose programs note what they are called with.
type world struct {
	*Hooks
	t      *testing.T
	config *config.Hooks
	names  map[int]string
	woken  chan struct{}
	notes  string
	log    said
}

func newWorld(t *testing.T, script string, events ...config.Event) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, config: &config.Hooks{Timeout: time.Minute, Parallel: 4}, names: map[int]string{0: "wan", 3: "lan"}, woken: make(chan struct{}, 1), notes: filepath.Join(dir, "notes")}
	program := filepath.Join(dir, "program")
	text := "#!/bin/sh\necho $ACTION $TUNNEL_ID $UUID $BROKER >>" + w.notes + "\n" + script + "\n"
	if err := errors.Join(os.WriteFile(program, []byte(text), 0o755), os.WriteFile(w.notes, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		w.config.Program[e] = program
	}
	w.Hooks = New(w.config, logline.New(&w.log, logline.Error, false), func() {
		select {
		case w.woken <- struct{}{}:
		default:
		}
	}, func(number int) string { return w.names[number] })
	t.Cleanup(w.Kill)
	return w
}

// said is a log, which programs' ends write from other goroutines.
type said struct {
	sync.Mutex
	text strings.Builder
}

func (s *said) Write(b []byte) (int, error) {
	s.Lock()
	defer s.Unlock()
	return s.text.Write(b)
}

// quiet checks that no hook is said to have failed.
func (w *world) quiet() {
	w.t.Helper()
	w.log.Lock()
	defer w.log.Unlock()
	if w.log.text.Len() > 0 {
		w.t.Errorf("the log has %s", w.log.text.String())
	}
}

func effect(event config.Event, tunnel uint32, serial uint64) *broker.Effect {
	e := &broker.Effect{Kind: broker.EffectHook, Hook: event}
	e.Tunnel, e.Serial, e.UUID = tunnel, serial, fmt.Sprint("node", tunnel)
	return e
}

// done waits for so many results.
func (w *world) done(many int) (all []Result) {
	w.t.Helper()
	late := time.After(2 * time.Minute)
	for len(all) < many {
		select {
		case <-w.woken:
			all = append(all, w.Done(0)...)
		case <-late:
			w.t.Fatalf("%d results, want %d", len(all), many)
		}
	}
	return all
}

func (w *world) noted() string {
	text, err := os.ReadFile(w.notes)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// is checks what a core hears.
func (w *world) is(r Result, section int, event config.Event, tunnel uint32, serial uint64, failed bool) {
	w.t.Helper()
	ev := &r.Event
	if r.Section != section || ev.Kind != broker.EventHookDone || ev.Hook != event || ev.Tunnel != tunnel || ev.Serial != serial || ev.Refused != failed {
		w.t.Errorf("section %d, %+v; want section %d, %v of tunnel %d, %d, failed %v", r.Section, r.Event, section, event, tunnel, serial, failed)
	}
}

// A hook without a program has ended at once; others end by Done, and the core hears how.
func TestRun(t *testing.T) {
	w := newWorld(t, "[ $UUID = node100 ]", config.EventSessionUp, config.EventSessionDown)
	r := w.Run(0, 3, effect(config.EventMTUChanged, 100, 7))
	if len(r) != 1 || r[0].Ran != nil {
		t.Fatalf("%+v", r)
	}
	w.is(r[0], 3, config.EventMTUChanged, 100, 7, false)
	for _, id := range []uint32{100, 101} {
		if r := w.Run(0, 3, effect(config.EventSessionUp, id, uint64(id))); len(r) != 0 {
			t.Errorf("%+v", r)
		}
		for _, r := range w.done(1) {
			w.is(r, 3, config.EventSessionUp, id, uint64(id), id == 101)
			if r.Ran == nil || r.Ran.Event != "session.up" {
				t.Errorf("ran %+v", r.Ran)
			}
		}
	}
	if want := "session.up 100 node100 lan\nsession.up 101 node101 lan\n"; w.noted() != want || w.Counts != (hook.Counts{Ended: 2, Failed: 1}) {
		t.Errorf("%q, %+v", w.noted(), w.Counts)
	}
}

// What is held back waits, and runs in its turn.
func TestHold(t *testing.T) {
	w := newWorld(t, "", config.EventSessionUp)
	w.Hold(true)
	w.Run(0, 3, effect(config.EventSessionUp, 100, 100))
	if w.Running() != 0 || w.Waiting() != 1 {
		t.Errorf("%d run, %d wait", w.Running(), w.Waiting())
	}
	if w.Reload(w.config); w.Running() != 0 || w.Waiting() != 1 {
		t.Errorf("after a reload %d run, %d wait", w.Running(), w.Waiting())
	}
	w.Hold(false)
	w.is(w.done(1)[0], 3, config.EventSessionUp, 100, 100, false)
}

// Hooks of the folder are run as well, and for events without a program of their own.
func TestFolder(t *testing.T) {
	w := newWorld(t, "")
	w.config.Directory = t.TempDir()
	if r := w.Run(0, 0, effect(config.EventSessionUp, 100, 1)); len(r) != 0 {
		t.Errorf("%+v", r)
	}
	w.is(w.done(1)[0], 0, config.EventSessionUp, 100, 1, false)
}

// A hook of nobody's tunnel has its section's name, and nobody hears of its end. When too many wait they are left out.
func TestRateLimit(t *testing.T) {
	w := newWorld(t, "", config.EventRateLimit)
	w.Run(0, 3, effect(config.EventRateLimit, 0, 0))
	for w.noted() == "" || !w.Idle() {
		<-w.woken
		if r := w.Done(0); len(r) != 0 {
			t.Errorf("%+v", r)
		}
	}
	if text := w.noted(); !strings.HasSuffix(text, " lan\n") {
		t.Errorf("%q", text)
	}
	w.Freeze()
	w.Thaw()
	w.SetLimit(0)
	for range maxWaiting + 10 {
		w.Run(0, 3, effect(config.EventRateLimit, 0, 0))
	}
	if n := w.Waiting(); n != maxWaiting+1 {
		t.Errorf("%d wait", n)
	}
}

// session.verify refuses by its status. Its answers are no failures, and are not said to be a hook of the tunnel's.
func TestVerify(t *testing.T) {
	w := newWorld(t, "[ $UUID = node100 ]", config.EventVerify)
	for _, id := range []uint32{100, 101} {
		w.Run(0, 0, effect(config.EventVerify, id, uint64(id)))
		r := w.done(1)[0]
		if w.is(r, 0, config.EventVerify, id, uint64(id), id == 101); r.Ran != nil || r.Late != nil {
			t.Errorf("%+v", r)
		}
	}
	if w.Counts != (hook.Counts{Ended: 2}) {
		t.Errorf("%+v", w.Counts)
	}
	w.quiet()
	// Nobody is there any more who would hear.
	w.Run(0, 3, effect(config.EventVerify, 102, 102))
	w.names[3] = ""
	for !w.Idle() {
		<-w.woken
		if r := w.Done(0); len(r) != 0 {
			t.Errorf("%+v", r)
		}
	}
}

// Who waits for too long is decided about, which is said of each; who waits is asked about before the next program takes over, and that
// one hears of it.
func TestVerifyLate(t *testing.T) {
	w := newWorld(t, "sleep 1000", config.EventVerify)
	w.config.Timeout = 5 * time.Second
	for id := range uint32(4) { // the first is asked about, as all are of one address
		w.Run(0, 0, effect(config.EventVerify, 100+id, uint64(1+id)))
	}
	if at, ok := w.Due(); !ok || at != 5*time.Second || w.Asking() != 3 {
		t.Errorf("due %v %v, %d wait", at, ok, w.Asking())
	}
	r := w.Tick(5 * time.Second)
	late := make(map[uint32]bool)
	for _, r := range r {
		if r.Late == nil || r.Late.Tunnel != r.Event.Tunnel || !r.Event.Refused {
			t.Errorf("%+v", r)
		}
		late[r.Event.Tunnel] = true
	}
	if len(r) != 4 || len(late) != 4 || w.Asking() != 0 {
		t.Errorf("%d of %d are decided about", len(late), len(r))
	}
	next := newWorld(t, "", config.EventVerify)
	next.Asked(0, 3, &broker.Facts{Tunnel: 100, Serial: 7})
	if at, ok := next.Due(); !ok || at != 10*time.Second {
		t.Errorf("due %v %v", at, ok)
	}
	w.Run(0, 0, effect(config.EventVerify, 104, 9))
	if w.AskAll(0); w.Asking() != 0 {
		t.Errorf("%d wait", w.Asking())
	}
}

// Other hooks are in force at once; who is being asked about is asked about anew.
func TestReload(t *testing.T) {
	w := newWorld(t, "sleep 1000", config.EventVerify, config.EventSessionUp)
	w.Run(0, 0, effect(config.EventVerify, 100, 1))
	w.Reload(&config.Hooks{Timeout: time.Minute, Parallel: 4})
	w.is(w.done(1)[0], 0, config.EventVerify, 100, 1, false)
	w.quiet()
	if r := w.Run(0, 0, effect(config.EventSessionUp, 100, 1)); len(r) != 1 {
		t.Error("a program is run that is not configured any more")
	}
}

// Whom the core has refused nobody is asked about.
func TestRefuse(t *testing.T) {
	w := newWorld(t, "sleep 1000", config.EventVerify)
	for id := range uint32(3) {
		w.Run(0, 0, effect(config.EventVerify, 100+id, uint64(1+id)))
	}
	if w.Refuse(); w.Asking() != 0 {
		t.Error("somebody waits")
	}
}

// Keys tell tunnels of all sections apart, and know hooks without one.
func TestKey(t *testing.T) {
	if Key(3, 0) != 0 || Key(3, 1) == Key(4, 1) || Key(3, 1) == Key(3, 2) || Key(255, 1<<40)&0xff != 255 {
		t.Errorf("%x %x", Key(3, 1), Key(255, 1<<40))
	}
}
