//go:build vm || native

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// soon is for how long anything is waited for. Whatever is waited for comes by itself, sooner or later as the machine is quick or slow:
// the limit ends a hang, and says nothing of speed.
const soon = 3 * time.Minute

// maxHosts is what the documentation prefixes have room for, see Host.
const maxHosts = 32

// World is the network of one test: hosts, each behind an edge router of its own, and the core router between the
// edges. The middle link, from edge to core, is the one that SetPath changes, so that both ends of a path learn of a
// small MTU from a router, as on the Internet. Namespaces are called as the hosts; worlds exist one at a time.
type World struct {
	T         testing.TB
	hosts     []*Host
	processes []*Process
}

// New makes an empty world for t and removes it when t ends. It refuses to run where it would
// change the machine's network.
func New(t testing.TB) *World {
	t.Helper()
	w := &World{T: t}
	w.ready()
	t.Cleanup(w.remove)
	w.namespace("core", true)
	return w
}

// remove ends the programs, shows what they said if the test failed, and deletes the namespaces.
func (w *World) remove() {
	for _, p := range w.processes {
		p.end()
	}
	if w.T.Failed() {
		for _, p := range w.processes {
			w.T.Logf("log of %s (%s):\n%s", p.name, p.state(), p.tail())
		}
	}
	names := []string{"core"}
	for _, h := range w.hosts {
		names = append(names, h.Name, h.edge())
	}
	for _, name := range names {
		w.try("ip", "netns", "del", name)
	}
}

// namespace makes a network namespace with loopback up and, for a router, forwarding on.
func (w *World) namespace(name string, router bool) {
	w.T.Helper()
	w.run("ip", "netns", "add", name)
	settings := map[string]string{"net/ipv6/conf/default/accept_dad": "0", "net/ipv6/conf/all/accept_dad": "0"}
	if router {
		settings["net/ipv4/ip_forward"] = "1"
		settings["net/ipv6/conf/all/forwarding"] = "1"
	}
	err := within(name, func() error {
		for key, value := range settings {
			if err := os.WriteFile("/proc/sys/"+key, []byte(value), 0o644); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.T.Fatalf("namespace %s: %v", name, err)
	}
	w.batch(name, "link set lo up")
}

// Host adds a host with its edge router. The first host is 192.0.2.2 and 2001:db8::2; the n-th has all of
// 192.0.2.(8n)/29 and 2001:db8:n::/48 on its link, with the gateway at 1 and itself at 2. 198.51.100.0/25 and
// 2001:db8:ff::/48 are used between the routers; 198.51.100.128/25 and 2001:db8:fe::/48 are free for what runs in tunnels.
func (w *World) Host(name string) *Host {
	w.T.Helper()
	n := len(w.hosts)
	if n == maxHosts {
		w.T.Fatalf("a world has room for %d hosts", maxHosts)
	}
	h := &Host{
		Name: name, World: w,
		Addr4: netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", 8*n+2)),
		Addr6: netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::2", n)),
	}
	w.hosts = append(w.hosts, h)
	w.namespace(name, false)
	w.namespace(h.edge(), true)
	gate4, gate6 := fmt.Sprintf("192.0.2.%d", 8*n+1), fmt.Sprintf("2001:db8:%x::1", n)
	core4, edge4 := fmt.Sprintf("198.51.100.%d", 4*n+1), fmt.Sprintf("198.51.100.%d", 4*n+2)
	core6, edge6 := fmt.Sprintf("2001:db8:ff:%x::1", n), fmt.Sprintf("2001:db8:ff:%x::2", n)
	w.batch(h.edge(),
		"link add lan type veth peer name eth0 netns "+name,
		"link add wan type veth peer name "+h.port()+" netns core",
		"addr add "+gate4+"/29 dev lan", "addr add "+gate6+"/48 dev lan",
		"addr add "+edge4+"/30 dev wan", "addr add "+edge6+"/64 dev wan",
		"link set lan up", "link set wan up")
	w.batch("core",
		"addr add "+core4+"/30 dev "+h.port(), "addr add "+core6+"/64 dev "+h.port(),
		"link set "+h.port()+" up",
		fmt.Sprintf("route add 192.0.2.%d/29 via %s", 8*n, edge4),
		fmt.Sprintf("route add 2001:db8:%x::/48 via %s", n, edge6))
	w.batch(h.edge(), "route add default via "+core4, "route add default via "+core6)
	w.batch(name,
		"addr add "+h.Addr4.String()+"/29 dev eth0", "addr add "+h.Addr6.String()+"/48 dev eth0",
		"link set eth0 up", "route add default via "+gate4, "route add default via "+gate6)
	return h
}

// Wait looks at cond every few milliseconds and ends the test when it does not hold within the given time.
func (w *World) Wait(limit time.Duration, what string, cond func() bool) {
	w.T.Helper()
	for end := time.Now().Add(limit); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.T.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// run runs a program in the machine's own namespace and returns what it printed; a failure ends the test.
func (w *World) run(argv ...string) string {
	w.T.Helper()
	out, err := w.try(argv...)
	if err != nil {
		w.T.Fatal(err)
	}
	return out
}

func (w *World) try(argv ...string) (string, error) {
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, out)
	}
	return string(out), err
}

// batch runs ip commands in a namespace, in one process: starting programs is slow under emulation.
func (w *World) batch(namespace string, lines ...string) {
	w.T.Helper()
	cmd := exec.Command("ip", "-n", namespace, "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		w.T.Fatalf("ip in %s: %v: %s\n%s", namespace, err, out, strings.Join(lines, "\n"))
	}
}

// Program is the path of one of the project's programs, which lie beside the test program in build/, or in the folder that
// E2E_PROGRAMS names.
func (w *World) Program(name string) string {
	w.T.Helper()
	if folder := os.Getenv("E2E_PROGRAMS"); folder != "" {
		return filepath.Join(folder, name)
	}
	self, err := os.Executable()
	if err != nil {
		w.T.Fatal(err)
	}
	return filepath.Join(filepath.Dir(self), name)
}
