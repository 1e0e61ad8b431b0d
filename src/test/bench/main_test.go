//go:build bench

package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestMain is the bench, or, when a role is named, one of the bare loops, as a process of its own.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "role" {
		role, known := roles[os.Args[2]]
		err := fmt.Errorf("no role %q", os.Args[2])
		if known {
			err = role(os.Args[3:])
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	status := m.Run()
	figures.print()
	os.Exit(status)
}

var roles = map[string]func(args []string) error{"keepalives": bareKeepalives, "echo": bareEcho}

// role gives the command line that runs a role.
func role(t testing.TB, name string, args ...string) []string {
	t.Helper()
	return append([]string{self(t), "role", name}, args...)
}

func self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// brokerProgram is the broker that lies beside the bench in build/.
func brokerProgram(t testing.TB) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(self(t)), "tunneldigger-broker")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run this with `make bench-native` or `make bench`", err)
	}
	return path
}

// start starts a program and ends it with the test.
func start(t testing.TB, argv ...string) *exec.Cmd {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(argv[0], argv[1:]...)
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		_ = c.Wait()
		if text, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("%s said:\n%.4000s", argv[0], text)
		}
		log.Close()
	})
	return c
}

// await looks every few milliseconds until cond holds.
func await(t testing.TB, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}
