package control

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// rig is a Server whose loop runs while a caller, in a goroutine, asks.
type rig struct {
	*testing.T
	*Server
	path string
	now  time.Duration
	asks []*Conn // handled by nobody yet
	ends int     // of streams
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, path: filepath.Join(t.TempDir(), "socket")}
	var err error
	r.Server, err = New(func(c *Conn, words []string) {
		switch words[0] {
		case "echo":
			c.Finish(strings.Join(words[1:], " ")+"\n", nil)
		case "fail":
			c.Finish("", errors.New("no\nand no"))
		case "stream":
			n := 0
			c.Stream(func(dst []byte) ([]byte, bool) {
				n++
				return append(dst, strings.Repeat(string(rune('a'+n%26)), 10000)...), n < 100*len(words)*len(words)
			}, func() { r.ends++ })
		case "wait":
			r.asks = append(r.asks, c)
		}
	})
	if err == nil {
		err = r.Listen(r.path)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// until runs the loop until done holds.
func (r *rig) until(what string, done func() bool) {
	r.Helper()
	for end := time.Now().Add(2 * time.Minute); !done(); {
		if time.Now().After(end) {
			r.Fatal("never: " + what)
		}
		poll := []unix.PollFd{{Fd: int32(r.FD()), Events: unix.POLLIN}}
		_, _ = unix.Poll(poll, 10)
		r.Ready()
		r.Tick(r.now)
	}
}

// call asks and runs the loop until the answer is there.
func (r *rig) call(words ...string) (string, error) {
	r.Helper()
	type result struct {
		body []byte
		err  error
	}
	ended := make(chan result, 1)
	go func() {
		body, err := Call(r.path, 2*time.Minute, words...)
		ended <- result{body, err}
	}()
	var got *result
	r.until("an answer to "+words[0], func() bool {
		select {
		case g := <-ended:
			got = &g
		default:
		}
		return got != nil
	})
	return string(got.body), got.err
}

// dial connects without a word; -1: nobody is let in.
func (r *rig) dial() int {
	r.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { unix.Close(fd) })
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: r.path}); err != nil {
		return -1
	}
	return fd
}

func TestAnswers(t *testing.T) {
	r := newRig(t)
	if got, err := r.call("echo", "a", "b"); got != "a b\n" || err != nil {
		t.Errorf("echo: %q %v", got, err)
	}
	if got, err := r.call("fail"); got != "" || err == nil || err.Error() != "no\nand no" || !errors.As(err, new(Refusal)) {
		t.Errorf("fail: %q %v", got, err)
	}
	if got, err := r.call("stream"); len(got) != 100*10000 || err != nil || got[0] != 'b' || r.ends != 1 {
		t.Errorf("stream: %d bytes %v, ended %d times", len(got), err, r.ends)
	}
	if _, err := r.call("echo", strings.Repeat("x", MaxRequest)); err == nil || !strings.Contains(err.Error(), "longer than 1024") {
		t.Errorf("a long request: %v", err)
	}
	if _, err := Call(r.path, time.Second, "echo", "a b"); err == nil {
		t.Error("a blank in a word was sent")
	}
	if st, err := os.Stat(r.path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", st.Mode(), err)
	}
	if len(r.callers) != 0 {
		t.Errorf("%d callers are left", len(r.callers))
	}
}

func TestLateAnswer(t *testing.T) {
	r := newRig(t)
	fd := r.dial()
	fmt.Fprint(file(fd), "wait\n")
	r.until("a request", func() bool { return len(r.asks) == 1 })
	r.now += time.Hour // nobody is dropped while its answer is worked on
	r.Tick(r.now)
	if due, ok := r.Due(); ok {
		t.Errorf("due at %v", due)
	}
	// Another process takes the caller over.
	handed, err := unix.Dup(r.asks[0].FD())
	if err != nil {
		t.Fatal(err)
	}
	next, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	r.asks[0].close()
	r.asks[0].Finish("nobody hears this", nil)
	next.Adopt(handed).Finish("done\n", nil)
	if got, err := readAll(fd); string(got) != "ok\ndone\n" || err != nil {
		t.Errorf("got %q %v", got, err)
	}
	if r.asks[0].FD() != -1 || len(next.callers) != 0 {
		t.Error("a caller is left")
	}
}

// file writes to a descriptor without owning it.
type file int

func (f file) Write(b []byte) (int, error) { return unix.Write(int(f), b) }

