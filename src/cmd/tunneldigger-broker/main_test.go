package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "l2tp_broker.cfg")
	bad := filepath.Join(dir, "bad.cfg")
	deny, listed := filepath.Join(dir, "deny"), filepath.Join(dir, "listed")
	if err := os.Mkdir(listed, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		good: "[broker]\naddress=127.0.0.1\nport=53,123,8942\ninterface=lo\nmax_tunnels=1024\n[hooks]\nsession.up=\n",
		bad:  "[broker]\nport=70000\nmax_tunnel=1\n",
		filepath.Join(dir, "tunneldigger-broker"):    "config broker 'wan'\n\toption enabled '1'\n",
		filepath.Join(listed, "tunneldigger-broker"): "config broker\n\toption deny_list '" + deny + "'\n\toption allow_list '" + dir + "/none'\n",
		deny: "# one a line\nlost-node\ntwo words\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args   string
		status int
		out    []string // what standard output or error has
	}{
		{"--version", 0, []string{"tunneldigger-broker " + version}},
		{"--help", 0, []string{"convert FILE", "Exit status"}},
		{"-h", 0, []string{"convert FILE"}},
		{"check " + good, 0, []string{"is good: 1 broker"}},
		{"check -c " + dir, 0, []string{"is good: 1 broker"}},
		{"check -c=" + dir, 0, []string{"is good: 1 broker"}},
		{"-c " + dir + " check", 0, []string{"is good: 1 broker"}},
		{"check " + bad, 1, []string{bad + ":2", "1–65535", bad + ":3", "max_tunnels"}},
		{bad, 1, []string{bad + ":2"}},
		{"check " + dir + "/none.cfg", 1, []string{dir + "/none.cfg: no such file", "l2tp_broker.cfg"}},
		{"check -c " + dir + "/none", 1, []string{dir + "/none/tunneldigger-broker: no such file", "write it", "-c DIR"}},
		{"check -c " + listed, 1, []string{deny + ":3", "an IP address", dir + "/none: no such file", "nobody is let in"}},
		{"convert " + good, 0, []string{"config broker", "list port '8942'"}},
		{"convert", 2, []string{"want a FILE"}},
		{"status --socket " + dir + "/none", 1, []string{dir + "/none: no broker answers there", "--socket"}},
		{"status --json --socket " + good, 1, []string{"no broker answers"}},
		{"status --json --prometheus", 2, []string{"not both"}},
		{"status --tunnels", 2, []string{"for status --prometheus"}},
		{"status all", 2, []string{"one word too many"}},
		{"reload " + good, 2, []string{"one word too many"}},
		{"kick", 2, []string{"want a TUNNEL_ID or UUID"}},
		{"kick 100 --json", 2, []string{"--json is for status"}},
		{"drain on", 2, []string{"one word too many"}},
		{"drain off --close-rate 3", 2, []string{"not for drain off"}},
		{"check --socket x", 2, []string{"--socket is for"}},
		{"probe", 2, []string{"want a HOST"}},
		{"probe 127.0.0.1:70000", 1, []string{"70000", "1–65535"}},
		{"probe -u $x 127.0.0.1", 1, []string{"UUID"}},
		{"statsu", 2, []string{`unknown command "statsu"`}},
		{"--frobnicate", 2, []string{"--frobnicate"}},
		{"-c", 2, []string{"want a value"}},
		{"-c " + dir + " " + good, 2, []string{"not both"}},
		{good + " " + bad, 2, []string{"one FILE"}},
		{"-datapath soft " + good, 2, []string{"want kernel or none"}},
		{"check -datapath none " + good, 2, []string{"for running"}},
		{"check --devices x " + good, 2, []string{"for running"}},
		{"--devices " + dir + "/none " + good, 1, []string{"which device", "no such file"}},
		{"-u x " + good, 2, []string{"-u is for probe"}},
	} {
		t.Run(c.args, func(t *testing.T) {
			var out strings.Builder
			status := run(strings.Fields(c.args), &out, &out)
			if status != c.status {
				t.Errorf("status %d, want %d: %s", status, c.status, out.String())
			}
			for _, want := range c.out {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in: %s", want, out.String())
				}
			}
		})
	}
}
