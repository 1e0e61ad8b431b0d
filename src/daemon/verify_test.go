package daemon

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/gate"
	"tunneldigger/src/wire"
)

// asking serves with a session.verify program that notes each UUID it is asked about and then runs the script.
func asking(t *testing.T, script string, change func(*config.Hooks)) (r *running, asked func(uuid string) int) {
	t.Helper()
	dir := t.TempDir()
	path, notes := filepath.Join(dir, "verify"), filepath.Join(dir, "notes")
	put(t, notes, "")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho \"$4\" >>"+notes+"\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r = serve(t, func(c *config.Config) {
		c.Brokers[0].MaxTunnels = 1000
		c.Hooks.Program[config.EventVerify] = path
		c.Hooks.VerifyCache = time.Minute
		if change != nil {
			change(&c.Hooks)
		}
	})
	r.log.await(t, "listening")
	return r, func(uuid string) int {
		text, err := os.ReadFile(notes)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, line := range strings.Split(string(text), "\n") {
			if line == uuid {
				n++
			}
		}
		return n
	}
}

func TestVerifyRemembers(t *testing.T) {
	r, asked := asking(t, "[ \"$4\" = good ]", nil)
	for range 3 {
		r.dial().connect("good")
		bad := r.dial()
		bad.ask(bad.prepare("bad"), wire.TypeError)
	}
	if good, bad := asked("good"), asked("bad"); good != 1 || bad != 1 {
		t.Errorf("asked %d times about one and %d times about the other, want once", good, bad)
	}
	r.stop()
	r, asked = asking(t, "", func(h *config.Hooks) { h.VerifyCache = 0 })
	for range 3 {
		r.dial().connect("good")
	}
	if n := asked("good"); n != 3 {
		t.Errorf("without a memory: asked %d times, want 3", n)
	}
}

// What is no answer is not remembered, and refuses.
func TestVerifyCrashes(t *testing.T) {
	r, asked := asking(t, "kill -SEGV $$", nil)
	for range 2 {
		k := r.dial()
		k.ask(k.prepare("one"), wire.TypeError)
	}
	if n := asked("one"); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
}

func TestVerifyTakesTooLong(t *testing.T) {
	for _, accept := range []bool{false, true} {
		for name, script := range map[string]string{"hangs": "sleep 1000", "talks": "while echo flood; do :; done"} {
			t.Run(fmt.Sprint(name, " ", accept), func(t *testing.T) {
				r, _ := asking(t, script, func(h *config.Hooks) { h.Timeout, h.VerifyTimeoutAccept = time.Second, accept })
				k := r.dial()
				if request := k.prepare("one"); accept {
					k.ask(request, wire.TypeTunnel)
				} else {
					k.ask(request, wire.TypeError)
				}
				r.log.await(t, "no answer from session.verify in time")
				if n := len(r.log.text()); n > 1<<20 {
					t.Errorf("%d bytes of log", n)
				}
			})
		}
	}
}

// However many wait for an answer that does not come, tunnels are served, hooks of theirs run, and who is known gets in.
func TestVerifyCrowd(t *testing.T) {
	r, asked := asking(t, "case $4 in crowd*) sleep 1000 ;; esac", func(h *config.Hooks) {
		h.Timeout = 2 * time.Second
		h.Parallel = 16
		h.Program[config.EventMTUChanged] = "/bin/true"
	})
	standing := r.dial()
	standing.connect("known")
	const crowd = gate.MaxQuestions + 50
	members := make([]*talk, crowd)
	for i := range members {
		members[i] = r.dial()
		if _, err := members[i].Write(members[i].prepare(fmt.Sprint("crowd-", i))); err != nil {
			t.Fatal(err)
		}
		if i == crowd/2 {
			// The standing tunnel's hook and messages go on.
			standing.ask(wire.AppendPMTUD(nil, 1300), wire.TypePMTUDAck)
			r.dial().connect("known")
		}
	}
	// So do newcomers from elsewhere, who have to be asked about.
	other, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}, standing.RemoteAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	(&talk{other, t}).connect("stranger")
	// Everybody gets an answer, whether the hook was asked or not.
	for i := range members {
		members[i].ask(nil, wire.TypeError)
	}
	n := 0
	for i := range members {
		n += asked(fmt.Sprint("crowd-", i))
	}
	if n == 0 || n > 8*3*10 {
		t.Errorf("asked about %d of %d", n, crowd)
	}
	r.dial().connect("late")
}

// A reload while session.verify runs: the program that is configured then is asked, and its answer is the one that is remembered.
func TestReloadDuringVerify(t *testing.T) {
	r, asked := asking(t, "[ \"$4\" = quick ] || sleep 1000", nil)
	dir := t.TempDir()
	anew, notes := filepath.Join(dir, "verify"), filepath.Join(dir, "notes")
	if err := os.WriteFile(anew, []byte("#!/bin/sh\necho \"$4\" >>"+notes+"\n[ \"$4\" = good ]\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.dial().connect("quick")
	good, bad := r.dial(), r.dial()
	for k, uuid := range map[*talk]string{good: "good", bad: "bad"} {
		if _, err := k.Write(k.prepare(uuid)); err != nil {
			t.Fatal(err)
		}
	}
	for asked("good") == 0 || asked("bad") == 0 {
		time.Sleep(time.Millisecond)
	}
	r.reload(func(c *config.Config) { c.Hooks.Program[config.EventVerify] = anew }, "Reloaded")
	good.ask(nil, wire.TypeTunnel)
	bad.ask(nil, wire.TypeError)
	r.dial().connect("good")
	quick := r.dial()
	quick.ask(quick.prepare("quick"), wire.TypeError)
	text, err := os.ReadFile(notes)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "good\n"); n != 1 {
		t.Errorf("the new program was asked %d times about one, want once", n)
	}
	if n := r.log.count("no answer from session.verify"); n != 0 {
		t.Error("somebody was not answered for")
	}
	if n := r.log.count("hook failed"); n != 0 {
		t.Error("that a hook was cancelled is logged as a failure")
	}
}
