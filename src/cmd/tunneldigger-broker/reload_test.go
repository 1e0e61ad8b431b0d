//go:build !mips

// QEMU, under which the tests for mips run, lets a program of theirs start none of their kind.

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Both files are read again: the configuration, and which devices stand for its
// interfaces.
func TestReload(t *testing.T) {
	devices := filepath.Join(t.TempDir(), "devices")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(devices, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("mesh lo\n")
	b := startBroker(t, "--devices", devices)
	reload := func(status int, want ...string) {
		t.Helper()
		text, code := b.call("reload")
		for _, w := range want {
			if code != status || !strings.Contains(text, w) {
				t.Errorf("reload said %q, status %d, want %q, %d", text, code, w, status)
			}
		}
	}
	p := b.peer()
	tunnel := string(p.prepare("node"))
	reload(0, "Nothing has changed.\n")
	b.configure("\nconfig log\n\toption verbosity 'DEBUG'\n")
	reload(0, "Reloaded.\nlog: verbosity 'INFO' → 'DEBUG'\n")
	b.configure("\nconfig broker 'second'\n\toption interface 'mesh'\n\toption tunnel_id_base '5000'\n\tlist port '1'\n")
	reload(0, "broker 'second': new\n")
	write("mesh\n")
	reload(0, "broker 'second': interface 'lo' → 'mesh' (which has no device now)\nbroker 'second' waits to listen: interface mesh has no device now\n")
	b.configure("\nconfig broker 'second'\n\tlist port '0'\n\toption nonsense '1'\n")
	reload(1, "port '0': want 1–65535", "unknown option 'nonsense'")
	if err := os.Remove(devices); err != nil {
		t.Fatal(err)
	}
	b.configure("")
	reload(1, "which device stands for which interface")
	write("")
	reload(0, "broker 'second': removed\n")
	p.probe()
	if again := string(p.prepare("node")); again != tunnel {
		t.Errorf("TUNNEL % x, at first % x", again, tunnel)
	}
}
