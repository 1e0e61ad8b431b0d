// Package hook runs the operator's programs: those of one tunnel one after another and in the order of its events, those of
// different tunnels side by side, each in a process group of its own that is killed on time-out, its output in the log.
// Nothing here holds up the caller.
package hook

import (
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"tunneldigger/src/logline"
)

// MaxWaiting is how many requests may wait. What exceeds it ends at once with ErrFull, so that a hook that hangs cannot fill the
// memory.
const MaxWaiting = 8192

// Errors of a Result, besides those that name a program.
var (
	ErrFull    = errors.New("too many hooks are waiting")
	ErrKilled  = errors.New("killed, the broker stops")
	ErrTimeout = errors.New("killed, it ran longer than its time-out")

	ErrCancelled = errors.New("killed, nobody waits for it any more")
)

// Request is one event: Program, unless it is empty, and then every program of Directory, unless that is empty, each with the
// same arguments and environment.
type Request struct {
	Key       uint64 // requests with the same Key run one after another, in the order of Run; 0: no order
	Event     string // for the log, like session.up
	Tunnel    uint32 // for the log, 0: none
	Program   string // path; not searched in PATH
	Directory string
	Args      []string      // without the program's name
	Env       []string      // NAME=value, added to the broker's environment
	Timeout   time.Duration // of each program, not of all together; 0 or less: none
	Tag       uint64        // comes back in the Result
	Asks      bool          // an exit status above 0 is an answer, and no failure to be logged
}

// Result is how a Request ended.
type Result struct {
	Tag      uint64
	Key      uint64
	Event    string
	Status   int           // the first exit status that was not 0; -1 when a program did not start or was killed
	Err      error         // the first failure, nil when Status is 0
	Duration time.Duration // from the start of the first program, without the time in the queue
}

// Counts count runs of hooks; all the programs of one Request are one run.
type Counts struct {
	Ended  uint64 // those that failed included
	Failed uint64 // with another status than 0, killed, or not to be started
}

// Add takes in how a Request ended; asks is whether a status above 0 is an answer.
func (c *Counts) Add(r *Result, asks bool) {
	if r.Err == nil && r.Duration == 0 { // there was nothing to run
		return
	}
	c.Ended++
	if r.Status < 0 || r.Status > 0 && !asks {
		c.Failed++
	}
}

// Runner runs requests. Its methods may be called from any goroutine.
type Runner struct {
	log         *logline.Logger
	notify      func()
	environment []string // of every hook

	forking  sync.RWMutex // held for reading while a program is being started, and before mu
	starting sync.Mutex   // one program at a time
	mu       sync.Mutex
	limit    int
	arrived  []arrival             // in whose folders nobody has looked yet, in the order of Run
	number   uint64                // of the last one
	looking  bool                  // somebody is about to
	ready    []*Request            // may run, as soon as there is room; first in, first out
	behind   map[uint64][]*Request // by key: one of the key is running or ready, these come after it
	blocked  int                   // requests in behind
	jobs     map[*job]struct{}     // that are being carried out
	killed   bool
	done     []Result
	warned   map[string]bool // files that cannot run and were mentioned
}

// New returns a Runner of at most limit requests (so programs) at once. Notify is called, from any goroutine, when there is something
// for Done; it must not block.
func New(limit int, log *logline.Logger, notify func()) *Runner {
	return &Runner{
		limit: max(limit, 1), log: log, notify: notify, environment: inherit(os.Environ()),
		behind: make(map[uint64][]*Request), jobs: make(map[*job]struct{}), warned: make(map[string]bool),
	}
}

// SetLimit says how many requests may be carried out at once from now on, 0: none. Those that are more than that run on.
func (r *Runner) SetLimit(limit int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit = limit
	r.start()
}

// Done returns the results since the last call, in the order in which they ended.
func (r *Runner) Done() []Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	done := r.done
	r.done = nil
	return done
}

// Running is how many requests are being carried out.
func (r *Runner) Running() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.jobs)
}

// Waiting is how many requests have not been started.
func (r *Runner) Waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.arrived) + len(r.ready) + r.blocked
}

// Idle reports whether nothing runs, waits, or is left for Done.
func (r *Runner) Idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.jobs) == 0 && len(r.arrived) == 0 && len(r.ready) == 0 && r.blocked == 0 && len(r.done) == 0
}

// Kill ends everything now, for good: running programs are killed with their process groups, waiting and later requests end with
// ErrKilled. The results of running ones follow as the kernel reaps them.
func (r *Runner) Kill() {
	r.mu.Lock()
	r.killed = true
	waiting := r.ready
	for _, queue := range r.behind {
		waiting = append(waiting, queue...)
	}
	for _, a := range r.arrived {
		waiting = append(waiting, a.req)
	}
	r.arrived, r.ready, r.blocked = nil, nil, 0
	clear(r.behind)
	for _, req := range waiting {
		r.finish(Result{Tag: req.Tag, Key: req.Key, Event: req.Event, Status: -1, Err: ErrKilled})
	}
	for j := range r.jobs {
		if j.p != nil {
			j.p.kill(ErrKilled)
		}
	}
	r.mu.Unlock()
	if len(waiting) > 0 {
		r.notify()
	}
}

// Cancel ends the requests of a Key, which is not 0: a running program is killed with its process group, those that wait are dropped.
// All end with ErrCancelled, and what was killed is no failure to be logged.
func (r *Runner) Cancel(key uint64) {
	r.mu.Lock()
	dropped := r.behind[key]
	r.blocked -= len(dropped)
	if dropped != nil {
		r.behind[key] = nil
	}
	for i, req := range r.ready {
		if req.Key == key {
			dropped = append([]*Request{req}, dropped...)
			r.ready = slices.Delete(r.ready, i, i+1)
			delete(r.behind, key)
			break // the others of a Key are behind it
		}
	}
	r.arrived = slices.DeleteFunc(r.arrived, func(a arrival) bool {
		if a.req.Key == key {
			dropped = append(dropped, a.req)
		}
		return a.req.Key == key
	})
	for _, req := range dropped {
		r.finish(Result{Tag: req.Tag, Key: req.Key, Event: req.Event, Status: -1, Err: ErrCancelled})
	}
	for j := range r.jobs {
		if j.req.Key == key {
			j.cancelled = true
			if j.p != nil {
				j.p.kill(ErrCancelled)
			}
		}
	}
	r.mu.Unlock()
	if len(dropped) > 0 {
		r.notify()
	}
}
