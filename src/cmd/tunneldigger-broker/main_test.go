package main

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
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

// What check says beyond the file's faults, and for whom the exit status is.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	hooks := filepath.Join(dir, "home", "hooks")
	if err := os.MkdirAll(hooks, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(path, text string, mode os.FileMode) string {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	self, err := os.Executable() // under emulation the machine's own programs are for another processor
	if err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(hooks, "up"), "#!"+self+"\n", 0o755)
	write(filepath.Join(hooks, "down"), "#!/bin/sh\n", 0o644)
	write(filepath.Join(hooks, "README"), "not a hook", 0o644)
	up := "[hooks]\nsession.up=" + hooks + "/up\n"
	for _, c := range []struct {
		name, text string
		status     int // without --start; with it 0
		want       []string
	}{
		{"hooks that run", "[broker]\n" + up, 0, []string{"is good"}},
		{"a missing one", "[broker]\n" + up + "session.down=home/hooks/none\n", 1, []string{"hook session.down: ", hooks + "/none", "session.down 'home/hooks/none' is taken as"}},
		{"one that is not executable", "[broker]\n" + up + "session.pre-down=" + hooks + "/down\n", 1, []string{"hook session.pre-down: ", "chmod +x"}},
		{"a folder", "[broker]\n[hooks]\ndirectory=" + hooks + "\n", 1, []string{"hooks: " + hooks + "/down is not executable"}},
		{"a folder that is a file", "[broker]\n[hooks]\ndirectory=" + hooks + "/up\n", 1, []string{"hooks: ", hooks + "/up"}},
		{"a folder that may still come", "[broker]\n[hooks]\ndirectory=" + hooks + "/none\n", 0, []string{"is good"}},
		{"a fault", "[broker]\ntunnel_id_base=0\n" + up, 1, []string{"(a start takes 1)"}},
		{"a rate", "[broker]\nconnection_rate_limit=10\n", 0, []string{"1024 nodes", "2 hours 51 minutes", "0.292", "is good"}},
		{"a name that is known", "[broker]\naddress=localhost\n", 0, []string{"is good"}},
		{"one that is not, of two", "[broker]\naddress=localhost nobody.invalid\n", 1, []string{"address 'nobody.invalid': ", "(a start leaves it out)"}},
	} {
		path := write(filepath.Join(dir, "l2tp_broker.cfg"), c.text, 0o644)
		for _, args := range [][]string{{"check", path}, {"check", "--start", path}} {
			var out strings.Builder
			want := c.status
			if len(args) == 3 {
				want = 0
			}
			if status := run(args, &out, &out); status != want {
				t.Errorf("%s: %q: status %d, want %d: %s", c.name, args, status, want, out.String())
			}
			for _, w := range c.want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("%s: no %q in: %s", c.name, w, out.String())
				}
			}
		}
	}
	var out, errs strings.Builder
	path := write(filepath.Join(dir, "l2tp_broker.cfg"), "[broker]\nport=x\n[log]\nverbosity=LOUD\n", 0o644)
	if status := run([]string{"check", "--start", path}, &out, &errs); status != 1 || !strings.Contains(errs.String(), "port 'x': want 1–65535\n") {
		t.Errorf("what stops a start: status %d: %s", status, errs.String())
	}
	errs.Reset()
	path = write(path, "[broker]\nport=53,x\npmtu_discovery=0\n", 0o644)
	if status := run([]string{"convert", path}, &out, &errs); status != 0 || !strings.Contains(errs.String(), "port 'x': want 1–65535 (a start leaves it out)\n") ||
		!strings.Contains(out.String(), "option pmtu '1446'") {
		t.Errorf("convert: status %d: %s%s", status, out.String(), errs.String())
	}
}

// Addresses that a name has had hold while nobody answers for it, and who does not answer is not waited for.
func TestLookup(t *testing.T) {
	want := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	answers := make(chan bool, 1)
	answers <- true
	stop := make(chan bool)
	defer close(stop)
	server := func(name string) ([]netip.Addr, error) {
		select {
		case <-answers:
			return want, nil
		case <-stop:
			return nil, errors.New("stopped")
		}
	}
	o := &options{}
	if found, err := o.remembering(within(time.Hour, server))("gw"); err != nil || !slices.Equal(found, want) {
		t.Errorf("got %v, %v, want %v", found, err, want)
	}
	find := o.remembering(within(time.Millisecond, server))
	if found, err := find("gw"); err != nil || !slices.Equal(found, want) {
		t.Errorf("without an answer: got %v, %v, want %v", found, err, want)
	}
	if found, err := find("other"); err == nil || !strings.Contains(err.Error(), "no name server has answered in 1ms") {
		t.Errorf("another name: got %v, %v", found, err)
	}
}
