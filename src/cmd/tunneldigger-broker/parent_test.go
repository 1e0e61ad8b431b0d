//go:build !mips

package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEndWithParent kills the process that started a broker, as may happen to ujail: the broker stops in order, also after an upgrade, and
// without the option it does not.
func TestEndWithParent(t *testing.T) {
	all, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	for _, dependent := range []bool{true, false} {
		b := newBroker(t)
		words := []string{"-c", `"$@" & echo $!; wait`, "sh", b.program(), "-c", filepath.Join(b.dir, "etc"), "--socket", b.dir + "/socket", "-datapath", "none"}
		if dependent {
			words = append(words, "--end-with-parent")
		}
		jail := exec.Command("sh", words...)
		jail.Stderr = b.log
		out, err := jail.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := jail.Start(); err != nil {
			t.Fatal(err)
		}
		pid := 0
		if _, err := fmt.Fscan(out, &pid); err != nil {
			t.Fatal(err)
		}
		ended := false
		t.Cleanup(func() {
			if !ended { // it is nobody's child here
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		})
		b.await("listening")
		b.peer().prepare("node")
		b.await("line=done")
		b.install(all["2.0"])
		if text, status := b.call("upgrade"); status != 0 {
			t.Errorf("status %d: %s", status, text)
		}
		_ = jail.Process.Kill()
		_ = jail.Wait()
		if dependent {
			b.await("stopped")
			ended = true
			continue
		}
		if text, status := b.call("status"); status != 0 || !strings.Contains(text, "node") {
			t.Errorf("status %d: %s", status, text)
		}
		if err := unix.Kill(pid, unix.SIGTERM); err != nil {
			t.Error(err)
		}
		b.await("stopped")
		ended = true
	}
}
