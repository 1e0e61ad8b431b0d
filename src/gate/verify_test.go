package gate

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/hook"
)

// door is a Verifier whose steps are kept.
type door struct {
	*testing.T
	v     *Verifier
	hooks *config.Hooks
	now   time.Duration
	key   uint64
	run   map[string]uint64 // hook keys by UUID
	said  map[string]string // what was decided
}

func newDoor(t *testing.T, limit int) *door {
	h := &config.Hooks{Timeout: time.Minute, VerifyCache: time.Minute}
	h.Program[config.EventVerify] = "/verify"
	return &door{T: t, v: NewVerifier(limit, h), hooks: h, run: make(map[string]uint64), said: make(map[string]string)}
}

func (d *door) take(steps []Step) {
	for _, s := range steps {
		switch {
		case s.Timeout > 0:
			if s.Timeout > verifyTime {
				d.Errorf("%s: time-out %v", s.Effect.UUID, s.Timeout)
			}
			d.run[s.Effect.UUID] = s.Key
		default:
			d.said[s.Effect.UUID] = map[bool]string{false: "in", true: "out"}[s.Refused] + map[bool]string{true: ", late"}[s.Late]
		}
	}
}

func (d *door) ask(uuid, peer string) {
	d.key++
	e := &broker.Effect{Kind: broker.EffectHook, Hook: config.EventVerify}
	e.UUID, e.Peer = uuid, netip.AddrPortFrom(netip.MustParseAddr(peer), 4711)
	d.take(d.v.Ask(d.now, d.key, 0, e))
}

func (d *door) end(uuid string, status int, err error) {
	d.Helper()
	key, runs := d.run[uuid]
	if !runs {
		d.Fatalf("%s: no hook runs", uuid)
	}
	delete(d.run, uuid)
	d.take(d.v.Ended(d.now, &hook.Result{Key: key, Status: status, Err: err}))
}

// want says what was decided about a client, "" nothing, and that it may be decided again.
func (d *door) want(uuid, said string) {
	d.Helper()
	if d.said[uuid] != said {
		d.Errorf("%s: %q, want %q", uuid, d.said[uuid], said)
	}
	delete(d.said, uuid)
}

// An answer is remembered for its time; a failure to answer is none.
func TestAnswers(t *testing.T) {
	d := newDoor(t, 2)
	exit := errors.New("exit status 1")
	for uuid, status := range map[string]int{"good": 0, "bad": 1, "ill": -1} {
		var err error
		if status != 0 {
			err = exit
		}
		d.ask(uuid, "192.0.2.1")
		d.end(uuid, status, err)
	}
	d.want("good", "in")
	d.want("bad", "out")
	d.want("ill", "out")
	d.now = time.Minute - 1
	for _, uuid := range []string{"good", "bad", "ill"} {
		d.ask(uuid, "192.0.2.1")
	}
	d.want("good", "in")
	d.want("bad", "out")
	d.want("ill", "")
	d.end("ill", 0, nil)
	d.ask("good", "192.0.2.2") // from elsewhere
	d.want("good", "")
	d.end("good", 0, nil)
	d.now = time.Minute
	d.ask("bad", "192.0.2.1")
	d.want("bad", "")
}

