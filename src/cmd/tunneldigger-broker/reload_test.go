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

// A reload says that another program is installed, until that has taken over: an upgrade may have been refused.
func TestReloadAfterRefusedUpgrade(t *testing.T) {
	const other = "Another program is installed than the one that runs, 1.0: upgrade has it take over.\n"
	b := startBroker(t)
	all, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		install []byte
		command string
		want    string
	}{
		{nil, "reload", "Nothing has changed.\n"},
		{all["2.0"], "reload", "Nothing has changed.\n" + other},
		{nil, "upgrade", "Upgraded from 1.0 to 2.0, 0 tunnels stand.\n"},
		{nil, "reload", "Nothing has changed.\n"},
	} {
		if step.install != nil {
			b.install(step.install)
		}
		if text, _ := b.call(step.command); text != step.want {
			t.Errorf("%s says %q, want %q", step.command, text, step.want)
		}
	}
}

// A start bears faults and names them; a reload refuses new ones, and none that are there since the start, also after
// an upgrade; check names them all the same.
func TestBear(t *testing.T) {
	b := newBroker(t)
	const old = "\nconfig log\n\toption script_lgo '/x'\n\toption verbosity 'LOUD'\n"
	faults := []string{"unknown option 'script_lgo', did you mean 'script_log'? (a start ignores it)", "verbosity 'LOUD': want DEBUG"}
	b.configure(old)
	b.start(nil)
	for _, want := range faults {
		b.await("warning: " + b.dir + "/etc/tunneldigger-broker:")
		b.await(want)
	}
	p := b.peer()
	tunnel := string(p.prepare("node"))
	reload := func(status int, want string, not ...string) {
		t.Helper()
		text, code := b.call("reload")
		if code != status || !strings.Contains(text, want) {
			t.Errorf("reload said %q, status %d, want %q, %d", text, code, want, status)
		}
		for _, n := range not {
			if strings.Contains(text, n) {
				t.Errorf("reload said %q", text)
			}
		}
	}
	check := func(status int, want ...string) {
		t.Helper()
		var out strings.Builder
		if code := run([]string{"check", "-c", filepath.Join(b.dir, "etc")}, &out, &out); code != status {
			t.Errorf("check: status %d, want %d: %s", code, status, out.String())
		}
		for _, w := range want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("check has no %q in %q", w, out.String())
			}
		}
	}
	check(1, faults...)
	reload(0, "Nothing has changed.\n")
	// The same faults on other lines, beside a change that is right.
	b.configure("\toption timeout '20'\n" + old)
	reload(0, "hooks: timeout '30' → '20'\n")
	// One that is new keeps all of it away, and is named alone; so is one of a section that has no part in anything.
	b.configure("\toption timeout '10'\n" + old + "\nconfig brodge\n")
	reload(1, "unknown section type 'brodge'", "script_lgo", "timeout")
	b.configure(old + "\nconfig broker 'x'\n\tlist port 'http'\n")
	reload(1, "broker 'x': port 'http': want 1–65535", "script_lgo")
	check(1, "port 'http': want 1–65535 (a start leaves the section out)")
	b.configure("\toption timeout '20'\n" + old)
	if text, status := b.call("upgrade"); status != 0 {
		t.Fatal(text)
	}
	b.await("upgraded from=1.0")
	reload(0, "Nothing has changed.\n")
	b.configure("\toption timeout '10'\n" + old)
	reload(0, "hooks: timeout '20' → '10'\n")
	b.configure("\toption timeout '10'\n")
	reload(0, "Nothing has changed.\n")
	check(0, "is good: 1 broker section(s) enabled")
	b.configure("\toption timeout '10'\n" + old)
	reload(1, "script_lgo")
	p.probe()
	if again := string(p.prepare("node")); again != tunnel {
		t.Errorf("TUNNEL % x, at first % x", again, tunnel)
	}
}
