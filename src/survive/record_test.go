package survive

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/clock"
	"tunneldigger/src/logline"
)

// life opens the record at path as a process does that starts now.
func life(t *testing.T, path string) *Record {
	t.Helper()
	r, err := OpenRecord(path)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRecordPath(t *testing.T) {
	for socket, want := range map[string]string{"": "", "/run/a.sock": "/run/a.state", "/run/a": "/run/a.state", "/run/a.sock/b": "/run/a.sock/b.state"} {
		if got := RecordPath(socket); got != want {
			t.Errorf("%q: %q, want %q", socket, got, want)
		}
	}
}

// What is written is there for the next process, after an end without a word, and gone after an orderly one.
func TestRecordThroughACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	now := clock.SinceBoot()
	st, left := life(t, path).open(quiet, [16]byte{1})
	if len(left) != 0 || st.Key() != [16]byte{1} {
		t.Errorf("left %v, key %v", left, st.Key())
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if at, due := st.Due(); !due || at < now+steady {
		t.Errorf("due at %v, %v", at-now, due)
	}
	tunnels := book{100: -1, 101: -1, 102: -1, 65535: -1}
	for id := range tunnels {
		st.Keep(id)
	}
	st.Keep(104) // has gone since
	st.Tick(now, tunnels.look)
	st.Drop(101)
	delete(tunnels, 102)
	st.Keep(102)
	st.Release(100) // it is systemd's socket that this is about
	st.Tick(now, tunnels.look)
	if at, due := st.Due(); !due || at != now+stampGap {
		t.Errorf("due in %v, %v", at-now, due)
	}
	if _, err := OpenRecord(path); err == nil || !strings.Contains(err.Error(), path+": ") {
		t.Errorf("two have it: %v", err)
	}
	st.Tick(now+stampGap, tunnels.look)
	if st.Hurry(true) || !st.Hurry(true) {
		t.Error("what is noted of the kernel's hurry")
	}
	unix.Close(int(st.file)) // killed

	next, left := life(t, path).open(quiet, [16]byte{9})
	if next.Key() != [16]byte{1} || next.Alive() != now+stampGap {
		t.Errorf("key %v, alive %v", next.Key(), next.Alive()-now)
	}
	got := make(map[uint32]byte)
	for i := range left {
		if l := &left[i]; l.Section == "wan" && l.FD == -1 {
			got[l.ID] = l.Record[2]
		}
	}
	if want := map[uint32]byte{100: 100, 65535: 255}; len(left) != 2 || !maps.Equal(got, want) {
		t.Errorf("left %v", left)
	}
	next.Drop(100)
	if !next.Hurry(false) {
		t.Error("the kernel's hurry is forgotten")
	}
	unix.Close(int(next.file))
	last, left := life(t, path).open(quiet, [16]byte{9})
	if len(left) != 1 || left[0].ID != 65535 {
		t.Errorf("left %v", left)
	}
	if last.Hurry(false) {
		t.Error("the kernel's hurry does not end")
	}
	last.Close(now)
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("after an orderly end: %v", err)
	}
}

// A record that can't be of use is said to be so, and begun anew; of one with a few faults the rest is of use.
func TestRecordThatDoesNotFit(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(*testing.T, slots)
		says   string
		left   map[uint32]bool // whether it is whole
	}{
		"nothing":           {func(*testing.T, slots) {}, "", map[uint32]bool{100: true, 101: true}},
		"another boot":      {func(_ *testing.T, f slots) { f.write(0, (&process{boot: "another"}).append(nil)) }, "it is of another boot", nil},
		"no process":        {func(_ *testing.T, f slots) { f.write(0, nil) }, "it is damaged", nil},
		"a process damaged": {func(t *testing.T, f slots) { flip(t, f, 0) }, "it is damaged", nil},
		"not ours":          {func(_ *testing.T, f slots) { f.write(0, []byte{1, 200}) }, "it is damaged", nil},
		"a tunnel damaged":  {func(t *testing.T, f slots) { flip(t, f, 101) }, "", map[uint32]bool{100: true, 101: false}},
		"not a tunnel":      {func(_ *testing.T, f slots) { f.write(101, []byte{1, 200}) }, "", map[uint32]bool{100: true, 101: false}},
		"cut off": {func(t *testing.T, f slots) {
			if err := unix.Ftruncate(int(f), 101*slotSize+10); err != nil {
				t.Fatal(err)
			}
		}, "", map[uint32]bool{100: true, 101: false}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state")
			st, _ := life(t, path).open(quiet, [16]byte{1})
			st.Keep(100)
			st.Keep(101)
			st.Tick(clock.SinceBoot(), book{100: -1, 101: -1}.look)
			test.damage(t, st.file)
			unix.Close(int(st.file))
			var log bytes.Buffer
			next, left := life(t, path).open(logline.New(&log, logline.Debug, false), [16]byte{9})
			if want := 1; test.says == "" && log.Len() > 0 || test.says != "" && strings.Count(log.String(), "\n") != want || !strings.Contains(log.String(), test.says) {
				t.Errorf("said %q, want %q", log.String(), test.says)
			}
			got := make(map[uint32]bool)
			for i := range left {
				got[left[i].ID] = left[i].Record != nil
			}
			if !maps.Equal(got, test.left) && len(got)+len(test.left) > 0 {
				t.Errorf("left %v, want %v", got, test.left)
			}
			if (next.Key() == [16]byte{9}) != (test.says != "") {
				t.Errorf("key %v", next.Key())
			}
			next.Close(0)
		})
	}
}

