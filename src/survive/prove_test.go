//go:build !mips

// QEMU, under which the tests for mips run, lets a program of theirs start none of their kind.

package survive

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A program is asked beside the caller, who is woken when it has answered, and hears of it once.
func TestTry(t *testing.T) {
	for script, want := range map[string]string{
		"cat >/dev/null; echo understood by 9.9": "9.9", "echo broken; exit 3": "exit status 3: broken", "echo hello": "does not know how to take over",
	} {
		program := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		woken := make(chan struct{})
		trial := Try(program, []byte("state"), func() { close(woken) })
		<-woken
		version, done, err := trial.Answer()
		if err != nil {
			version = err.Error()
		}
		if !done || !strings.Contains(version, want) || trial.Program != program {
			t.Errorf("%q, done %v, want %q", version, done, want)
		}
		if _, done, _ := trial.Answer(); done {
			t.Error("answered twice")
		}
	}
}
