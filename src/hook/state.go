package hook

import (
	"golang.org/x/sys/unix"

	"tunneldigger/src/clock"
	"tunneldigger/src/tlv"
)

// The fields of a Runner's state.
const (
	tagReady  tlv.Tag = iota + 1 // record of a Request, repeated, in order
	tagBehind                    // the same, those that wait for one of their Key
	tagJob                       // record of a job, repeated
	tagDone                      // record of a Result, repeated
)

// The fields of a job.
const (
	tagRequest tlv.Tag = iota + 1
	tagAge
	tagLeft // a path, repeated
	tagResult
	tagPID
	tagFD
	tagTimeLeft // until the program is killed, plus 1
	tagReaped
	tagStatus
	tagCause
	tagLine
	tagLines
	tagCut
	tagOpen
	tagDenied
)

// Freeze stops the books: nothing is started, nothing ends, no output is read until Thaw. Meanwhile only AppendState and Files may be
// called. Programs run on.
func (r *Runner) Freeze() {
	r.forking.Lock()
	r.mu.Lock()
	for j := range r.jobs {
		if j.p != nil {
			j.p.mu.Lock()
			j.p.out.mu.Lock()
		}
	}
}

// Thaw ends Freeze.
func (r *Runner) Thaw() {
	for j := range r.jobs {
		if j.p != nil {
			j.p.out.mu.Unlock()
			j.p.mu.Unlock()
		}
	}
	r.mu.Unlock()
	r.forking.Unlock()
}

// Files lists the descriptors that the state names: they must be open in the process that restores it, which has to have the same ID,
// since the programs are its children.
func (r *Runner) Files() (list []int) {
	for j := range r.jobs {
		if j.p != nil {
			list = append(list, j.p.out.fd)
		}
	}
	return list
}

// AppendState appends the frozen state: what runs, what waits, and what Done has not given yet.
func (r *Runner) AppendState(dst []byte) []byte {
	var mark int
	nested := func(tag tlv.Tag, fields func([]byte) []byte) {
		dst, mark = tlv.Begin(dst, tag)
		dst = tlv.End(fields(dst), mark)
	}
	for j := range r.jobs {
		if !j.known { // it has not begun
			nested(tagReady, j.req.append)
		}
	}
	for _, req := range r.ready {
		nested(tagReady, req.append)
	}
	for _, queue := range r.behind {
		for _, req := range queue {
			nested(tagBehind, req.append)
		}
	}
	for _, a := range r.arrived {
		nested(tagBehind, a.req.append)
	}
	for j := range r.jobs {
		if j.known {
			inner := j.append(nil)
			nested(tagJob, func(dst []byte) []byte { return append(dst, inner...) })
		}
	}
	for i := range r.done {
		nested(tagDone, r.done[i].append)
	}
	return dst
}

func (j *job) append(dst []byte) []byte {
	dst, mark := tlv.Begin(dst, tagRequest)
	dst = tlv.End(j.req.append(dst), mark)
	dst = tlv.AppendTime(dst, tagAge, clock.Now()-j.began)
	for _, path := range j.left {
		dst = tlv.AppendString(dst, tagLeft, path)
	}
	dst, mark = tlv.Begin(dst, tagResult)
	dst = tlv.End(j.res.append(dst), mark)
	if p := j.p; p != nil {
		dst = tlv.AppendUint(dst, tagPID, uint64(p.pid))
		dst = tlv.AppendUint(dst, tagFD, uint64(p.out.fd))
		if p.deadline != 0 {
			dst = tlv.AppendTime(dst, tagTimeLeft, max(0, p.deadline-clock.Now())+1)
		}
		dst = tlv.AppendBool(dst, tagReaped, p.reaped)
		dst = tlv.AppendUint(dst, tagStatus, uint64(p.status))
		dst = appendError(dst, tagCause, p.cause)
		dst = tlv.AppendBytes(dst, tagLine, p.out.line)
		dst = tlv.AppendUint(dst, tagLines, uint64(p.out.lines))
		dst = tlv.AppendBool(dst, tagCut, p.out.cut)
		dst = tlv.AppendBool(dst, tagOpen, p.out.open)
		dst = tlv.AppendBool(dst, tagDenied, p.out.denied)
	}
	return dst
}

