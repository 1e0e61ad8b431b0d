//go:build vm || native

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tunneldigger/src/wire"
)

// The two capabilities that files/doc/hooks.md promises, CAP_NET_ADMIN (12) and CAP_NET_BIND_SERVICE (10), and CAP_NET_RAW (13).
const (
	ours    = "0000000000001400"
	withRaw = "0000000000003400"
	none    = "0000000000000000"
)

// sets are the capability lines of a status file below /proc, in the order of the file, and no_new_privs.
type sets struct{ Inh, Prm, Eff, Bnd, Amb, NoNewPrivs string }

func setsOf(t testing.TB, status string) (s sets) {
	t.Helper()
	for _, line := range strings.Split(status, "\n") {
		name, value, _ := strings.Cut(line, ":\t")
		switch name {
		case "CapInh":
			s.Inh = value
		case "CapPrm":
			s.Prm = value
		case "CapEff":
			s.Eff = value
		case "CapBnd":
			s.Bnd = value
		case "CapAmb":
			s.Amb = value
		case "NoNewPrivs":
			s.NoNewPrivs = value
		}
	}
	return s
}

// However it is started, the broker has the capabilities that are promised and no more, every thread of it, and does all
// that it is for; hooks have what they are promised.
func TestPrivileges(t *testing.T) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	full := setsOf(t, string(text)).Bnd
	limits := func(caps string, more ...string) []string {
		return append([]string{"setpriv", "--bounding-set=" + caps}, more...)
	}
	const two, three = "-all,+net_admin,+net_bind_service", "-all,+net_admin,+net_bind_service,+net_raw"
	nobody := func(caps string) []string {
		return limits(caps, "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps="+caps, "--ambient-caps="+caps)
	}
	for _, c := range []struct {
		name     string
		launcher []string
		hooks    string // of the hooks section
		broker   sets
		hook     sets
		long     bool
	}{
		{"root", nil, "", sets{none, ours, ours, full, none, "0"}, sets{none, full, full, full, none, "0"}, true},
		{"root, least privilege", nil, "\toption least_privilege '1'\n", sets{none, ours, ours, ours, none, "1"}, sets{none, ours, ours, ours, none, "1"}, true},
		// As systemd and procd-ujail start it.
		{"root, bounded", limits(three, "--no-new-privs"), "", sets{none, withRaw, ours, withRaw, none, "1"}, sets{none, withRaw, withRaw, withRaw, none, "1"}, false},
		{"nobody", append(nobody(two), "--no-new-privs"), "", sets{ours, ours, ours, ours, ours, "1"}, sets{ours, ours, ours, ours, ours, "1"}, true},
		{"nobody, least privilege", nobody(three), "\toption least_privilege '1'\n", sets{ours, ours, ours, withRaw, ours, "1"}, sets{ours, ours, ours, withRaw, ours, "1"}, true},
	} {
		if c.long && testing.Short() {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			w := New(t)
			server, router := w.Host("broker"), w.Host("client")
			server.addBridge(1446)
			dir := public(t, w)
			notes := filepath.Join(dir, "notes")
			hook := "#!/bin/sh\nwhile read -r line; do case $line in Cap*|NoNew*) echo \"$ACTION $line\" ;; esac; done </proc/self/status >>" + notes + "." +
				"$ACTION\n"
			if err := os.WriteFile(filepath.Join(dir, "hook"), []byte(hook), 0o755); err != nil {
				t.Fatal(err)
			}
			config := "config broker 'wan'\n\toption interface 'eth0'\n\tlist port '53'\n\toption connection_rate_limit '0'\n\toption max_tunnels '10'\n" +
				"\toption deny_list '" + dir + "/deny'\n" + bridged + "\nconfig hooks\n\toption session_up '" + dir + "/hook'\n" +
				"\toption session_down '" + dir + "/hook'\n" + c.hooks
			if err := os.WriteFile(filepath.Join(dir, "tunneldigger-broker"), []byte(config), 0o644); err != nil {
				t.Fatal(err)
			}
			b := server.Start("broker", append(c.launcher, filepath.Join(dir, "program"), "-c", dir, "--socket", dir+"/socket")...)
			b.WaitLog("listening broker=wan addresses=2 interface=eth0", soon)

			p := router.peer(0, netip.AddrPortFrom(server.Addr4, 53))
			a := p.connect("one", 1, wire.UniqueSessionID)
			p.carry("tun1", 1, a)
			router.reach("tun1")
			s := &shaped{t: t, server: server, iface: a.iface()}
			p.limit(1, wire.LimitBandwidthDown, 4, 0, 0, 7, 208)
			s.waitLimit(2000)
			p.send(wire.AppendPMTUNtfy(nil, 1300))
			b.WaitLog("tunnel MTU changed", soon)
			if l := server.Links(a.iface()); len(l) != 1 || l[0].MTU != 1300 || l[0].Master != "br-mesh" {
				t.Errorf("the interface is %+v", l)
			}
			if off, err := server.Try("cat", "/proc/sys/net/ipv6/conf/"+a.iface()+"/disable_ipv6"); err != nil || off != "1\n" {
				t.Errorf("disable_ipv6 %q %v", off, err)
			}

			tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", b.PID()))
			if err != nil || len(tasks) < 2 {
				t.Fatalf("%d threads, %v", len(tasks), err)
			}
			for _, task := range tasks {
				text, err := os.ReadFile(task)
				if err != nil {
					t.Fatal(err)
				}
				if got := setsOf(t, string(text)); got != c.broker {
					t.Errorf("%s: %+v, want %+v", task, got, c.broker)
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "deny"), []byte("one\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			b.WaitLog("tunnel closed", soon)
			server.waitGone(a.iface())
			if status := b.Stop(soon); status != 0 {
				t.Errorf("the broker ended with %d", status)
			}
			for _, action := range []string{"session.up", "session.down"} {
				text, err := os.ReadFile(notes + "." + action)
				if got := setsOf(t, strings.ReplaceAll(string(text), action+" ", "")); err != nil || got != c.hook {
					t.Errorf("%s: %+v %v, want %+v", action, got, err, c.hook)
				}
			}
			for _, bad := range []string{"error: ", "can't"} {
				if strings.Contains(b.Log(), bad) {
					t.Errorf("the log has %q", bad)
				}
			}
		})
	}
}

// public makes a folder that every user can write to, with the broker in it.
func public(t *testing.T, w *World) string {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "broker")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, err := os.ReadFile(w.Program("tunneldigger-broker"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "program"), program, 0o755)
	}
	if err == nil {
		err = os.Chmod(dir, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
