package hook

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/clock"
	"tunneldigger/src/files"
	"tunneldigger/src/phrase"
	"tunneldigger/src/privilege"
)

// linger is how long output is still read after a hook has exited: a process it left behind may keep the pipe open for ever.
const linger = 100 * time.Millisecond

// programs lists what a request runs, in order.
func (r *Runner) programs(req *Request) []string {
	var list []string
	if req.Program != "" {
		list = append(list, req.Program)
	}
	if req.Directory == "" {
		return list
	}
	paths, err := within(req.Directory)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			r.warnOnce(req.Directory, "the hook directory cannot be read", err.Error())
		}
		return list
	}
	for _, path := range paths {
		info, err := files.Stat(path) // follows links
		if err != nil {
			continue
		}
		if info.Permissions()&0o111 == 0 {
			r.warnOnce(path, "a file in the hook directory is not executable and does not run", "chmod +x it, or remove it")
			continue
		}
		list = append(list, path)
	}
	return list
}

// within lists the files of a hook directory that are meant to be programs, in lexical order.
func within(directory string) (paths []string, err error) {
	names, err := sorted(directory)
	for _, name := range names {
		if strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".md") || strings.HasPrefix(name, "README") {
			continue
		}
		path := filepath.Join(directory, name)
		if info, err := files.Stat(path); err == nil && info.IsFile() {
			paths = append(paths, path)
		}
	}
	return paths, err
}

// sorted lists a directory in lexical order.
func sorted(directory string) ([]string, error) {
	names, err := files.Names(directory)
	slices.Sort(names)
	return names, err
}

// warnOnce mentions a path once, and at most so many of them.
func (r *Runner) warnOnce(path, what, why string) {
	r.mu.Lock()
	again := r.warned[path] || len(r.warned) >= 100
	if !again {
		r.warned[path] = true
	}
	r.mu.Unlock()
	if !again {
		r.log.Warn(what, "path", path, "reason", why)
	}
}

var errStart = errors.New("cannot be started")

// spawn starts a program in a process group of its own, unless everything has been killed, and makes it the job's.
func (r *Runner) spawn(j *job, path string) (*process, error) {
	r.forking.RLock()
	defer r.forking.RUnlock()
	if err := r.unwanted(j); err != nil {
		return nil, err
	}
	pid, pipe, err := r.fork(j.req, path)
	if err != nil {
		return nil, err
	}
	p := &process{pid: pid, out: newOutput(pipe, path)}
	if j.req.Timeout > 0 {
		p.deadline = clock.Now() + j.req.Timeout
	}
	r.mu.Lock()
	j.p = p
	r.mu.Unlock()
	if err := r.unwanted(j); err != nil {
		p.kill(err)
	}
	return p, nil
}

// unwanted says why a program of a job is not to run, if so.
func (r *Runner) unwanted(j *job) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.killed:
		return ErrKilled
	case j.cancelled:
		return ErrCancelled
	}
	return nil
}

// fork starts a program and gives the reading end of its output.
func (r *Runner) fork(req *Request, path string) (pid, output int, err error) {
	// One after the other, as the system does it anyway: so these descriptors are there once, however many programs begin.
	r.starting.Lock()
	defer r.starting.Unlock()
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, 0, phrase.Errorf("%w: open %s: %w", errStart, os.DevNull, err)
	}
	defer unix.Close(null)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return 0, 0, phrase.Errorf("%w: pipe: %w", errStart, err)
	}
	defer unix.Close(pipe[1])
	attr := &syscall.ProcAttr{
		Env:   append(r.environment[:len(r.environment):len(r.environment)], req.Env...),
		Files: []uintptr{uintptr(null), uintptr(pipe[1]), uintptr(pipe[1])},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	}
	pid, err = syscall.ForkExec(path, append([]string{path}, req.Args...), attr)
	if err != nil {
		fault := Examine(path)
		if errors.Is(fault, ErrRights) && privilege.Regains() {
			// The broker gave root's power over files up, and the kernel looks for the program with what the broker has. A shell of root's
			// has all of it again.
			words := append([]string{"sh", "-c", `exec "$0" "$@"`, path}, req.Args...)
			pid, err = syscall.ForkExec("/bin/sh", words, attr)
		}
		if err != nil {
			unix.Close(pipe[0])
			return 0, 0, explain(err, fault)
		}
	}
	return pid, pipe[0], nil
}

// explain says why a program did not start and what to do. A fault is what Examine found.
func explain(err, fault error) error {
	switch {
	case err == unix.ETXTBSY:
		return phrase.Errorf("%w: %w: it is being written; put a new program into place by renaming it", errStart, err)
	case fault != nil:
		return phrase.Errorf("%w: %w: %w", errStart, err, fault)
	}
	return phrase.Errorf("%w: %w", errStart, err)
}

// process is one started program and its process group, which has the same number.
type process struct {
	_        [0]func() // not to be compared: that would be code for nothing
	pid      int
	deadline time.Duration // by clock.Now; 0: none
	out      *output

	mu     sync.Mutex
	reaped bool
	status unix.WaitStatus // once it is reaped
	cause  error           // why it was killed
}

// kill kills the group, unless its leader has been reaped: then the number may be someone else's.
func (p *process) kill(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped && p.cause == nil {
		p.cause = cause
		unix.Kill(-p.pid, unix.SIGKILL)
	}
}

// wait waits for the program to end and reaps it. The error is why it was killed.
func (p *process) wait() (unix.WaitStatus, error) {
	if !p.reaped {
		p.await() // first without reaping, so that kill never sees the number of a process that is gone
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		p.reaped = true
		_, err := unix.Wait4(p.pid, &p.status, 0, nil)
		for err == unix.EINTR {
			_, err = unix.Wait4(p.pid, &p.status, 0, nil)
		}
		if err != nil {
			return 0, phrase.Errorf("wait: %w", err)
		}
	}
	if p.status.Signaled() {
		return p.status, p.cause
	}
	return p.status, nil
}

// await returns when the program has ended. A descriptor of the process lets the runtime wait for all programs at once; a system call
// that waits would take a thread for each, with its stacks.
func (p *process) await() {
	if fd, err := unix.PidfdOpen(p.pid, unix.PIDFD_NONBLOCK); err == nil {
		file := os.NewFile(uintptr(fd), "pidfd")
		defer file.Close()
		if conn, err := file.SyscallConn(); err == nil && conn.Read(func(uintptr) bool { return p.ended() }) == nil {
			return
		}
	}
	for unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

// ended reports whether the program has ended and may be reaped.
func (p *process) ended() bool {
	var info unix.Siginfo // its number stays 0 while the program runs
	err := unix.Waitid(unix.P_PID, p.pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
	return err != unix.EINTR && (err != nil || info.Signo != 0)
}
