package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/config"
)

// TestHooksThatSleep has 200 clients come whose session.up waits: all of these hooks are under way before one has ended, once the
// configuration allows it, so that a client's tunnel is attached when its own hook has done so. Meanwhile a newcomer gets its tunnel.
func TestHooksThatSleep(t *testing.T) {
	const many = 200
	dir := t.TempDir()
	begun, gate := filepath.Join(dir, "begun"), filepath.Join(dir, "gate")
	for _, fifo := range []string{begun, gate} {
		if err := unix.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "up")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho >"+begun+"\nread x <"+gate+"\necho attached\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	open := func(fifo string) *os.File { // for both, so that nobody is the last one at the other end
		file, err := os.OpenFile(fifo, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		return file
	}
	started, release := open(begun), open(gate)
	r := serve(t, func(c *config.Config) {
		c.Brokers[0].MaxTunnels = many + 1
		c.Hooks.Timeout = time.Minute
		c.Hooks.Parallel = 10
		c.Hooks.Program[config.EventSessionUp] = path
	})
	r.log.await(t, "listening")
	for i := range many {
		r.dial().connect(fmt.Sprint("node-", i))
	}
	await := func(n int) {
		t.Helper()
		for range n {
			if _, err := started.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
	}
	hooks := func(running, waiting int) { // interfaces come up after the answers, and hooks after them
		t.Helper()
		h := r.json().Hooks
		for end := time.Now().Add(2 * time.Minute); h.Running != running || h.Waiting != waiting; h = r.json().Hooks {
			if time.Now().After(end) {
				t.Fatalf("%d hooks run, %d wait, want %d and %d", h.Running, h.Waiting, running, waiting)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	await(10)
	hooks(10, many-10)
	r.reload(func(c *config.Config) { c.Hooks.Parallel = many }, "hooks: parallel")
	await(many - 10)
	hooks(many, 0)
	r.dial().connect("newcomer")
	for range many + 1 {
		if _, err := release.WriteString("\n"); err != nil {
			t.Fatal(err)
		}
	}
	r.log.awaitMany(t, "line=attached", many+1)
}
