package daemon

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/control"
)

const (
	proofTime = 10 * time.Second // that the new program has to show that it understands
	maxWords  = 4096             // bytes of what it says
)

// ProofOption is the option with which the new program is asked for that, and
// ProofWord begins its answer, which goes on with its version.
const (
	ProofOption = "--check-handoff"
	ProofWord   = "understood by "
)

// upgrade is one that is under way.
type upgrade struct {
	caller  *control.Conn // nil: a signal asked for it
	program string
	result  chan proof
}

// proof is what came of asking the new program.
type proof struct {
	version string
	err     error
}

func (d *Daemon) commandUpgrade(c *control.Conn, args []string) {
	if len(args) > 0 {
		c.Finish("", errors.New("upgrade takes no words"))
		return
	}
	if err := d.upgrade(c); err != nil {
		c.Finish("", err)
	}
}

// upgrade begins to replace this program by the one that is installed now. The
// caller is answered later, unless there is an error.
func (d *Daemon) upgrade(c *control.Conn) error {
	switch {
	case d.stopBy != 0:
		return errStopping
	case d.upgrading != nil:
		return errors.New("an upgrade is under way already")
	}
	program, err := installed()
	if err != nil {
		return err
	}
	if err := d.lists.OnDisk(); err != nil {
		return err
	}
	d.upgrading = &upgrade{caller: c, program: program, result: make(chan proof, 1)}
	d.hooks.Freeze()
	state := d.appendState(nil, -1)
	d.hooks.Thaw()
	go func(u *upgrade) {
		version, err := prove(u.program, state)
		u.result <- proof{version, err}
		d.wake.Notify()
	}(d.upgrading)
	return nil
}

// installed is the path of the program that takes over: where this one was
// started from, which may have another file by now.
func installed() (string, error) {
	if filepath.IsAbs(os.Args[0]) {
		return os.Args[0], nil
	}
	return os.Executable() // without " (deleted)"
}

// collectUpgrade goes on when the new program has answered.
func (d *Daemon) collectUpgrade() {
	u := d.upgrading
	if u == nil {
		return
	}
	var p proof
	select {
	case p = <-u.result:
	default:
		return
	}
	d.upgrading = nil
	err := p.err
	if err == nil && d.stopBy != 0 {
		err = errStopping
	}
	if err == nil {
		d.log.Info("upgrading", "from", d.version, "to", p.version, "program", u.program)
		err = d.replace(u)
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		d.log.Error("not upgraded, this program goes on", "program", u.program, "error", line)
	}
	if u.caller != nil {
		u.caller.Finish("", fmt.Errorf("not upgraded, %s goes on: %w", d.version, err))
	}
}

// replace puts the new program into the place of this one: it comes back only
// when that fails.
func (d *Daemon) replace(u *upgrade) error {
	for first := true; first || len(d.creates) > 0 || d.verifier.Waiting() > 0; first = false {
		d.admit(d.verifier.AskAll(d.now))
		d.settle()
		d.createAll()
	}
	d.unstore()
	d.flush()
	d.hooks.Freeze()
	defer d.hooks.Thaw()
	fds := d.descriptors()
	caller := -1
	if u.caller != nil {
		if caller = u.caller.FD(); caller >= 0 {
			fds = append(fds, caller)
		}
	}
	fd, err := memory("tunneldigger", d.appendState(nil, caller))
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	fds = append(fds, fd)
	for _, fd := range fds {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	}
	// Until the new program takes them, these signals must not end it. That one
	// of them is lost does not hurt: it reads the configuration anyway. A TERM
	// keeps its meaning.
	signal.Ignore(unix.SIGHUP, unix.SIGUSR2)
	err = syscall.Exec(u.program, os.Args, append(os.Environ(), stateEnv+"="+strconv.Itoa(fd)))
	if d.incoming != nil {
		signal.Notify(d.incoming, unix.SIGHUP, unix.SIGUSR2)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	return fmt.Errorf("exec: %w", err)
}

// memory makes a file in memory that is closed on exec.
func memory(name string, content []byte) (fd int, err error) {
	fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("memfd_create: %w", err)
	}
	for n := 0; n < len(content) && err == nil; {
		var m int
		m, err = unix.Pwrite(fd, content[n:], int64(n))
		n += m
		if err == unix.EINTR {
			err = nil
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("write the state: %w", err)
	}
	return fd, nil
}

// prove has the new program show that it runs and understands the state and the
// configuration, and gives its version. It takes its time.
func prove(program string, state []byte) (version string, err error) {
	in, err := memory("tunneldigger-check", state)
	if err != nil {
		return "", err
	}
	defer unix.Close(in)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return "", fmt.Errorf("pipe: %w", err)
	}
	defer unix.Close(pipe[0])
	pid, err := syscall.ForkExec(program, append(append([]string{program}, os.Args[1:]...), ProofOption), &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{uintptr(in), uintptr(pipe[1]), uintptr(pipe[1])}, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	unix.Close(pipe[1])
	if err != nil {
		return "", fmt.Errorf("%s does not start: %w", program, err)
	}
	timer := time.AfterFunc(proofTime, func() { _ = unix.Kill(-pid, unix.SIGKILL) })
	var status unix.WaitStatus
	_, err = unix.Wait4(pid, &status, 0, nil)
	for err == unix.EINTR {
		_, err = unix.Wait4(pid, &status, 0, nil)
	}
	late := !timer.Stop()
	buffer := make([]byte, maxWords)
	n, _ := unix.Read(pipe[0], buffer)
	words := strings.TrimSpace(string(buffer[:max(n, 0)]))
	switch {
	case err != nil:
		return "", fmt.Errorf("wait for %s: %w", program, err)
	case late:
		return "", fmt.Errorf("%s gave no answer in %v", program, proofTime)
	case status.Signaled():
		return "", fmt.Errorf("%s crashes: %v\n%s", program, status.Signal(), words)
	case status.ExitStatus() != 0:
		return "", fmt.Errorf("%s can't take over, exit status %d: %s", program, status.ExitStatus(), words)
	}
	version, understood := after(words, ProofWord)
	if !understood {
		return "", fmt.Errorf("%s does not know how to take over", program)
	}
	return version, nil
}

// after gives what stands behind a word in the last line.
func after(text, word string) (string, bool) {
	last := text[strings.LastIndexByte(text, '\n')+1:]
	return strings.CutPrefix(last, word)
}
