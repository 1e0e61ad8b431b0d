package gate

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"tunneldigger/src/admission"
	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/hook"
)

const (
	// verifyTime is the longest that a client waits for session.verify, whatever
	// the hooks' time-out: after 15 s it gives up on a broker, and its tunnel has
	// to be made as well.
	verifyTime = 10 * time.Second
	// MaxQuestions is how many clients may wait until session.verify is run.
	MaxQuestions = 256
	maxAnswers   = 1024 // that are remembered
)

// Verifier decides when session.verify is asked about whom. So many hooks at once,
// and no more of them, that those of standing tunnels have places left, however long
// these take; who is not answered for in time is let in or refused, as configured.
// Times are those of the caller's clock. It is not safe for concurrent use.
type Verifier struct {
	hooks   *config.Hooks
	limit   int
	stopped bool
	asked   map[uint64]*question // by hook key: the hook has not ended
	waiting []*question          // first in, first out
	answers map[verifyKey]answer
	order   []verifyKey // a ring: the oldest answer goes first
	oldest  int
	steps   []Step
}

// Step is one thing to be done about the newcomer whom Effect, a hook effect of
// session.verify, is about.
type Step struct {
	Key     uint64 // as given to Ask
	Effect  broker.Effect
	Timeout time.Duration // run the hook, with this time-out; 0: it is decided, as follows
	Refused bool
	Late    bool // session.verify gave no answer in time
}

// question is one newcomer whom session.verify is asked about.
type question struct {
	key      uint64
	section  int
	effect   broker.Effect
	until    time.Duration
	answered bool // it took too long, the core knows already
	outdated bool // another configuration is in force than when the hook was run
}

type verifyKey struct {
	section int
	addr    netip.Addr
	uuid    string
}

type answer struct {
	refused bool
	until   time.Duration
}

// NewVerifier makes a Verifier for at most limit hooks at once. h is read whenever
// something happens, until Reload gives another one.
func NewVerifier(limit int, h *config.Hooks) *Verifier {
	return &Verifier{hooks: h, limit: max(1, limit), asked: make(map[uint64]*question), answers: make(map[verifyKey]answer)}
}

func (q *question) known() verifyKey {
	return verifyKey{q.section, q.effect.Peer.Addr(), q.effect.UUID}
}

// near reports whether both are of one address, or of one IPv6 /64.
func (q *question) near(o *question) bool {
	return admission.AddrKey(q.effect.Peer.Addr()) == admission.AddrKey(o.effect.Peer.Addr())
}

// Ask takes in a hook effect of session.verify, of a section by its number. key is
// that of the hook, should it be run, and no other question's. The Steps are good
// until the next call, as everywhere here.
func (v *Verifier) Ask(now time.Duration, key uint64, section int, e *broker.Effect) []Step {
	v.steps = v.steps[:0]
	q := &question{key: key, section: section, effect: *e, until: now + v.patience()}
	if v.hooks.Program[config.EventVerify] == "" {
		v.decide(q, false)
		return v.steps
	}
	if a, known := v.answers[q.known()]; known && now < a.until {
		v.decide(q, a.refused)
		return v.steps
	}
	same := 0
	for _, w := range v.waiting {
		if w.near(q) {
			same++
		}
	}
	if len(v.waiting) >= MaxQuestions || same >= MaxQuestions*3/4 {
		v.giveUp(q)
		return v.steps
	}
	v.waiting = append(v.waiting, q)
	v.run(now, v.limit)
	return v.steps
}

// Resume takes in that the program before has asked, with the same meaning as for
// Ask, and when the hook's client came. Its end is to come.
func (v *Verifier) Resume(since time.Duration, key uint64, section int, e *broker.Effect) {
	v.asked[key] = &question{key: key, section: section, effect: *e, until: since + v.patience()}
}

// AskAll runs the hook for all who wait: the next program knows nothing of whom it
// was not run for.
func (v *Verifier) AskAll(now time.Duration) []Step {
	v.steps = v.steps[:0]
	v.run(now, len(v.asked)+len(v.waiting)+2) // more than clients of one address may have
	return v.steps
}

// Waiting is how many clients wait until the hook is run for them.
func (v *Verifier) Waiting() int { return len(v.waiting) }

// Stop drops all questions: the core has refused their clients.
func (v *Verifier) Stop() { v.waiting, v.stopped = nil, true }

