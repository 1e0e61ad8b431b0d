//go:build vm || native

package e2e

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/wire"
)

// A line in a file: the tunnel goes within two seconds (more where a machine takes long for a tunnel anyway), and the client's next try costs no socket, no netlink request and no
// process, with a hook configured for everything.
func TestDeny(t *testing.T) {
	w := New(t)
	server, router := w.Host("broker"), w.Host("client")
	server.addBridge(1446)
	dir := t.TempDir()
	notes, deny, hooks := filepath.Join(dir, "notes"), filepath.Join(dir, "deny"), filepath.Join(dir, "hooks")
	script := filepath.Join(hooks, "10-note")
	for path, text := range map[string]string{script: "#!/bin/sh\necho \"$ACTION $UUID\" >>" + notes + "\n", deny: "# nobody yet\n"} {
		if err := os.MkdirAll(hooks, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b := server.StartBroker("config broker 'wan'\n\tlist port '8942'\n\toption connection_rate_limit '0'\n\toption max_tunnels '10'\n"+
		"\toption deny_list '"+deny+"'\n"+bridged+"\nconfig hooks\n\toption directory '"+hooks+"'\n\toption session_verify '"+script+"'\n"+
		"\toption verify_cache '0'\n", 8942)
	broker := netip.AddrPortFrom(server.Addr4, 8942)
	// What the same takes that an operator asks for by hand is the machine's share in it.
	began := time.Now()
	kicked := router.peer(0, broker).connect("kicked", 2, wire.UniqueSessionID)
	b.WaitLog("tunnel up broker=wan tunnel="+fmt.Sprint(kicked.id), soon) // no hook hears of one that never was
	b.Call(w, "kick", "kicked")
	server.waitGone(kicked.iface())
	limit := 2*time.Second + 2*time.Since(began)
	w.Wait(soon, "its last hook", func() bool { return lastLine(notes) == "session.down kicked" })
	for _, line := range []string{"victim", router.Addr4.String(), "192.0.2.8/29"} {
		p := router.peer(0, broker)
		a := p.connect("victim", 1, wire.UniqueSessionID)
		p.carry("tun1", 1, a)
		router.reach("tun1")
		began := time.Now()
		// As sed -i and editors do.
		if err := os.WriteFile(deny+".new", []byte("# "+line+" is lost\n"+line+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(deny+".new", deny); err != nil {
			t.Fatal(err)
		}
		server.waitGone(a.iface())
		took := time.Since(began)
		t.Logf("%s: the tunnel was gone after %v", line, took.Round(time.Millisecond))
		if took > limit {
			t.Errorf("%s: %v, want %v at the most", line, took, limit)
		}
		w.Wait(soon, "the last hook", func() bool { return lastLine(notes) == "session.down victim" })
		if got := p.times(wire.TypeError); len(got) != 1 {
			t.Errorf("%s: the client was told %d times", line, len(got))
		}

		before, err := os.ReadFile(notes)
		if err != nil {
			t.Fatal(err)
		}
		// p's own end of the tunnel would take the answer for one of its tunnel's.
		p.close()
		router.waitGone("tun1")
		p = router.peer(0, broker)
		calls := b.calls(func() {
			for range 3 {
				if m := p.ask(p.prepare("victim", 1, wire.UniqueSessionID), wire.TypeError, wire.TypeTunnel); m.Type != wire.TypeError {
					t.Errorf("%s: the answer is %v", line, m.Type)
				}
			}
		})
		t.Logf("%s: system calls of six requests: %v", line, calls)
		if !native && (calls["recvmmsg"] == 0 || calls["sendmmsg"] == 0) {
			t.Error("no calls were counted")
		}
		// A netlink request is a sendto, and so is a message of a tunnel.
		for _, name := range []string{"socket", "sendto", "sendmsg", "clone", "vfork", "clone3", "execve", "openat"} {
			if calls[name] != 0 && (!native || name != "sendmsg") { // which is how the program's own path answers
				t.Errorf("%s: %d calls of %s", line, calls[name], name)
			}
		}
		if after, _ := os.ReadFile(notes); string(after) != string(before) {
			t.Errorf("%s: hooks ran: %s", line, after[len(before):])
		}
		p.close()
		if err := os.WriteFile(deny, nil, 0o644); err != nil { // in place
			t.Fatal(err)
		}
		w.Wait(soon, "the door open again", func() bool {
			lines := strings.Split(b.Log(), "\n")
			for i := len(lines) - 1; i >= 0; i-- {
				if strings.Contains(lines[i], "list read") {
					return strings.Contains(lines[i], "entries=0")
				}
			}
			return false
		})
	}
}

func lastLine(path string) string {
	text, _ := os.ReadFile(path)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	return lines[len(lines)-1]
}

// calls counts the system calls of the program, all its threads and what they start included, while do runs. (Not by the kernel's tracing,
// which rewrites its own code: that is too much for an emulated machine with two processors.)
func (p *Process) calls(do func()) map[string]int {
	t := p.world.T
	t.Helper()
	trace := filepath.Join(t.TempDir(), "trace")
	strace := exec.Command("strace", "-f", "-o", trace, "-p", strconv.Itoa(p.PID()))
	said, err := strace.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := strace.Start(); err != nil {
		t.Fatal(err)
	}
	// It says so once it has every thread.
	if line, err := bufio.NewReader(said).ReadString('\n'); !strings.Contains(line, "attached") {
		t.Fatalf("strace says %q, %v", line, err)
	}
	do()
	_ = strace.Process.Signal(unix.SIGINT)
	_ = strace.Wait() // it ends by the signal
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[string]int)
	for _, line := range strings.Split(string(text), "\n") {
		// 812  recvmmsg(5, …
		if words := strings.Fields(line); len(words) > 1 {
			if name, _, found := strings.Cut(words[1], "("); found {
				counts[name]++
			}
		}
	}
	return counts
}
