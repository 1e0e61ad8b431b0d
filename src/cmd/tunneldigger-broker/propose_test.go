//go:build !router && !mips

// In emulation of mips check says of a hook that its shell is for another processor, as this machine's is.

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A classic file whose hooks bridge tunnels, with functions in a file that is named from the folder of the configuration on, is
// converted with the section that replaces them; it stands in a comment, so that the file read back is what it was.
func TestProposal(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("scripts/lib.sh", "bridged() {\n brctl addbr $1 && ip addr add 198.51.100.1/24 dev $1 && ip rule add iif $1 lookup 7777 prio 900\n brctl addif $1 $2\n}\n")
	write("scripts/up.sh", "#!/bin/sh\n. scripts/lib.sh\nbridged digger$4 $3\n")
	write("scripts/limit.sh", "#!/bin/sh\nipset add blocked $1\n")
	path := write("l2tp_broker.cfg", "[broker]\nport=53\n[hooks]\nsession.up=scripts/up.sh\nbroker.connection-rate-limit=scripts/limit.sh\n")
	convert := func() string {
		t.Helper()
		var out, errs strings.Builder
		if status := run([]string{"convert", path}, &out, &errs); status != exitFine || errs.Len() > 0 {
			t.Fatalf("status %d: %s", status, errs.String())
		}
		return out.String()
	}
	whole := convert()
	_, proposal, _ := strings.Cut(whole, "\n# ")
	for _, want := range []string{"config bridge 'tunnels'", "\toption interface 'digger%m'", "\toption create '1'", "\tlist address '198.51.100.1/24'",
		"\toption table '7777'", "\toption priority '900'", "session_up"} {
		if !strings.Contains(proposal, "\n# "+want+"\n") {
			t.Errorf("no line %q in the comment: %s", want, whole)
		}
	}
	write("uci/tunneldigger-broker", whole)
	var out strings.Builder
	if status := run([]string{"check", "-c", filepath.Join(dir, "uci")}, &out, &out); status != exitFine {
		t.Errorf("what convert writes: status %d: %s", status, out.String())
	}
	taken := strings.ReplaceAll(whole, "\n# config bridge", "\nconfig bridge")
	write("uci/tunneldigger-broker", strings.ReplaceAll(taken, "\n# \t", "\n\t"))
	out.Reset()
	if status := run([]string{"check", "-c", filepath.Join(dir, "uci")}, &out, &out); status != exitFine {
		t.Errorf("with the section: %s", out.String())
	}

	write("scripts/up.sh", "#!/bin/sh\nbatctl if add $3\n")
	if got := convert(); strings.Contains(got, "#") {
		t.Errorf("hooks that do something else: %s", got)
	}
	if err := os.Remove(filepath.Join(dir, "scripts/up.sh")); err != nil {
		t.Fatal(err)
	}
	if got := convert(); !strings.Contains(got, "# "+dir+"/scripts/up.sh: no such file or directory: what it does was not looked at\n") {
		t.Errorf("a hook that is not there: %s", got)
	}
}