// Restore takes in what AppendState wrote, in a Runner that has not run anything. The error is tlv.ErrMalformed, and then nothing was
// taken in. Resume has it go on.
func (r *Runner) Restore(state []byte) error {
	var ready, behind []*Request
	var jobs []*job
	var done []Result
	f := tlv.Read(state)
	for f.Next() {
		var err error
		switch f.Tag() {
		case tagReady, tagBehind:
			req := new(Request)
			if err = req.restore(f.Bytes()); f.Tag() == tagReady {
				ready = append(ready, req)
			} else {
				behind = append(behind, req)
			}
		case tagJob:
			var j *job
			j, err = restoreJob(f.Bytes())
			jobs = append(jobs, j)
		case tagDone:
			var res Result
			err = res.restore(f.Bytes())
			done = append(done, res)
		}
		if err != nil {
			return err
		}
	}
	if f.Err() != nil {
		return f.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, j := range jobs {
		r.jobs[j] = struct{}{}
		r.enqueue(j.req, nil)
	}
	for _, req := range ready {
		r.enqueue(req, &r.ready)
	}
	for _, req := range behind {
		r.enqueue(req, &r.ready)
	}
	r.done = append(r.done, done...)
	return nil
}

// enqueue gives a request of the state its place: behind those of its Key, or in the list.
func (r *Runner) enqueue(req *Request, list *[]*Request) {
	queue, busy := r.behind[req.Key]
	switch {
	case busy && req.Key != 0:
		r.behind[req.Key] = append(queue, req)
		r.blocked++
		return
	case req.Key != 0:
		r.behind[req.Key] = nil
	}
	if list != nil {
		*list = append(*list, req)
	}
}

// Resume goes on with what Restore took in.
func (r *Runner) Resume() {
	r.mu.Lock()
	for j := range r.jobs {
		if p := j.p; p != nil {
			p.out = p.out.revive(j.left[0])
		}
		go r.carryOut(j)
	}
	r.start()
	ended := len(r.done) > 0
	r.mu.Unlock()
	if ended {
		r.notify()
	}
}

// revive makes what was read from a state read its descriptor.
func (o *output) revive(name string) *output {
	unix.CloseOnExec(o.fd)
	alive := newOutput(o.fd, name)
	alive.line, alive.lines, alive.cut, alive.open, alive.denied = o.line, o.lines, o.cut, o.open, o.denied
	return alive
}

func restoreJob(record []byte) (*job, error) {
	var req Request
	j := &job{req: &req, known: true}
	p := &process{out: &output{fd: -1}}
	f := tlv.Read(record)
	for f.Next() {
		var err error
		switch f.Tag() {
		case tagRequest:
			err = req.restore(f.Bytes())
		case tagAge:
			j.began = clock.Now() - f.Time()
		case tagLeft:
			j.left = append(j.left, f.String())
		case tagResult:
			err = j.res.restore(f.Bytes())
		case tagPID:
			p.pid = int(f.Uint32())
		case tagFD:
			p.out.fd = int(f.Uint32())
		case tagTimeLeft:
			p.deadline = clock.Now() + f.Time()
		case tagReaped:
			p.reaped = f.Bool()
		case tagStatus:
			p.status = unix.WaitStatus(f.Uint32())
		case tagCause:
			p.cause, err = restoreError(f.Bytes())
		case tagLine:
			p.out.line = append([]byte(nil), f.Bytes()...)
		case tagLines:
			p.out.lines = int(f.Uint32())
		case tagCut:
			p.out.cut = f.Bool()
		case tagOpen:
			p.out.open = f.Bool()
		case tagDenied:
			p.out.denied = f.Bool()
		}
		if err != nil {
			return nil, err
		}
	}
	if p.pid != 0 {
		j.p = p
	}
	if f.Err() == nil && j.p != nil && (len(j.left) == 0 || p.out.fd < 3 || p.pid < 2) {
		return nil, tlv.ErrMalformed
	}
	return j, f.Err()
}