// flip changes a bit of a record.
func flip(t *testing.T, f slots, id int64) {
	t.Helper()
	var b [1]byte
	if _, err := unix.Pread(int(f), b[:], id*slotSize+slotHead+2); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := unix.Pwrite(int(f), b[:], id*slotSize+slotHead+2); err != nil {
		t.Fatal(err)
	}
}

// What is at the path and is no record of this user is left alone.
func TestRecordInTheWay(t *testing.T) {
	dir := t.TempDir()
	link, fifo, other := filepath.Join(dir, "link"), filepath.Join(dir, "fifo"), filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, link); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, fifo, dir, filepath.Join(dir, "none", "state")} {
		if _, err := OpenRecord(path); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if text, err := os.ReadFile(other); err != nil || string(text) != "precious" {
		t.Errorf("%q, %v", text, err)
	}
}

// Who keeps dying waits, longer each time; who has lived for a minute begins anew.
func TestPause(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	for i, want := range []time.Duration{0, 0, 1, 2, 4, 8, 16, 30, 30, 30} {
		r := life(t, path)
		if got := r.Pause(); got != want*time.Second {
			t.Errorf("start %d waits %v, want %d s", i, got, want)
		}
		if i%2 == 0 { // else it does not get that far
			st, _ := r.open(quiet, [16]byte{1})
			st.Tick(clock.SinceBoot(), book{}.look)
		}
		r.Close()
	}
	r := life(t, path)
	st, _ := r.open(quiet, [16]byte{1})
	at, due := st.Due()
	if !due || at < clock.SinceBoot() {
		t.Fatalf("due at %v, %v", at, due)
	}
	st.Tick(at, book{}.look)
	if _, due := st.Due(); due {
		t.Error("due for ever")
	}
	r.Close()
	for i, want := range []time.Duration{0, 0, 1} {
		r := life(t, path)
		if got := r.Pause(); got != want*time.Second {
			t.Errorf("after a minute's life, start %d waits %v, want %d s", i, got, want)
		}
		r.Close()
	}
}

// An upgrade goes on with the record, whether the program before had one or not.
func TestRecordThroughAnUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	st, _ := life(t, path).open(quiet, [16]byte{1})
	tunnels := book{100: -1}
	st.Keep(100)
	now := clock.SinceBoot()
	st.Tick(now, tunnels.look)
	s := &State{Key: [16]byte{1}}
	st.Write(now, s, tunnels.look)
	s.Tunnels = append(s.Tunnels, Tunnel{ID: 100, Stored: st.Stored(100)})
	next := ResumeStore(quiet, s, path)
	if !next.Stored(100) || next.Alive() != now || next.Key() != [16]byte{1} {
		t.Errorf("stored %v, alive %v, key %v", next.Stored(100), next.Alive(), next.Key())
	}
	if _, err := OpenRecord(path); err == nil {
		t.Error("it is locked no more")
	}
	next.Drop(100)
	next.Close(now)
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("after an orderly end: %v", err)
	}
	s = &State{Key: [16]byte{1}, Store: -1}
	next = ResumeStore(quiet, s, path)
	next.Keep(100)
	next.Tick(now, tunnels.look)
	unix.Close(int(next.file))
	last, left := life(t, path).open(quiet, [16]byte{9})
	if len(left) != 1 || last.Key() != [16]byte{1} {
		t.Errorf("left %v, key %v", left, last.Key())
	}
	last.Close(now)
	if none := ResumeStore(quiet, s, ""); none.file != -1 || none.Key() != [16]byte{1} {
		t.Errorf("without a path: %+v", none)
	}
}
