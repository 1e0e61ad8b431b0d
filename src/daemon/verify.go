package daemon

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
	verifyTime   = 10 * time.Second
	maxQuestions = 256  // clients that may wait for session.verify
	maxAnswers   = 1024 // that are remembered
)

// verifier asks session.verify about newcomers. So many hooks at once, and no
// more of them, that those of standing tunnels have places left, however long
// these take; who is not answered for in time is let in or refused, as configured.
type verifier struct {
	limit   int
	asked   map[uint64]*question // by hook key: the hook has not ended
	waiting []*question          // first in, first out
	answers map[verifyKey]answer
	order   []verifyKey // a ring: the oldest answer goes first
	oldest  int
}

type question struct {
	section  *section
	effect   broker.Effect
	until    time.Duration
	answered bool // it took too long, the core knows already
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

func newVerifier(limit int) verifier {
	return verifier{limit: max(1, limit), asked: make(map[uint64]*question), answers: make(map[verifyKey]answer)}
}

func (q *question) key() verifyKey {
	return verifyKey{q.section.number, q.effect.Peer.Addr(), q.effect.UUID}
}

// near tells whether both are of one address, or of one IPv6 /64.
func (q *question) near(o *question) bool {
	return admission.AddrKey(q.effect.Peer.Addr()) == admission.AddrKey(o.effect.Peer.Addr())
}

// verify asks about a newcomer, unless the answer is known.
func (d *Daemon) verify(s *section, e *broker.Effect) {
	v, h := &d.verifier, &d.config.Hooks
	q := &question{section: s, effect: *e, until: d.now + min(h.Timeout, verifyTime)}
	if h.Program[config.EventVerify] == "" {
		d.answer(q, false)
		return
	}
	if a, known := v.answers[q.key()]; known && d.now < a.until {
		d.answer(q, a.refused)
		return
	}
	same := 0
	for _, w := range v.waiting {
		if w.near(q) {
			same++
		}
	}
	if len(v.waiting) >= maxQuestions || same >= maxQuestions*3/4 {
		d.unanswered(q)
		return
	}
	v.waiting = append(v.waiting, q)
	d.askNext()
}

// askNext starts as many hooks as may run.
func (d *Daemon) askNext() {
	v, h := &d.verifier, &d.config.Hooks
	if d.stopBy != 0 { // the core has refused them
		v.waiting = nil
	}
	for len(v.asked) < v.limit {
		q := v.take()
		if q == nil {
			return
		}
		if q.until <= d.now {
			d.unanswered(q)
			continue
		}
		e := &q.effect
		// The directory's programs are run for every event, and one that does
		// not know this one may well fail: only the program that was
		// configured for it can refuse a client.
		r := hook.Request{
			Event: e.Hook.String(), Tunnel: e.Tunnel, Program: h.Program[config.EventVerify], Timeout: q.until - d.now, Asks: true,
			Tag: hookTag(e), Key: q.section.hookKey(e.Serial),
		}
		r.Args, r.Env = hookArguments(q.section, e)
		v.asked[r.Key] = q
		d.hooks.Run(r)
	}
}

// take gives the first who waits and may be asked about: clients of one address have
// all places but one at most, so that those of another are asked about however long it takes.
func (v *verifier) take() *question {
	for i, q := range v.waiting {
		same := 0
		for _, a := range v.asked {
			if a.near(q) {
				same++
			}
		}
		if same == 0 || same < v.limit-1 {
			v.waiting = slices.Delete(v.waiting, i, i+1)
			return q
		}
	}
	return nil
}

// verified takes in how a hook ended.
func (d *Daemon) verified(r *hook.Result) {
	v := &d.verifier
	refused := r.Err != nil || r.Status != 0
	q := v.asked[r.Key]
	if q == nil {
		if s, serial := d.hookOwner(r.Key); s != nil { // it was asked before an upgrade
			if errors.Is(r.Err, hook.ErrTimeout) || errors.Is(r.Err, hook.ErrFull) {
				refused = !d.config.Hooks.VerifyTimeoutAccept
			}
			d.hookEnded(s, uint32(r.Tag>>8), serial, config.EventVerify, refused)
		}
		return
	}
	delete(v.asked, r.Key)
	switch {
	case q.answered:
	case errors.Is(r.Err, hook.ErrTimeout), errors.Is(r.Err, hook.ErrFull):
		d.unanswered(q)
	default:
		if !refused || r.Status > 0 { // an answer, and not a failure to give one
			v.remember(q.key(), answer{refused, d.now + d.config.Hooks.VerifyCache})
		}
		d.answer(q, refused)
	}
	d.askNext()
}

func (d *Daemon) answer(q *question, refused bool) {
	q.answered = true
	d.hookEnded(q.section, q.effect.Tunnel, q.effect.Serial, config.EventVerify, refused)
}

// unanswered decides without session.verify.
func (d *Daemon) unanswered(q *question) {
	accept := d.config.Hooks.VerifyTimeoutAccept
	if d.quiet.allow(d.now, "verify") {
		so := "the client is refused"
		if accept {
			so = "the client is let in"
		}
		d.log.Warn("no answer from session.verify in time: "+so, d.about(q.section, &q.effect.Facts)...)
	}
	d.answer(q, !accept)
}

// next is when tickVerify is to be called, false: no need to.
func (v *verifier) next() (at time.Duration, ok bool) {
	if len(v.waiting) > 0 {
		at, ok = v.waiting[0].until, true
	}
	for _, q := range v.asked {
		if !q.answered && (!ok || q.until < at) {
			at, ok = q.until, true
		}
	}
	return at, ok
}

// tickVerify decides about those who have waited long enough.
func (d *Daemon) tickVerify() {
	v := &d.verifier
	if at, ok := v.next(); !ok || d.now < at {
		return
	}
	for len(v.waiting) > 0 && v.waiting[0].until <= d.now {
		d.unanswered(v.waiting[0])
		v.waiting = v.waiting[1:]
	}
	for _, q := range v.asked {
		if !q.answered && q.until <= d.now {
			d.unanswered(q)
		}
	}
	d.settle()
}

// remember keeps an answer in the place of the oldest one.
func (v *verifier) remember(key verifyKey, a answer) {
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

// forget drops all answers: the hook may say otherwise now.
func (v *verifier) forget() {
	clear(v.answers)
	v.order, v.oldest = nil, 0
}
