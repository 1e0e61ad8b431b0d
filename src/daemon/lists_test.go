package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// count is how many lines have the text.
func (l *lines) count(text string) int { return strings.Count(l.text(), text) }

func TestDenyList(t *testing.T) {
	deny := filepath.Join(t.TempDir(), "deny")
	r := serve(t, func(c *config.Config) {
		c.Brokers[0].DenyList = deny
		second := c.Brokers[0]
		second.Name, second.Ports, second.TunnelIDBase = "lan", []uint16{freePort(t)}, 200
		c.Brokers = append(c.Brokers, second)
	})
	r.log.await(t, "listening")
	r.log.await(t, "as deny_list it keeps nobody out") // it is not there yet
	one, two := r.dial(), r.dial()
	one.connect("one")
	two.connect("two")

	// It comes: the tunnel goes, its client is told and not let in again. The other one stays.
	put(t, deny, "# broken since Monday\none\n")
	one.ask(nil, wire.TypeError)
	one.ask(one.prepare("one"), wire.TypeError)
	two.ask(wire.AppendPMTUD(nil, 1300), wire.TypePMTUDAck)
	if n := r.log.count("list read"); n != 1 {
		t.Errorf("the list of two sections was read %d times", n)
	}

	// A wrong one, renamed over it, changes nothing, and the log has its line.
	put(t, deny+".new", "two\n10.0.0.0/33\n")
	if err := os.Rename(deny+".new", deny); err != nil {
		t.Fatal(err)
	}
	r.log.await(t, deny+":2: ")
	r.log.await(t, "the list before it stays in force")
	one.ask(one.prepare("one"), wire.TypeError)
	two.ask(wire.AppendPMTUD(nil, 1300), wire.TypePMTUDAck)
	if err := os.Remove(deny); err != nil {
		t.Fatal(err)
	}
	r.log.await(t, "a list is not there file="+deny+" so=\"the list before it")
	one.ask(one.prepare("one"), wire.TypeError)

	// An address.
	put(t, deny, "127.0.0.0/8")
	two.ask(nil, wire.TypeError)
	put(t, deny, "")
	r.log.await(t, "entries=0")
	one.connect("one")
}

func TestAllowList(t *testing.T) {
	allow := filepath.Join(t.TempDir(), "lists", "allow")
	r := serve(t, func(c *config.Config) { c.Brokers[0].AllowList = allow })
	r.log.await(t, "listening")
	r.log.await(t, "as allow_list it lets nobody in")
	one := r.dial()
	one.ask(one.prepare("one"), wire.TypeError)
	r.stop()

	if err := os.Mkdir(filepath.Dir(allow), 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, allow, "one\n")
	r = serve(t, func(c *config.Config) { c.Brokers[0].AllowList = allow })
	r.log.await(t, "listening")
	one, two := r.dial(), r.dial()
	one.connect("one")
	two.ask(two.prepare("two"), wire.TypeError)
	// A file that is written bit by bit counts as a whole.
	f, err := os.OpenFile(allow, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"tw", "o\n", "one", "\n"} {
		if _, err := f.WriteString(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	r.log.await(t, "entries=2")
	two.connect("two")
	if n := r.log.count("tunnel closed"); n != 0 {
		t.Errorf("%d tunnels were closed", n)
	}
}

// While a long list is read the loop goes on.
func TestLongList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deny")
	r := serve(t, func(c *config.Config) { c.Brokers[0].DenyList = path })
	r.log.await(t, "listening")
	k := r.dial()
	k.connect("one")
	var text strings.Builder
	for i := range 100000 {
		fmt.Fprintf(&text, "node-%08x\n", uint32(i)*2654435761)
	}
	put(t, path, text.String())
	longest := time.Duration(0)
	for r.log.count("entries=100000") == 0 {
		began := time.Now()
		k.ask(wire.AppendPMTUD(nil, 1300), wire.TypePMTUDAck)
		longest = max(longest, time.Since(began))
	}
	r.log.mutex.Lock()
	defer r.log.mutex.Unlock()
	t.Logf("longest answer %v; %s", longest, r.log.all[len(r.log.all)-1])
}

// A reload, and an upgrade, with a list that is wrong would leave nobody in force: neither is done, and tunnels stand.
func TestListsUnderWay(t *testing.T) {
	dir := t.TempDir()
	allow, deny := filepath.Join(dir, "allow"), filepath.Join(dir, "deny")
	r := serve(t, nil)
	r.log.await(t, "listening")
	one, two := r.dial(), r.dial()
	one.connect("one")
	two.connect("two")
	put(t, deny, "one two\n")
	for text, change := range map[string]func(*config.Config){
		allow + ": no such file": func(c *config.Config) { c.Brokers[0].AllowList = allow },
		deny + ":1: ":            func(c *config.Config) { c.Brokers[0].AllowList, c.Brokers[0].DenyList = "", deny },
	} {
		r.edit(change)
		if body, err := r.call("reload"); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("reload: %q, %v, want %q", body, err, text)
		}
	}
	one.stands()
	two.stands()
	put(t, deny, "")
	put(t, allow, "one\n")
	r.reload(func(c *config.Config) { c.Brokers[0].AllowList = allow }, "Reloaded")
	two.ask(nil, wire.TypeError)
	one.stands()
	put(t, allow, "one two\n")
	r.log.await(t, "the list before it stays in force")
	if body, err := r.call("upgrade"); err == nil || !strings.Contains(err.Error(), allow) {
		t.Errorf("upgrade: %q, %v", body, err)
	}
	one.stands()
}
