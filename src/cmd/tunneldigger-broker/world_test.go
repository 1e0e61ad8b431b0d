//go:build !mips

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHooksKeepTheirWorld has hooks find the working directory and environment that the broker was started with, also after an upgrade, and
// nothing of what one program tells the next.
func TestHooksKeepTheirWorld(t *testing.T) {
	all, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	b := newBroker(t)
	hook := "#!/bin/sh\n. ./settings\n[ \"$UUID\" != second ] || env >" + b.dir + "/env\necho $UUID $greeting $MESH\n"
	for name, text := range map[string]string{"up": hook, "settings": "greeting=hello\n"} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chdir(b.dir); err != nil {
		t.Fatal(err)
	}
	defer os.Chdir(here)
	b.start(nil, "MESH=of-the-operator", "WATCHDOG_USEC=0")
	b.peer().prepare("first")
	b.await(`line="first hello of-the-operator"`)
	b.install(all["2.0"])
	if text, status := b.call("upgrade"); status != 0 {
		t.Fatal(text)
	}
	b.peer().prepare("second")
	b.await(`line="second hello of-the-operator"`)
	env, err := os.ReadFile(filepath.Join(b.dir, "env"))
	if err != nil {
		t.Fatal(err)
	}
	for _, own := range []string{"TUNNELDIGGER_STATE=", "LISTEN_PID=", "WATCHDOG_USEC="} {
		if strings.Contains("\n"+string(env), "\n"+own) {
			t.Errorf("%s in\n%s", own, env)
		}
	}
}
