package hook

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/logline"
)

// record keeps what is logged, line by line.
type record struct {
	mu    sync.Mutex
	lines []string
}

func (r *record) Write(line []byte) (int, error) {
	r.mu.Lock()
	r.lines = append(r.lines, string(line))
	r.mu.Unlock()
	return len(line), nil
}

// bench is a Runner with its log and a way to wait for results.
type bench struct {
	*Runner
	t      *testing.T
	dir    string
	log    *record
	notice chan struct{}
}

func newBench(t *testing.T, limit int) *bench {
	b := &bench{t: t, dir: t.TempDir(), log: new(record), notice: make(chan struct{}, 1)}
	b.Runner = New(limit, logline.New(b.log, logline.Debug, false), func() {
		select {
		case b.notice <- struct{}{}:
		default:
		}
	})
	t.Cleanup(b.Kill)
	return b
}

// script writes an executable file and returns its path. To be called before anything runs: a process that is just being started
// holds a copy of every open file for a moment, and a file that is open for writing cannot be executed.
func (b *bench) script(name, text string) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// results waits for n of them.
func (b *bench) results(n int) []Result {
	b.t.Helper()
	var all []Result
	deadline := time.After(60 * time.Second)
	for len(all) < n {
		select {
		case <-b.notice:
			all = append(all, b.Done()...)
		case <-deadline:
			b.t.Fatalf("%d of %d results", len(all), n)
		}
	}
	return all
}

// await waits until something is so, which no event tells of.
func (b *bench) await(what string, so func() bool) {
	b.t.Helper()
	for end := time.Now().Add(60 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("not after a minute: %s", what)
		}
	}
}

func (b *bench) logged(part string) bool {
	b.log.mu.Lock()
	defer b.log.mu.Unlock()
	return slices.ContainsFunc(b.log.lines, func(line string) bool { return strings.Contains(line, part) })
}

func (b *bench) dump() string {
	b.log.mu.Lock()
	defer b.log.mu.Unlock()
	return strings.Join(b.log.lines, "")
}

// read returns the lines of a file, none if it is not there.
func (b *bench) read(name string) []string {
	text, _ := os.ReadFile(filepath.Join(b.dir, name))
	return strings.Fields(string(text))
}

// fifo makes a pipe in the file system, on which scripts wait for release.
func (b *bench) fifo(name string) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// release lets one reader of a fifo go on; it waits for it to be there.
func (b *bench) release(fifo string) {
	b.t.Helper()
	if err := os.WriteFile(fifo, []byte("go\n"), 0); err != nil {
		b.t.Fatal(err)
	}
}