func TestCallersAreFewAndPatienceEnds(t *testing.T) {
	r := newRig(t)
	var idle []int
	for range 1000 {
		if fd := r.dial(); fd >= 0 {
			idle = append(idle, fd)
		}
	}
	r.until("a full house", func() bool { return len(r.callers) == MaxCallers })
	if len(idle) > MaxCallers+backlog+1 {
		t.Errorf("%d callers were let in", len(idle))
	}
	if ready := pollIn(r.FD()); ready {
		t.Error("those who wait keep the loop busy")
	}
	// One that reads nothing holds up nobody, and one piece of memory.
	fmt.Fprint(file(idle[0]), "stream\n")
	for range 1000 {
		r.Ready()
	}
	if c := r.callers; len(c) != MaxCallers {
		t.Errorf("%d callers", len(c))
	}
	for _, c := range r.callers {
		if len(c.out) > 10010 {
			t.Errorf("%d bytes wait for a caller that does not read", len(c.out))
		}
	}
	r.now += patience / 2
	r.Tick(r.now)
	if len(r.callers) != MaxCallers {
		t.Error("dropped too early")
	}
	// All of them in turn are dropped, and then there is room for one who speaks.
	for range len(idle)/MaxCallers + 2 {
		r.now += patience
		for range 2 * MaxCallers {
			r.Ready()
			r.Tick(r.now)
		}
	}
	if got, err := r.call("echo", "hello"); got != "hello\n" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if r.ends != 1 {
		t.Errorf("the stream of one who left ended %d times", r.ends)
	}
}

// Who reads little by little is not waited for without end.
func TestTrickle(t *testing.T) {
	r := newRig(t)
	fd := r.dial()
	fmt.Fprint(file(fd), "stream very much\n")
	var buffer [1]byte
	for step := range 20 {
		for range 1000 {
			r.Ready()
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
		for range 70000 { // so much that there is progress
			_, _ = unix.Read(fd, buffer[:])
		}
		for range 10 {
			r.Ready()
		}
		r.Tick(r.now)
		r.now += patience / 2
		r.Tick(r.now)
		if len(r.callers) == 0 {
			if step < 8 {
				t.Errorf("dropped after %v", r.now)
			}
			return
		}
	}
	t.Errorf("still served after %v", r.now)
}

func pollIn(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, _ := unix.Poll(fds, 0)
	return n > 0
}

func TestGarbage(t *testing.T) {
	r := newRig(t)
	for _, request := range []string{"\n", "\x00\xff\n", "   \n", strings.Repeat("\x80", MaxRequest), strings.Repeat("a", 100000), "nothing of this kind\nstatus\n"} {
		fd := r.dial()
		_, _ = unix.Write(fd, []byte(request))
		_ = unix.Shutdown(fd, unix.SHUT_WR)
		for range 10 {
			r.Ready()
		}
		unix.Shutdown(fd, unix.SHUT_RDWR)
		r.until("gone", func() bool { return len(r.callers) == 0 })
	}
}

func TestSocketFile(t *testing.T) {
	r := newRig(t)
	other, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Listen(r.path); !errors.Is(err, ErrAlive) {
		t.Errorf("a living broker's socket: %v", err)
	}
	// One that was killed leaves its file.
	unix.Close(r.listener)
	r.listener = -1
	if _, err := Call(r.path, time.Second, "echo"); !errors.Is(err, ErrNoBroker) {
		t.Errorf("nobody there: %v", err)
	}
	if err := other.Listen(r.path); err != nil {
		t.Errorf("a dead broker's socket: %v", err)
	}
	r.file.remove()
	if _, err := os.Lstat(r.path); err != nil {
		t.Errorf("the old broker took the new one's socket away: %v", err)
	}
	other.Close()
	if _, err := os.Lstat(r.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	for path, want := range map[string]string{
		filepath.Join(filepath.Dir(r.path), "none", "socket"): "no such file",
		strings.Repeat("x", 200):                              "invalid argument",
		"control_test.go":                                     "no socket",
	} {
		s, err := New(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Listen(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
		s.Close()
	}
	if left, _ := filepath.Glob("*.[0-9]*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestResume(t *testing.T) {
	r := newRig(t)
	fd, err := unix.Dup(r.Listener())
	if err != nil {
		t.Fatal(err)
	}
	next, err := New(func(c *Conn, _ []string) { c.Finish("new\n", nil) })
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(r.listener)
	r.listener = -1
	if err := next.Resume(r.path, fd); err != nil {
		t.Fatal(err)
	}
	r.Server, next = next, r.Server
	defer next.Close()
	if got, err := r.call("hello"); got != "new\n" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	r.Close()
	if _, err := os.Lstat(r.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	r.Server, _ = New(nil)
}
