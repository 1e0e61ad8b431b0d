package hook

import (
	"errors"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/clock"
	"tunneldigger/src/logline"
	"tunneldigger/src/phrase"
)

// job is a request that is being carried out, by one goroutine. Others look at it under the Runner's lock.
type job struct {
	req       *Request
	began     time.Duration
	known     bool     // which programs there are
	left      []string // that have not ended; the first is the one that runs
	p         *process // of that one, nil before it is started
	cancelled bool     // no more of them is to be started
	res       Result
}

func newJob(req *Request) *job {
	return &job{req: req, began: clock.Now(), res: Result{Tag: req.Tag, Key: req.Key, Event: req.Event}}
}

// carryOut runs the programs of a job, each whether or not the one before failed, and makes room for the next request.
func (r *Runner) carryOut(j *job) {
	if !j.known {
		left := r.programs(j.req)
		r.mu.Lock()
		j.left, j.known = left, true
		r.mu.Unlock()
	}
	about := r.log
	for _, fact := range j.req.Env {
		if name, of := strings.CutPrefix(fact, "BROKER="); of {
			about = about.With("broker", name)
		}
	}
	about = about.With("event", j.req.Event)
	if j.req.Tunnel != 0 {
		about = about.With("tunnel", j.req.Tunnel)
	}
	for len(j.left) > 0 {
		path := j.left[0]
		log := about.With("hook", path)
		status, err := r.run(j, path, log)
		r.mu.Lock()
		if j.p != nil {
			j.p.out.close()
		}
		if err != nil {
			if (!j.req.Asks || status <= 0) && !errors.Is(err, ErrCancelled) {
				if denied := j.p != nil && j.p.out.denied; denied || errors.Is(err, ErrRights) || errors.Is(err, unix.EPERM) {
					log.Error("hook failed", "error", err, "advice", rights())
				} else {
					log.Error("hook failed", "error", err)
				}
			}
			if j.res.Err == nil {
				j.res.Status, j.res.Err = status, phrase.Errorf("%s: %w", path, err)
			}
		}
		j.left, j.p = j.left[1:], nil
		r.mu.Unlock()
	}
	r.mu.Lock()
	j.res.Duration = clock.Now() - j.began
	r.finish(j.res)
	r.next(j)
	r.mu.Unlock()
	r.notify()
}

// run runs one program to its end, or to that of its time. One that another process of this program has started is only waited for.
func (r *Runner) run(j *job, path string, log *logline.Logger) (status int, err error) {
	p := j.p
	if p == nil {
		if p, err = r.spawn(j, path); err != nil {
			return -1, err
		}
	}
	read := make(chan struct{})
	go func() {
		p.out.read(log)
		close(read)
	}()
	if p.deadline != 0 {
		timer := time.AfterFunc(p.deadline-clock.Now(), func() { p.kill(ErrTimeout) })
		defer timer.Stop()
	}
	wait, err := p.wait()
	p.out.file.SetReadDeadline(time.Now().Add(linger))
	<-read
	return verdict(wait, err)
}

func verdict(wait unix.WaitStatus, err error) (int, error) {
	switch {
	case err != nil:
		return -1, err
	case wait.Signaled():
		return -1, phrase.Errorf("ended by signal: %s", wait.Signal())
	case wait.ExitStatus() != 0:
		return wait.ExitStatus(), phrase.Errorf("exit status %d", wait.ExitStatus())
	}
	return 0, nil
}
