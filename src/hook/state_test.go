//go:build !mips

// QEMU, under which the tests for mips run, lets a program of theirs start none of their kind.

package hook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Set in a process that the test below starts: which of its lives it is in, and what it works on.
const (
	lifeEnv = "HOOK_TEST_LIFE"
	dirEnv  = "HOOK_TEST_DIR"
)

// TestHandOver lets hooks run on while the program that started them is replaced by exec: what runs is waited for, what waits comes after it,
// and no output is lost.
func TestHandOver(t *testing.T) {
	switch os.Getenv(lifeEnv) {
	case "":
	case "1":
		firstLife(t)
		return
	default:
		nextLife(t)
		return
	}
	b := newBench(t, 1)
	b.fifo("going")
	b.fifo("go")
	b.script("10-long", "#!/bin/sh\necho $ACTION 10 >> "+b.dir+"/order\nprintf 'begun '\n[ $ACTION = session.up ] && { echo > "+b.dir+"/going; read x < "+b.dir+"/go; }\necho done\nexit 3\n")
	b.script("20-next", "#!/bin/sh\necho $ACTION 20 >> "+b.dir+"/order\necho second\n")
	b.script("hang", "#!/bin/sh\necho > "+b.dir+"/going\nexec sleep 1000\n")
	b.script("quick", "#!/bin/sh\necho > "+b.dir+"/going\necho quick\nexit 4\n")
	cmd := exec.Command(os.Args[0], "-test.run=^TestHandOver$", "-test.v")
	cmd.Env = append(os.Environ(), lifeEnv+"=1", dirEnv+"="+b.dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		`line="begun done"`, "line=second", // of the program under way, in one piece, and of the one after it
		"hook=" + b.dir + `/hang error="killed, it ran longer than its time-out"`,
		"line=quick", "result 1 status 3", "result 2 status 3", "result 3 status -1 timeout", "result 4 status 4",
		"life 3, the same process", "no child is left",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	order, _ := os.ReadFile(filepath.Join(b.dir, "order"))
	if got := strings.Fields(string(order)); strings.Join(got, " ") != "session.up 10 session.up 20 session.down 10 session.down 20" {
		t.Errorf("order %q", got)
	}
}

func firstLife(t *testing.T) {
	dir := os.Getenv(dirEnv)
	r, _ := lifeRunner(3)
	run := func(event string, tag, key uint64, name string, timeout time.Duration) {
		req := Request{Event: event, Tag: tag, Key: key, Timeout: timeout, Env: []string{"ACTION=" + event}}
		if name == "" {
			req.Directory = dir + "/d"
		} else {
			req.Program = dir + "/" + name
		}
		r.Run(req)
	}
	if err := os.MkdirAll(dir+"/d", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"10-long", "20-next"} {
		if err := os.Rename(dir+"/"+name, dir+"/d/"+name); err != nil {
			t.Fatal(err)
		}
	}
	run("session.up", 1, 9, "", time.Minute)
	run("session.down", 2, 9, "", time.Minute)
	run("other", 3, 0, "hang", 3*time.Second)
	run("quick", 4, 0, "quick", time.Minute)
	going, err := os.OpenFile(dir+"/going", os.O_RDWR, 0)
	if err == nil {
		_, err = io.ReadFull(going, make([]byte, 3)) // each tells that it runs
	}
	if err != nil {
		t.Fatal(err)
	}
	replace(t, r, "2")
}

// replace puts the same program in the place of this one.
func replace(t *testing.T, r *Runner, life string) {
	r.Freeze()
	state := r.AppendState(nil)
	fd, err := unix.MemfdCreate("state", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, state); err != nil {
		t.Fatal(err)
	}
	for _, fd := range r.Files() {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	}
	t.Setenv(lifeEnv, life)
	t.Setenv("HOOK_TEST_STATE", fmt.Sprint(fd))
	t.Setenv("HOOK_TEST_PID", fmt.Sprint(os.Getpid()))
	t.Fatal(syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
}

func nextLife(t *testing.T) {
	var fd int
	_, _ = fmt.Sscan(os.Getenv("HOOK_TEST_STATE"), &fd)
	state := make([]byte, 1<<20)
	n, err := unix.Pread(fd, state, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	r, notice := lifeRunner(3)
	if err := r.Restore(state[:n]); err != nil {
		t.Fatal(err)
	}
	if os.Getenv(lifeEnv) == "2" {
		r.Resume()
		replace(t, r, "3") // at once: wherever the goroutines are
	}
	if os.Getenv("HOOK_TEST_PID") == fmt.Sprint(os.Getpid()) {
		fmt.Println("life 3, the same process")
	}
	r.Resume()
	if err := os.WriteFile(os.Getenv(dirEnv)+"/go", []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	for ended := 0; ended < 4; {
		select {
		case <-notice:
		case <-time.After(60 * time.Second):
			t.Fatal("no result")
		}
		for _, res := range r.Done() {
			ended++
			late := ""
			if errors.Is(res.Err, ErrTimeout) {
				late = " timeout"
			}
			fmt.Printf("result %d status %d%s\n", res.Tag, res.Status, late)
		}
	}
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err == unix.ECHILD {
		fmt.Println("no child is left")
	}
}
