//go:build !mips && !router

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/live"
)

// tmux is a terminal whose screen and keys are a test's.
type tmux struct {
	*testing.T
	socket string
}

func (x *tmux) do(args ...string) string {
	x.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", x.socket, "-f", "/dev/null"}, args...)...).CombinedOutput()
	if err != nil {
		x.Fatalf("tmux %q: %v: %s (it takes Debian's package tmux)", args, err, out)
	}
	return string(out)
}

// shows waits until the screen has all of the texts.
func (x *tmux) shows(texts ...string) string {
	x.Helper()
	screen := ""
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		screen = x.do("capture-pane", "-p")
		missing := ""
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				missing = text
			}
		}
		if missing == "" {
			return screen
		}
	}
	x.Fatalf("the screen never had all of %q:\n%s", texts, screen)
	return ""
}

func newTmux(t *testing.T, size [2]string, command ...string) *tmux {
	t.Helper()
	dir, err := os.MkdirTemp("", "tmux") // short: it has a socket
	if err != nil {
		t.Fatal(err)
	}
	x := &tmux{t, filepath.Join(dir, "s")}
	t.Cleanup(func() {
		_ = exec.Command("tmux", "-S", x.socket, "kill-server").Run()
		os.RemoveAll(dir)
	})
	x.do("new-session", "-d", "-x", size[0], "-y", size[1], strings.Join(command, " ")+"; echo \"ended with $?\"; cat")
	return x
}

// TestWatch looks at a broker's tunnels in a terminal: they come, are sorted and found, and the terminal is as before at the end.
func TestWatch(t *testing.T) {
	b := startBroker(t)
	b.peer().prepare("alice")
	b.peer().prepare("bob")
	x := newTmux(t, [2]string{"120", "12"}, b.program(), "status", "--watch", "1", "--socket", b.dir+"/socket")
	x.shows("2 of ", "+TUNNEL", "alice", "bob", "up")
	b.peer().prepare("carol")
	x.shows("3 of ", "carol")
	x.do("send-keys", "2")
	x.shows("+UUID")
	x.do("send-keys", "r")
	screen := x.shows("-UUID")
	if strings.Index(screen, "carol") > strings.Index(screen, "alice") {
		t.Errorf("not sorted downwards:\n%s", screen)
	}
	x.do("send-keys", "/")
	x.do("send-keys", "bo")
	x.shows("find: bo_")
	x.do("send-keys", "Enter")
	if screen := x.shows(`1 with "bo"`, "bob"); strings.Contains(screen, "alice") {
		t.Errorf("not filtered:\n%s", screen)
	}
	x.do("resize-window", "-x", "40", "-y", "5")
	for _, line := range strings.Split(x.shows("bob"), "\n") {
		if len([]rune(line)) > 40 {
			t.Errorf("too wide: %q", line)
		}
	}
	x.do("send-keys", "q")
	x.shows("ended with 0")
}

// Without a terminal the tables follow each other; without a broker there is the reason.
func TestWatchElsewhere(t *testing.T) {
	b := startBroker(t)
	b.peer().prepare("alice")
	cmd := exec.Command(b.program(), "status", "--watch=1", "--socket", b.dir+"/socket")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	text := ""
	for piece := make([]byte, 4096); strings.Count(text, "alice") < 2; {
		n, err := out.Read(piece)
		if err != nil {
			t.Fatalf("%v: %q", err, text)
		}
		text += string(piece[:n])
	}
	if strings.Contains(text, "\x1b") {
		t.Errorf("%q", text)
	}
	_ = cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if text, status := run2("status", "--watch", "--socket", b.dir+"/nobody"); status != exitFault || !strings.Contains(text, "no broker answers") {
		t.Errorf("%d %q", status, text)
	}
}

// drain --wait ends when the last tunnel has gone, or when somebody ends draining.
func TestDrainWait(t *testing.T) {
	b := startBroker(t)
	b.peer().prepare("alice")
	b.peer().prepare("bob")
	x := newTmux(t, [2]string{"100", "10"}, b.program(), "drain", "--wait", "--socket", b.dir+"/socket")
	x.shows("Draining: no new tunnels; 2 stay.", "2 tunnels are left")
	b.call("kick", "alice")
	x.shows("1 tunnels are left, of 2; at this pace for ")
	b.call("kick", "bob")
	x.shows("0 tunnels are left", "ended with 0")

	b.call("drain", "off")
	b.peer().prepare("carol")
	x = newTmux(t, [2]string{"100", "10"}, b.program(), "drain", "--wait", "--socket", b.dir+"/socket")
	x.shows("1 tunnels are left")
	b.call("drain", "off")
	x.shows("somebody ended draining", "ended with 1")
}

func run2(args ...string) (string, int) {
	var b strings.Builder
	status := run(args, &b, &b)
	return b.String(), status
}

func TestPress(t *testing.T) {
	for _, c := range []struct {
		keys []string
		want live.View
		ends bool
	}{
		{[]string{"\x1b[B", "\x1b[B", "\x1b[A"}, live.View{First: 1, Height: 23}, false},
		{[]string{" ", "\x1b[6~", "\x1b[5~"}, live.View{First: 20, Height: 23}, false},
		{[]string{"\x1b[C", "\x1b[D", "\x1b[D"}, live.View{Column: live.Columns() - 1, Height: 23}, false},
		{[]string{"/a b", "\x7f", "c\r", "x"}, live.View{Filter: "a c", Height: 23}, false},
		{[]string{"/abc", "\x1b"}, live.View{Height: 23}, false},
		{[]string{"/q", "\n", "q"}, live.View{Filter: "q", Height: 23}, true},
		{[]string{"3"}, live.View{Column: 2, Descending: true, Height: 23}, false},
		{[]string{"0"}, live.View{Column: 9, Height: 23}, false},
		{[]string{"\x00\xff\x1b[Z"}, live.View{Height: 23}, false},
	} {
		v := live.View{Height: 23}
		ends := false
		for _, keys := range c.keys {
			ends = !press(&v, keys)
		}
		if fmt.Sprintf("%+v", v) != fmt.Sprintf("%+v", c.want) || ends != c.ends {
			t.Errorf("%q: %+v, ends %v", c.keys, v, ends)
		}
	}
}
