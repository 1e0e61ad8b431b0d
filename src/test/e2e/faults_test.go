//go:build vm || native

package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	anyone   = "config broker 'wan'\n\tlist port '8942'\n"
	nobodyIs = "65534"
)

// fails runs a program on the host and holds it to exit status 1 and to one line for each of the texts, in order, besides the line that
// tells the version.
func (h *Host) fails(what string, argv []string, want ...string) {
	t := h.World.T
	t.Helper()
	// Else a start waits, as those before it have failed.
	if err := os.RemoveAll("/var/run/tunneldigger-broker.state"); err != nil {
		t.Fatal(err)
	}
	p := h.Start(what, argv...)
	if status := p.Wait(soon); status != 1 {
		t.Errorf("%s: exit status %d, want 1", what, status)
	}
	var lines []string
	for _, line := range strings.Split(strings.TrimSuffix(p.Log(), "\n"), "\n") {
		// An ordinary user may not keep a record there, which is said.
		if !strings.HasPrefix(line, "info: ") && !strings.Contains(line, "a crash would lose the tunnels") {
			lines = append(lines, line)
		}
	}
	if len(lines) != len(want) {
		t.Errorf("%s: %d lines, want %d:\n%s", what, len(lines), len(want), p.Log())
		return
	}
	for i, text := range want {
		for _, part := range strings.Split(text, " … ") {
			if !strings.Contains(lines[i], part) {
				t.Errorf("%s: line %d is %q, want %q", what, i+1, lines[i], part)
			}
		}
	}
}

// What a user gets to read who has not done everything right yet: what is wrong and what to do, in a line for each fault.
func TestFaults(t *testing.T) {
	w := New(t)
	h := w.Host("broker")
	dir := t.TempDir()
	// The programs for somebody who may not look into our folders.
	public, err := os.MkdirTemp("/run", "public")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(public) })
	if err := os.Chmod(public, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tunneldigger-broker", "tunneldigger-client"} {
		program, err := os.ReadFile(w.Program(name))
		if err == nil {
			err = os.WriteFile(filepath.Join(public, name), program, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	broker := w.Program("tunneldigger-broker")
	with := func(config string) []string {
		t.Helper()
		folder, err := os.MkdirTemp(public, "config")
		if err == nil {
			err = os.Chmod(folder, 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, "tunneldigger-broker"), []byte(config), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		return []string{broker, "-c", folder}
	}
	ordinary := func(argv ...string) []string {
		argv[0] = filepath.Join(public, filepath.Base(argv[0]))
		return append([]string{"setpriv", "--reuid", nobodyIs, "--regid", nobodyIs, "--clear-groups", "--inh-caps", "-all"}, argv...)
	}

	wrong := with("config broker 'wan'\n\tlist port '70000'\n\toption max_tunnel '10'\n\toption address '192.0.2.300'\n\n" +
		"config bridge\n\toption interface 'br-mesh'\n\toption broker 'wlan'\n\nconfig brigde\n")
	file := filepath.Join(wrong[2], "tunneldigger-broker")
	h.fails("a wrong file", wrong, file+":2: … '70000' … want 1–65535", file+":3: … 'max_tunnel' … 'max_tunnels'",
		file+":4: … '192.0.2.300' … want an IPv4 or IPv6 address", file+":8: … 'wlan' … 'wan'", file+":10: … 'brigde' … 'bridge'")
	classic := filepath.Join(dir, "l2tp_broker.cfg")
	if err := os.WriteFile(classic, []byte("[broker]\nport=53;\nmax_tunnels=ten\n[hook]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.fails("a wrong classic file", []string{broker, classic}, classic+":2: … want 1–65535", classic+":3: … 'ten' … want 1–65535",
		classic+":4: … 'hook' … 'hooks'")
	h.fails("no file", []string{broker, "-c", dir}, filepath.Join(dir, "tunneldigger-broker")+" … no such file")
	h.fails("no section enabled", with("config broker 'wan'\n\toption enabled '0'\n"), "no broker section is enabled: set option enabled '1'")
	h.fails("no section", with(""), "no broker section is enabled")

	asOrdinary := func(fault, port53 string) {
		t.Helper()
		h.fails("an ordinary user", ordinary(with(carried(anyone))...), fault)
		h.fails("an ordinary user, port 53", ordinary(with(carried("config broker 'wan'\n\tlist port '53'\n"))...), port53)
		h.fails("an ordinary user's client", ordinary(append([]string{w.Program("tunneldigger-client"), "-f", "-u", "x", "-b", "192.0.2.2:53", "-i", "t0"}, clientPath...)...), fault)
	}
	const noRight = "no CAP_NET_ADMIN: run it as root"
	if native { // where what comes after is not told
		asOrdinary(noRight, noRight)
		if err := os.Chmod("/dev/net/tun", 0o600); err != nil {
			t.Fatal(err)
		}
		const closed = "/dev/net/tun may not be opened: run it as root"
		asOrdinary(closed, closed)
	} else {
		asOrdinary(noRight, noRight+" … CAP_NET_BIND_SERVICE for ports below 1024")
	}

	var taken *net.UDPConn
	if err := h.Do(func() (err error) {
		taken, err = net.ListenUDP("udp", &net.UDPAddr{Port: 8942})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	h.fails("a port in use", with(carried(anyone)), "there is nowhere to listen: UDP 0.0.0.0:8942 is in use by … (process … end that one")
	taken.Close()
	b := h.StartBroker(anyone, 8942)
	h.fails("a broker that runs already", with(carried(anyone)), "UDP 0.0.0.0:8942 is in use by tunneldigger")
	b.Stop(soon)

	// The broker goes on here, and says once what it waits for.
	b = h.StartBroker("config broker 'wan'\n\toption interface 'wan0'\n\tlist port '8942'\n")
	if line := b.WaitLog("waiting to listen broker=wan error=\"listen on 0.0.0.0:8942", soon); !strings.Contains(line, "wan0: no such device") {
		t.Errorf("it says %q", line)
	}
	b.Stop(soon)
}