// Reload brings other hooks into force, at most limit of them at once, which may say
// otherwise about anybody: all answers are forgotten, also those under way. Hooks of
// the keys that it gives are to be cancelled; once they have ended their clients are
// asked about anew.
func (v *Verifier) Reload(limit int, h *config.Hooks) (cancel []uint64) {
	v.hooks, v.limit = h, max(1, limit)
	clear(v.answers)
	v.order, v.oldest = nil, 0
	for key, q := range v.asked {
		q.outdated = true
		cancel = append(cancel, key)
	}
	return cancel
}

func (v *Verifier) patience() time.Duration { return min(v.hooks.Timeout, verifyTime) }

// run starts as many hooks as there may be.
func (v *Verifier) run(now time.Duration, limit int) {
	for len(v.asked) < limit {
		q := v.take(limit)
		switch {
		case q == nil:
			return
		case v.hooks.Program[config.EventVerify] == "":
			v.decide(q, false)
		case q.until <= now:
			v.giveUp(q)
		default:
			v.asked[q.key] = q
			v.steps = append(v.steps, Step{Key: q.key, Effect: q.effect, Timeout: q.until - now})
		}
	}
}

// take gives the first who waits and may be asked about: clients of one address have
// all places but one at most, so that those of another are asked about however long it takes.
func (v *Verifier) take(limit int) *question {
	for i, q := range v.waiting {
		same := 0
		for _, a := range v.asked {
			if a.near(q) {
				same++
			}
		}
		if same == 0 || same < limit-1 {
			v.waiting = slices.Delete(v.waiting, i, i+1)
			return q
		}
	}
	return nil
}

// Ended takes in how a hook ended that was run.
func (v *Verifier) Ended(now time.Duration, r *hook.Result) []Step {
	v.steps = v.steps[:0]
	q := v.asked[r.Key]
	if q == nil {
		return nil
	}
	delete(v.asked, r.Key)
	refused := r.Err != nil || r.Status != 0
	switch {
	case q.answered:
	case q.outdated:
		if q.outdated = false; !v.stopped {
			v.waiting = append([]*question{q}, v.waiting...)
		}
	case errors.Is(r.Err, hook.ErrTimeout), errors.Is(r.Err, hook.ErrFull):
		v.giveUp(q)
	default:
		if !refused || r.Status > 0 { // an answer, and not a failure to give one
			v.remember(q.known(), answer{refused, now + v.hooks.VerifyCache})
		}
		v.decide(q, refused)
	}
	v.run(now, v.limit)
	return v.steps
}

func (v *Verifier) decide(q *question, refused bool) {
	q.answered = true
	v.steps = append(v.steps, Step{Key: q.key, Effect: q.effect, Refused: refused})
}

// giveUp decides without session.verify.
func (v *Verifier) giveUp(q *question) {
	v.decide(q, !v.hooks.VerifyTimeoutAccept)
	v.steps[len(v.steps)-1].Late = true
}

// Due is when Tick is to be called, false: no need to.
func (v *Verifier) Due() (at time.Duration, ok bool) {
	for _, q := range v.waiting {
		if !ok || q.until < at {
			at, ok = q.until, true
		}
	}
	for _, q := range v.asked {
		if !q.answered && (!ok || q.until < at) {
			at, ok = q.until, true
		}
	}
	return at, ok
}

// Tick decides about those who have waited long enough.
func (v *Verifier) Tick(now time.Duration) []Step {
	v.steps = v.steps[:0]
	if at, ok := v.Due(); !ok || now < at {
		return nil
	}
	v.waiting = slices.DeleteFunc(v.waiting, func(q *question) bool {
		if q.until <= now {
			v.giveUp(q)
		}
		return q.until <= now
	})
	for _, q := range v.asked {
		if !q.answered && q.until <= now {
			v.giveUp(q)
		}
	}
	return v.steps
}

// remember keeps an answer in the place of the oldest one.
func (v *Verifier) remember(key verifyKey, a answer) {
	if _, known := v.answers[key]; !known {
		if len(v.order) < maxAnswers {
			v.order = append(v.order, key)
		} else {
			delete(v.answers, v.order[v.oldest])
			v.order[v.oldest] = key
			v.oldest = (v.oldest + 1) % maxAnswers
		}
	}
	v.answers[key] = a
}
