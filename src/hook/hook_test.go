package hook

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNothingToRun(t *testing.T) {
	b := newBench(t, 1)
	if err := os.Mkdir(b.dir+"/empty", 0o755); err != nil {
		t.Fatal(err)
	}
	for i, dir := range []string{"", b.dir + "/empty", b.dir + "/missing"} {
		b.Run(Request{Key: 1, Directory: dir, Tag: uint64(i)})
		done := b.results(1)
		if len(done) != 1 || done[0].Tag != uint64(i) || done[0].Err != nil || !b.Idle() {
			t.Errorf("%q: %+v", dir, done)
		}
	}
	if b.Run(Request{Tag: 3}); len(b.Done()) != 1 { // without a folder it is there at once
		t.Error("it took a goroutine")
	}
	if b.dump() != "" {
		t.Errorf("logged:\n%s", b.dump())
	}
	// Behind a hook of the same key it takes its turn.
	fifo := b.fifo("go")
	b.Run(Request{Key: 1, Program: b.script("wait", "#!/bin/sh\nread x < "+fifo), Tag: 10})
	b.Run(Request{Key: 1, Directory: b.dir + "/empty", Tag: 11})
	b.await("the order", func() bool { return b.Waiting() == 1 && b.Running() == 1 })
	if done := b.Done(); len(done) != 0 {
		t.Errorf("overtook: %+v", done)
	}
	b.release(fifo)
	if done := b.results(2); done[0].Tag != 10 || done[1].Tag != 11 {
		t.Errorf("order %+v", done)
	}
}

