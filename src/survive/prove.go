package survive

import (
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
)

const (
	proofTime = 10 * time.Second // that the new program has to show that it understands
	maxWords  = 4096             // bytes of what it says
)

// ProofOption is the option with which a program is asked to show that it
// understands the state on its standard input, and ProofWord begins its answer,
// which goes on with its version.
const (
	ProofOption = "--check-handoff"
	ProofWord   = "understood by "
)

// Trial is a program that is asked, beside the loop, to show that it can take over.
type Trial struct {
	Program string
	answer  chan proof
}

type proof struct {
	version string
	err     error
}

// Try begins to Ask. notify is called, from another goroutine, when there is an Answer.
func Try(program string, state []byte, notify func()) *Trial {
	t := &Trial{program, make(chan proof, 1)}
	go func() {
		version, err := Ask(program, state)
		t.answer <- proof{version, err}
		notify()
	}()
	return t
}

// Answer is what Ask gave, once; done is false as long as it is not there.
func (t *Trial) Answer() (version string, done bool, err error) {
	select {
	case p := <-t.answer:
		return p.version, true, p.err
	default:
		return "", false, nil
	}
}

// Ask has a program show that it runs and understands the state and the
// configuration, and gives its version. It takes its time, and may be called beside
// the loop.
func Ask(program string, state []byte) (version string, err error) {
	in, err := memory("tunneldigger-check", state)
	if err != nil {
		return "", err
	}
	defer unix.Close(in)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return "", phrase.Errorf("pipe: %w", err)
	}
	defer unix.Close(pipe[0])
	pid, err := syscall.ForkExec(program, append(append([]string{program}, os.Args[1:]...), ProofOption), &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{uintptr(in), uintptr(pipe[1]), uintptr(pipe[1])}, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	unix.Close(pipe[1])
	if err != nil {
		return "", phrase.Errorf("%s does not start: %w", program, err)
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
		return "", phrase.Errorf("wait for %s: %w", program, err)
	case late:
		return "", phrase.Errorf("%s gave no answer in %v", program, proofTime)
	case status.Signaled():
		return "", phrase.Errorf("%s crashes: %v\n%s", program, status.Signal(), words)
	case status.ExitStatus() != 0:
		return "", phrase.Errorf("%s can't take over, exit status %d: %s", program, status.ExitStatus(), words)
	}
	version, understood := strings.CutPrefix(words[strings.LastIndexByte(words, '\n')+1:], ProofWord)
	if !understood {
		return "", phrase.Errorf("%s does not know how to take over", program)
	}
	return version, nil
}
