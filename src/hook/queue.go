package hook

// maxArrived is how many requests may wait for somebody to look into their folders: several for each tunnel that there can be.
const maxArrived = 1 << 18

// arrival is a request in whose folder nobody has looked yet.
type arrival struct {
	req    *Request
	number uint64
}

// Run queues a request and returns at once; its Result comes with Done. A request for which there is no program takes its turn
// behind its Key, but takes no place from others. The slices belong to the Runner from now on.
func (r *Runner) Run(req Request) {
	r.mu.Lock()
	before := len(r.done)
	switch {
	case r.killed:
		r.finish(Result{Tag: req.Tag, Key: req.Key, Event: req.Event, Status: -1, Err: ErrKilled})
	case req.Directory == "" && len(r.arrived) == 0:
		r.admit(&req, req.Program == "")
	case len(r.arrived) >= maxArrived:
		r.finish(Result{Tag: req.Tag, Key: req.Key, Event: req.Event, Status: -1, Err: ErrFull})
	default:
		r.number++
		r.arrived = append(r.arrived, arrival{&req, r.number})
		r.look()
	}
	ended := len(r.done) > before
	r.mu.Unlock()
	if ended {
		r.notify()
	}
}

// look has somebody look into the folders of those that have arrived; the lock is held.
func (r *Runner) look() {
	if !r.looking && len(r.arrived) > 0 {
		r.looking = true
		go r.lookAll()
	}
}

// lookAll has all that arrive take their places, in their order, until none is left. What has arrived in the meantime shares one look into
// its folder. It is not for the caller of Run to do, as a file system may take its time.
func (r *Runner) lookAll() {
	for {
		r.mu.Lock()
		last := r.number
		folders := make(map[string]bool) // whether there is nothing to run
		for _, a := range r.arrived {
			if a.req.Directory != "" {
				folders[a.req.Directory] = true
			}
		}
		if len(r.arrived) == 0 {
			r.looking = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		for folder := range folders {
			folders[folder] = len(r.programs(&Request{Directory: folder})) == 0
		}
		r.mu.Lock()
		before := len(r.done)
		n := 0
		for ; n < len(r.arrived) && r.arrived[n].number <= last; n++ {
			req := r.arrived[n].req
			r.admit(req, req.Program == "" && (req.Directory == "" || folders[req.Directory]))
		}
		clear(r.arrived[:n])
		if r.arrived = r.arrived[n:]; len(r.arrived) == 0 {
			r.arrived = nil
		}
		ended := len(r.done) > before
		r.mu.Unlock()
		if ended {
			r.notify()
		}
	}
}

// admit gives a request its place, or ends it when it has nothing to run and nobody to wait for; the lock is held.
func (r *Runner) admit(req *Request, empty bool) {
	queue, busy := r.behind[req.Key]
	busy = busy && req.Key != 0
	switch {
	case empty && !busy:
		r.finish(Result{Tag: req.Tag, Key: req.Key, Event: req.Event})
	case len(r.ready)+r.blocked >= MaxWaiting:
		r.finish(Result{Tag: req.Tag, Key: req.Key, Event: req.Event, Status: -1, Err: ErrFull})
	case busy:
		r.behind[req.Key] = append(queue, req)
		r.blocked++
	default:
		if req.Key != 0 {
			r.behind[req.Key] = nil
		}
		r.ready = append(r.ready, req)
		r.start()
	}
}

// finish records a result; the lock is held.
func (r *Runner) finish(res Result) { r.done = append(r.done, res) }

// start starts what there is room for; the lock is held.
func (r *Runner) start() {
	for len(r.jobs) < r.limit && len(r.ready) > 0 {
		j := newJob(r.ready[0])
		r.ready[0] = nil
		r.ready = r.ready[1:]
		r.jobs[j] = struct{}{}
		go r.carryOut(j)
	}
}

// next makes room for the request behind j, which has ended; the lock is held.
func (r *Runner) next(j *job) {
	delete(r.jobs, j)
	key := j.req.Key
	if queue, ok := r.behind[key]; ok && key != 0 {
		if len(queue) == 0 {
			delete(r.behind, key)
		} else {
			r.ready = append(r.ready, queue[0])
			r.behind[key] = queue[1:]
			r.blocked--
		}
	}
	r.start()
}