// TestFolderThatTakesItsTime has a FIFO stand for a folder on a file system that does not answer: opening it waits. Nobody who calls Run does,
// the order of a key holds, and those that came in the meantime share one look into their folder.
func TestFolderThatTakesItsTime(t *testing.T) {
	const many = 500
	b := newBench(t, 4)
	fifo := b.fifo("slow")
	say := b.script("say", "#!/bin/sh\necho $1 >> "+b.dir+"/ran\n")
	if err := os.Mkdir(b.dir+"/empty", 0o755); err != nil {
		t.Fatal(err)
	}
	b.Run(Request{Key: 1, Program: say, Directory: fifo, Args: []string{"first"}})
	b.Run(Request{Key: 1, Program: say, Args: []string{"second"}})
	watched, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(watched)
	if _, err := unix.InotifyAddWatch(watched, b.dir+"/empty", unix.IN_OPEN); err != nil {
		t.Fatal(err)
	}
	for i := range many {
		b.Run(Request{Key: uint64(2 + i), Directory: b.dir + "/empty"})
	}
	if b.Waiting() != 2+many || b.Running() != 0 || b.Idle() {
		t.Errorf("%d wait, %d run", b.Waiting(), b.Running())
	}
	answer := func(fifo string) { // from now on it is opened at once
		file, err := os.OpenFile(fifo, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
	}
	answer(fifo)
	b.results(2 + many)
	if got := b.read("ran"); !slices.Equal(got, []string{"first", "second"}) {
		t.Errorf("ran %q", got)
	}
	events := make([]byte, 64<<10)
	n, err := unix.Read(watched, events)
	if looks := n / unix.SizeofInotifyEvent; err != nil || looks > 2 {
		t.Errorf("%d looks for %d requests, %v", looks, many, err)
	}
	b.Run(Request{Directory: b.fifo("never")})
	b.Kill()
	if res := b.results(1)[0]; !errors.Is(res.Err, ErrKilled) {
		t.Errorf("%+v", res)
	}
	answer(b.dir + "/never")
}

func BenchmarkRunWithoutPrograms(b *testing.B) {
	dir := b.TempDir()
	for i := range 3 {
		if err := os.WriteFile(filepath.Join(dir, "README."+string(rune('a'+i))), nil, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	r, _ := lifeRunner(1)
	for range b.N {
		r.Run(Request{Key: 1, Directory: dir})
	}
}

func TestOrderWithinKeysAndSideBySide(t *testing.T) {
	b := newBench(t, 2)
	fifo := b.fifo("go")
	path := b.script("hook", "#!/bin/sh\ncase $2 in wait) read x < "+fifo+";; esac\necho $1 >> "+b.dir+"/ran\n")
	run := func(key uint64, args ...string) { b.Run(Request{Key: key, Program: path, Args: args}) }
	run(1, "1a", "wait")
	run(1, "1b")
	run(1, "1c")
	run(2, "2a")
	run(2, "2b")
	b.results(2) // both of key 2, while 1a stands still
	if got := b.read("ran"); !slices.Equal(got, []string{"2a", "2b"}) || b.Running() != 1 || b.Waiting() != 2 {
		t.Errorf("ran %q, running %d, waiting %d", got, b.Running(), b.Waiting())
	}
	b.release(fifo)
	b.results(3)
	if got := b.read("ran"); !slices.Equal(got, []string{"2a", "2b", "1a", "1b", "1c"}) {
		t.Errorf("ran %q", got)
	}
	if !b.Idle() {
		t.Error("not idle")
	}
	if len(b.behind) != 0 || len(b.jobs) != 0 {
		t.Errorf("left: %v %v", b.behind, b.jobs)
	}
}

func TestLimit(t *testing.T) {
	const limit = 3
	b := newBench(t, limit)
	// Each hook takes one of as many places and gives it back; one hook more would find none.
	path := b.script("hook", `#!/bin/sh
for i in 1 2 3; do
	if mkdir `+b.dir+`/place$i 2>/dev/null; then rmdir `+b.dir+`/place$i; exit 0; fi
done
exit 1
`)
	for range 100 {
		b.Run(Request{Program: path})
		if n := b.Running(); n > limit {
			t.Fatalf("%d at once", n)
		}
	}
	for _, res := range b.results(100) {
		if res.Err != nil {
			t.Errorf("%+v", res)
		}
	}
}

func TestManyRequests(t *testing.T) {
	b := newBench(t, 4)
	path, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	before := descriptors(t)
	for i := range 1000 {
		b.Run(Request{Key: uint64(i % 100), Program: path, Tag: uint64(i)})
	}
	last := make(map[uint64]uint64)
	for _, res := range b.results(1000) {
		if res.Err != nil {
			t.Fatalf("%+v", res)
		}
		if previous, ok := last[res.Key]; ok && res.Key != 0 && previous > res.Tag {
			t.Errorf("key %d: %d after %d", res.Key, res.Tag, previous)
		}
		last[res.Key] = res.Tag
	}
	if after := descriptors(t); after > before {
		t.Errorf("descriptors: %d, then %d", before, after)
	}
	if err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("a child is left: %v", err)
	}
}

func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestQueueIsBounded(t *testing.T) {
	b := newBench(t, 1)
	path := b.script("hang", "#!/bin/sh\nsleep 100\n")
	for range 1 + MaxWaiting {
		b.Run(Request{Program: path})
	}
	if n := len(b.Done()); n != 0 || b.Waiting() != MaxWaiting {
		t.Errorf("%d ended, %d waiting", n, b.Waiting())
	}
	b.Run(Request{Program: path})
	if done := b.Done(); len(done) != 1 || done[0].Err != ErrFull {
		t.Errorf("%+v", done)
	}
}

func TestKill(t *testing.T) {
	b := newBench(t, 2)
	fifo := b.fifo("alive")
	path := b.script("hang", "#!/bin/sh\nexec 3> "+fifo+"\nsleep 100 &\necho up >&3\nsleep 1000\n")
	second := b.script("hang2", "#!/bin/sh\nsleep 100\n")
	b.Run(Request{Key: 1, Program: path, Directory: b.dir})
	b.Run(Request{Key: 1, Program: path})
	b.Run(Request{Key: 2, Program: second})
	b.Run(Request{Key: 3, Program: path})
	file, err := os.Open(fifo) // waits for the writer
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	b.Kill()
	for _, res := range b.results(4) {
		if !errors.Is(res.Err, ErrKilled) || res.Status != -1 {
			t.Errorf("%+v", res)
		}
	}
	var rest [64]byte
	for err = nil; err == nil; {
		_, err = file.Read(rest[:]) // to the end: sleep is dead too
	}
	b.Run(Request{Program: path})
	if done := b.Done(); len(done) != 1 || done[0].Err != ErrKilled || !b.Idle() {
		t.Errorf("%+v", done)
	}
}

// Cancel ends what runs and what waits of one key, without a word in the log, and nothing else.
func TestCancel(t *testing.T) {
	b := newBench(t, 1)
	started := b.fifo("started")
	hang := b.script("hang", "#!/bin/sh\necho > "+started+"\nexec sleep 1000\n")
	quick := b.script("quick", "#!/bin/sh\n")
	b.Run(Request{Key: 1, Program: hang, Tag: 10})
	if _, err := os.ReadFile(started); err != nil {
		t.Fatal(err)
	}
	b.Run(Request{Key: 1, Program: quick, Tag: 11})
	b.Run(Request{Key: 2, Program: quick, Tag: 20})
	b.Run(Request{Key: 2, Program: quick, Tag: 21})
	b.Run(Request{Key: 3, Program: quick, Tag: 30})
	b.Cancel(2) // both wait
	b.Cancel(1)
	b.Cancel(4) // nobody's
	b.Run(Request{Key: 2, Program: quick, Tag: 22})
	ended := make(map[uint64]error)
	for _, res := range b.results(6) {
		ended[res.Tag] = res.Err
	}
	for tag, cancelled := range map[uint64]bool{10: true, 11: true, 20: true, 21: true, 30: false, 22: false} {
		if err, there := ended[tag]; !there || errors.Is(err, ErrCancelled) != cancelled {
			t.Errorf("request %d ended: %v, with %v", tag, there, err)
		}
	}
	if !b.Idle() || len(b.behind) != 0 {
		t.Errorf("left: %v", b.behind)
	}
	if b.logged("hook failed") {
		t.Error(b.dump())
	}
}
