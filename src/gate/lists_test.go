package gate

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/config"
	"tunneldigger/src/logline"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// follower is Lists whose notices can be awaited, and its log.
func follower(t *testing.T) (l *Lists, log *bytes.Buffer, notice chan struct{}) {
	t.Helper()
	log, notice = new(bytes.Buffer), make(chan struct{}, 8)
	l, err := NewLists(logline.New(log, logline.Debug, false), func() { notice <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l, log, notice
}

// What is no list is refused, and nobody waits for it.
func TestNoList(t *testing.T) {
	dir := t.TempDir()
	fifo, long := filepath.Join(dir, "fifo"), filepath.Join(dir, "long")
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	put(t, long, strings.Repeat("#\n", 2<<20))
	for path, want := range map[string]string{
		dir: "is not a file", fifo: "is not a file", "/proc/self/mem": "input/output error", filepath.Join(dir, "none"): "no such file", long: "larger than",
	} {
		if err := CheckList(path); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path) && !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// A file is read once for two sections; a change is read when it has been quiet for a moment, or after a second; what is wrong leaves the
// last good one in force.
func TestFollow(t *testing.T) {
	deny := filepath.Join(t.TempDir(), "deny")
	put(t, deny, "one\n")
	l, log, notice := follower(t)
	sections := []*config.Broker{{Name: "a", DenyList: deny}, {Name: "b", DenyList: deny, AllowList: deny + ".none"}}
	if err := l.Follow(0, sections, false); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "list read"); n != 1 {
		t.Errorf("read %d times", n)
	}
	nobody := netip.MustParseAddr("192.0.2.1")
	if allow, without := l.For(sections[0]); allow != nil || !without.Has("one", nobody) {
		t.Error("not the list that is in the file")
	}
	if allow, _ := l.For(sections[1]); allow == nil || allow.Has("one", nobody) {
		t.Error("an allow list that is not there lets somebody in")
	}
	change := func(now time.Duration, text string) (again []string) {
		t.Helper()
		put(t, deny, text)
		if err := l.Changed(now); err != nil {
			t.Fatal(err)
		}
		at, ok := l.Due()
		if !ok || at != now+listQuiet {
			t.Fatalf("due at %v, want %v", at, now+listQuiet)
		}
		if err := l.Tick(at); err != nil {
			t.Fatal(err)
		}
		<-notice
		return l.Collect(at)
	}
	if again := change(time.Second, "two\n"); len(again) != 1 || again[0] != deny {
		t.Errorf("changed: %q", again)
	}
	if _, without := l.For(sections[1]); without.Has("one", nobody) || !without.Has("two", nobody) {
		t.Error("not the new list")
	}
	if err := l.OnDisk(); err != nil {
		t.Error(err)
	}
	if again := change(2*time.Second, "10.0.0.0/33\n"); len(again) != 0 {
		t.Errorf("changed: %q", again)
	}
	if _, without := l.For(sections[1]); !without.Has("two", nobody) {
		t.Error("the last good one is not in force")
	}
	if err := l.OnDisk(); err == nil || !strings.Contains(err.Error(), deny) {
		t.Errorf("on disk: %v", err)
	}
	// It is another configuration's only if that has it already.
	if faults := l.Faults(&config.Config{Brokers: []config.Broker{{DenyList: deny}}}); len(faults) != 0 {
		t.Error(faults)
	}
	if faults := l.Faults(&config.Config{Brokers: []config.Broker{{DenyList: filepath.Dir(deny)}, {AllowList: deny + ".other"}}}); len(faults) != 2 {
		t.Errorf("%d faults: %v", len(faults), faults)
	}
	// What goes on changing is read after a second.
	for now := 3 * time.Second; now < 5*time.Second; now += listQuiet / 2 {
		put(t, deny, "three\n")
		if err := l.Changed(now); err != nil {
			t.Fatal(err)
		}
		if at, _ := l.Due(); at > 3*time.Second+listSoon {
			t.Fatalf("due at %v", at)
		}
	}
}

// Without inotify changes are seen at the second look: what has just changed may be half written.
func TestLooksWithoutInotify(t *testing.T) {
	deny := filepath.Join(t.TempDir(), "deny")
	put(t, deny, "one\n")
	l, _, notice := follower(t)
	l.Close()
	l.watcher = nil
	if l.FD() != -1 {
		t.Error("a descriptor")
	}
	b := &config.Broker{DenyList: deny}
	if err := l.Follow(0, []*config.Broker{b}, false); err != nil {
		t.Fatal(err)
	}
	put(t, deny, "two and\n")
	if err := l.Tick(listLook); err != nil {
		t.Fatal(err)
	}
	put(t, deny, "two\n")
	for range 3 {
		at, _ := l.Due()
		if err := l.Tick(at); err != nil {
			t.Fatal(err)
		}
	}
	<-notice
	if again := l.Collect(time.Hour); len(again) != 1 {
		t.Errorf("changed: %q", again)
	}
	if _, without := l.For(b); !without.Has("two", netip.MustParseAddr("192.0.2.1")) {
		t.Error("not the new list")
	}
}
