// Package events has the operator's programs run when something happens to clients and
// tunnels of broker sections, session.verify's questions among them. What a core is to
// hear of it comes back as values.
package events

import (
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/gate"
	"tunneldigger/src/hook"
	"tunneldigger/src/logline"
	"tunneldigger/src/resources"
)

// maxWaiting is how many hooks may wait before connection-rate-limit hooks, which
// strangers can cause, are left out.
const maxWaiting = 1000

// Hooks runs the hooks of all sections. Whoever has it wakes for the Runner's notify, and calls
// Done then; the Runner is not to be given other work. It is not safe for concurrent use.
type Hooks struct {
	*hook.Runner
	// Counts are of all hooks that have ended.
	Counts hook.Counts

	config   *config.Hooks
	verifier *gate.Verifier
	name     func(section int) string
	held     bool // see Hold
	results  []Result
}

// Result is what the core of a section is to hear.
type Result struct {
	Section int          // its number
	Event   broker.Event // EventHookDone
	// Ran is how the programs of a hook ended, other than session.verify; nil: there was none.
	Ran *hook.Result
	// Late is the client about whom session.verify gave no answer in time; nil: it did.
	Late *broker.Facts
}

// New makes Hooks as they are configured, which is not to change. notify is called, from any
// goroutine, when there is something for Done. name is that of a section by its number, "" where it
// has gone.
func New(c *config.Hooks, log *logline.Logger, notify func(), name func(section int) string) *Hooks {
	places := resources.Hooks(c.Parallel)
	return &Hooks{Runner: hook.New(places, log, notify), config: c, verifier: gate.NewVerifier(places/2, c), name: name}
}

// Hold has no program start, as long as there is something more urgent for the processors, or again as
// many as are configured.
func (h *Hooks) Hold(on bool) {
	h.held = on
	h.place(resources.Hooks(h.config.Parallel))
}

// place lets so many programs run, unless they are held.
func (h *Hooks) place(most int) {
	if h.held {
		most = 0
	}
	h.SetLimit(most)
}

// Run carries out a hook effect of a section. The Results are good until the next call, as
// everywhere here; those of programs that were started come by Done.
func (h *Hooks) Run(now time.Duration, section int, e *broker.Effect) []Result {
	h.results = h.results[:0]
	key := Key(section, e.Serial)
	if e.Hook == config.EventVerify {
		h.take(h.verifier.Ask(now, key, section, e))
		return h.results
	}
	switch {
	case e.Hook == config.EventRateLimit && h.Waiting() > maxWaiting:
	case h.config.Program[e.Hook] == "" && h.config.Directory == "":
		h.ended(section, e.Tunnel, e.Serial, e.Hook, false)
	default:
		h.run(section, e, hook.Request{Key: key, Directory: h.config.Directory, Timeout: h.config.Timeout})
	}
	return h.results
}

// run completes a request with the program that is configured for an effect's hook.
func (h *Hooks) run(section int, e *broker.Effect, r hook.Request) {
	r.Event, r.Tunnel, r.Program, r.Tag = e.Hook.String(), e.Tunnel, h.config.Program[e.Hook], uint64(e.Tunnel)<<8|uint64(e.Hook)
	r.Args, r.Env = e.HookFacts(h.name(section))
	h.Runner.Run(r)
}

// Done takes in which programs have ended.
func (h *Hooks) Done(now time.Duration) []Result {
	h.results = h.results[:0]
	done := h.Runner.Done()
	for i := range done {
		r := &done[i]
		event := config.Event(r.Tag)
		h.Counts.Add(r, event == config.EventVerify)
		switch {
		case event == config.EventVerify:
			h.take(h.verifier.Ended(now, r))
		case r.Key != 0:
			h.ended(int(r.Key&0xff), uint32(r.Tag>>8), r.Key>>8, event, r.Err != nil || r.Status != 0).Ran = r
		}
	}
	return h.results
}

// take carries out what the verifier decided.
func (h *Hooks) take(steps []gate.Step) {
	for i := range steps {
		st := &steps[i]
		e, section := &st.Effect, int(st.Key&0xff)
		switch {
		case h.name(section) == "": // it has gone, with its clients
		case st.Timeout > 0:
			// The directory's programs are run for every event, and one that does
			// not know this one may well fail: only the program that was
			// configured for it can refuse a client.
			h.run(section, e, hook.Request{Key: st.Key, Timeout: st.Timeout, Asks: true})
		default:
			if r := h.ended(section, e.Tunnel, e.Serial, e.Hook, st.Refused); st.Late {
				facts := e.Facts // which is the verifier's
				r.Late = &facts
			}
		}
	}
}

func (h *Hooks) ended(section int, tunnel uint32, serial uint64, event config.Event, failed bool) *Result {
	h.results = append(h.results, Result{
		Section: section, Event: broker.Event{Kind: broker.EventHookDone, Tunnel: tunnel, Serial: serial, Hook: event, Refused: failed},
	})
	return &h.results[len(h.results)-1]
}

// Key makes the serial number of a section's tunnel unique in the process, for the order of
// hooks. That of 0, a hook without a tunnel, is 0. A section's number is below 256.
func Key(section int, serial uint64) uint64 {
	if serial == 0 {
		return 0
	}
	return serial<<8 | uint64(section)
}
