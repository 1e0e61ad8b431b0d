//go:build !mips

// What is here asks the machine about programs, threads and sockets, and emulation of another processor answers otherwise.

package hook

import (
	"os"
	"testing"
)

// TestManyThatSleep has more programs at once than there would be threads to spare for, each waiting for the same release: all have begun
// before one ends, and none takes a thread of the system.
func TestManyThatSleep(t *testing.T) {
	const many = 200
	b := newBench(t, 10)
	begun, gate := b.fifo("begun"), b.fifo("gate")
	path := b.script("sleeps", "#!/bin/sh\necho > "+begun+"\nread x < "+gate+"\n")
	started, err := os.OpenFile(begun, os.O_RDWR, 0) // read and write, so that no writer is the last one
	if err != nil {
		t.Fatal(err)
	}
	defer started.Close()
	for i := range many {
		b.Run(Request{Key: uint64(i + 1), Program: path})
	}
	b.await("the first ones", func() bool { return b.Running() == 10 })
	b.SetLimit(many)
	begins := make([]byte, 1)
	for range many {
		if _, err := started.Read(begins); err != nil {
			t.Fatal(err)
		}
	}
	if b.Running() != many || b.Waiting() != 0 {
		t.Errorf("%d run, %d wait", b.Running(), b.Waiting())
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil || len(threads) > many/4 {
		t.Errorf("%d threads for %d programs, %v", len(threads), many, err)
	}
	hold, err := os.OpenFile(gate, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	for range many {
		if _, err := hold.WriteString("\n"); err != nil {
			t.Fatal(err)
		}
	}
	for _, res := range b.results(many) {
		if res.Err != nil {
			t.Errorf("%+v", res)
		}
	}
}