// What a hook of the configuration before answers is neither taken nor remembered, whether it ends before or after it is cancelled: its
// client is asked about anew, before those who came later, and in its old time.
func TestReloadForgetsWhatIsUnderWay(t *testing.T) {
	for _, end := range []struct {
		status int
		err    error
	}{{0, nil}, {1, errors.New("exit status 1")}, {-1, hook.ErrCancelled}, {-1, hook.ErrTimeout}} {
		d := newDoor(t, 1)
		d.ask("known", "192.0.2.1")
		d.end("known", 0, nil)
		d.ask("one", "192.0.2.1")
		d.ask("two", "192.0.2.2")
		key := d.run["one"]
		d.now = time.Second
		if cancel := d.v.Reload(d.v.limit, d.hooks); len(cancel) != 1 || cancel[0] != key {
			t.Fatalf("cancelled %v, want %d", cancel, key)
		}
		d.end("one", end.status, end.err)
		d.want("one", "")
		if d.run["one"] != key || d.run["two"] != 0 {
			t.Fatalf("%+v: runs %v", end, d.run)
		}
		if at, ok := d.v.Due(); !ok || at != verifyTime {
			t.Errorf("due %v, %v", at, ok)
		}
		d.end("one", 1, errors.New("exit status 1"))
		d.want("one", "out")
		d.ask("one", "192.0.2.1")
		d.want("one", "out") // that is remembered
		d.want("known", "in")
		d.ask("known", "192.0.2.1") // and that is not
		d.want("known", "")
		d.end("two", 0, nil)
		d.want("two", "in")
	}
	// The hook that is configured no more decides nothing.
	d := newDoor(t, 1)
	d.ask("one", "192.0.2.1")
	d.ask("two", "192.0.2.2")
	d.v.Reload(d.v.limit, new(config.Hooks))
	d.end("one", 1, errors.New("exit status 1"))
	d.want("one", "in")
	d.want("two", "in")
	// Nor is anybody asked about when stopping.
	d = newDoor(t, 1)
	d.ask("one", "192.0.2.1")
	d.ask("two", "192.0.2.2")
	d.v.Reload(d.v.limit, d.hooks)
	d.v.Stop()
	d.end("one", 0, nil)
	if len(d.run) != 0 || d.v.Waiting() != 0 {
		t.Errorf("runs %v, %d wait", d.run, d.v.Waiting())
	}
}

// An upgrade runs the hook for all who wait, and the next program knows of them: after its reload they are asked about anew.
func TestResume(t *testing.T) {
	d := newDoor(t, 1)
	for i := range 5 {
		d.ask(fmt.Sprint(i), "192.0.2.1")
	}
	d.take(d.v.AskAll(d.now))
	if len(d.run) != 5 || d.v.Waiting() != 0 {
		t.Fatalf("%d run, %d wait", len(d.run), d.v.Waiting())
	}
	next := newDoor(t, 1)
	for uuid, key := range d.run {
		e := &broker.Effect{Kind: broker.EffectHook, Hook: config.EventVerify}
		e.UUID = uuid
		next.v.Resume(0, key, 0, e)
	}
	next.run = d.run
	next.end("0", 1, errors.New("exit status 1"))
	next.want("0", "out")
	if n := len(next.v.Reload(next.v.limit, next.hooks)); n != 4 {
		t.Errorf("%d to be cancelled", n)
	}
	next.end("1", 0, nil)
	next.want("1", "")
	next.now = verifyTime
	next.take(next.v.Tick(next.now))
	for _, uuid := range []string{"1", "2", "3", "4"} {
		next.want(uuid, "out, late")
	}
	if _, ok := next.v.Due(); ok {
		t.Error("something is left to be done")
	}
}

// Clients of one address leave places and room for others.
func TestCrowd(t *testing.T) {
	d := newDoor(t, 4)
	for i := range MaxQuestions {
		d.ask(fmt.Sprint(i), "192.0.2.1")
	}
	late := 0
	for _, said := range d.said {
		if said == "out, late" {
			late++
		}
	}
	if len(d.run) != 3 || d.v.Waiting() != MaxQuestions*3/4 || late != MaxQuestions-3-MaxQuestions*3/4 {
		t.Errorf("%d run, %d wait, %d are late", len(d.run), d.v.Waiting(), late)
	}
	d.ask("other", "192.0.2.2")
	if d.run["other"] == 0 {
		t.Error("an address takes all places")
	}
}

func TestVerifierForgetsTheOldest(t *testing.T) {
	v := newDoor(t, 1).v
	key := func(i int) verifyKey { return verifyKey{0, netip.MustParseAddr("192.0.2.1"), fmt.Sprint(i)} }
	for i := range 3 * maxAnswers {
		v.remember(key(i), answer{until: time.Duration(i)})
		v.remember(key(i), answer{until: time.Duration(i)})
	}
	if len(v.answers) != maxAnswers || len(v.order) != maxAnswers {
		t.Fatalf("%d answers, %d in order, want %d", len(v.answers), len(v.order), maxAnswers)
	}
	for i := 2 * maxAnswers; i < 3*maxAnswers; i++ {
		if _, known := v.answers[key(i)]; !known {
			t.Fatalf("answer %d is forgotten", i)
		}
	}
	if v.Reload(v.limit, v.hooks); len(v.answers) != 0 {
		t.Error("not forgotten")
	}
}
