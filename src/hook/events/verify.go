package events

import (
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/resources"
)

// Due is when Tick is to be called, false: no need to.
func (h *Hooks) Due() (at time.Duration, ok bool) { return h.verifier.Due() }

// Tick decides about clients who have waited long enough for session.verify.
func (h *Hooks) Tick(now time.Duration) []Result {
	h.results = h.results[:0]
	h.take(h.verifier.Tick(now))
	return h.results
}

// Asking is how many clients wait until session.verify is run for them.
func (h *Hooks) Asking() int { return h.verifier.Waiting() }

// AskAll runs it for all of them: the next program knows nothing of those for whom it was not.
func (h *Hooks) AskAll(now time.Duration) []Result {
	h.results = h.results[:0]
	h.take(h.verifier.AskAll(now))
	return h.results
}

// Asked takes in that the program before has run session.verify for a client of a section,
// whose Result is to come.
func (h *Hooks) Asked(now time.Duration, section int, f *broker.Facts) {
	e := broker.Effect{Kind: broker.EffectHook, Hook: config.EventVerify, Facts: *f}
	h.verifier.Resume(now, Key(section, f.Serial), section, &e)
}

// Refuse drops all questions: the cores have refused their clients.
func (h *Hooks) Refuse() { h.verifier.Stop() }

// Reload brings other hooks into force: how many there are places for, and session.verify is
// asked about everybody again, as it may say otherwise.
func (h *Hooks) Reload(c *config.Hooks) {
	h.config = c
	places := resources.Hooks(c.Parallel)
	h.place(places)
	for _, key := range h.verifier.Reload(places/2, c) {
		h.Cancel(key)
	}
}
