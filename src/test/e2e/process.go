//go:build vm || native

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a program that runs on a host, its output kept.
type Process struct {
	name  string
	cmd   *exec.Cmd
	world *World
	ended chan struct{} // closed when the program has ended and its output is in

	mu      sync.Mutex
	output  bytes.Buffer
	written chan struct{} // closed, and replaced, whenever output grows
}

// Start starts a program on the host. The name is for messages.
func (h *Host) Start(name string, argv ...string) *Process {
	h.World.T.Helper()
	p := &Process{name: name, world: h.World, ended: make(chan struct{}), written: make(chan struct{})}
	p.cmd = exec.Command("ip", append([]string{"netns", "exec", h.Name}, argv...)...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.WaitDelay = time.Second // a child of the program may hold its output open
	if err := p.cmd.Start(); err != nil {
		h.World.T.Fatalf("start %s: %v", name, err)
	}
	go func() { _ = p.cmd.Wait(); close(p.ended) }()
	h.World.processes = append(h.World.processes, p)
	// The process is ip until it becomes the program: nobody shall measure it, or send it a signal, before.
	h.World.Wait(soon, "start of "+name, func() bool {
		program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.PID()))
		return p.Ended() || err == nil && filepath.Base(program) != "ip"
	})
	return p
}

// Write takes the program's output.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.output.Write(b)
	close(p.written)
	p.written = make(chan struct{})
	return len(b), nil
}

// Log is what the program has printed so far, standard output and standard error.
func (p *Process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// tail is the last part of the log, short enough to be read in a test's output.
func (p *Process) tail() string {
	const most = 32 << 10
	text := p.Log()
	if len(text) > most {
		text = "…" + text[len(text)-most:]
	}
	return text
}

// WaitLog waits for a line that contains text, from the program's start on, and returns the first such line. It ends
// the test at the limit, or at once when the program ends without having printed one.
func (p *Process) WaitLog(text string, limit time.Duration) string {
	p.world.T.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for over := false; ; {
		p.mu.Lock()
		log, written := p.output.String(), p.written
		p.mu.Unlock()
		for _, line := range strings.SplitAfter(log, "\n") {
			if strings.HasSuffix(line, "\n") && strings.Contains(line, text) {
				return strings.TrimSuffix(line, "\n")
			}
		}
		if over {
			p.world.T.Fatalf("%s (%s) did not print %q within %v", p.name, p.state(), text, limit)
		}
		select {
		case <-written:
		case <-p.ended: // once more: the last line may have come with the end
			over = true
		case <-timer.C:
			over = true
		}
	}
}

// PID is the program's process ID.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended reports whether the program has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *Process) state() string {
	if p.Ended() {
		return p.cmd.ProcessState.String()
	}
	return fmt.Sprintf("running, process %d", p.PID())
}

// Wait waits until the program has ended and returns its exit status, or minus the signal that ended it.
func (p *Process) Wait(limit time.Duration) int {
	p.world.T.Helper()
	select {
	case <-p.ended:
	case <-time.After(limit):
		p.world.T.Fatalf("%s did not end within %v", p.name, limit)
	}
	if status := p.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return -int(status.Signal())
	}
	return p.cmd.ProcessState.ExitCode()
}

// Signal sends a signal; a program that has ended is a failure of the test.
func (p *Process) Signal(signal os.Signal) {
	p.world.T.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.world.T.Fatalf("%s to %s (%s): %v", signal, p.name, p.state(), err)
	}
}

// Stop sends TERM, waits, and returns the exit status.
func (p *Process) Stop(limit time.Duration) int {
	p.world.T.Helper()
	p.Signal(syscall.SIGTERM)
	return p.Wait(limit)
}

// Kill sends KILL and waits.
func (p *Process) Kill() {
	p.world.T.Helper()
	p.Signal(syscall.SIGKILL)
	p.Wait(soon)
}

// end kills what still runs, at the end of the test.
func (p *Process) end() {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.world.T.Errorf("kill %s: %v", p.name, err)
	}
	select {
	case <-p.ended:
	case <-time.After(soon):
		p.world.T.Errorf("%s is not to be killed", p.name)
	}
}
