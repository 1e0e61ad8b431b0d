//go:build vm || native

package e2e

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Host is a machine of its own in the test's network: a network namespace with the interface eth0. More addresses of
// its two prefixes (see World.Host) may be added to eth0 and are routed.
type Host struct {
	Name         string
	Addr4, Addr6 netip.Addr
	World        *World
}

func (h *Host) edge() string { return h.Name + "-edge" }

// port is the core's interface towards the host; a number, as names may be longer than interface names can be.
func (h *Host) port() string { return fmt.Sprintf("to-%d", h.Addr4.As4()[3]/8) }

// Path says how the link between a host's edge router and the core behaves, in both directions.
type Path struct {
	MTU                      int // 0: 1500
	Delay                    time.Duration
	Loss, Duplicate, Reorder float64 // percent; Reorder needs a Delay, which the reordered datagrams are spared
}

// SetPath changes the host's path, also while traffic flows.
func (h *Host) SetPath(p Path) {
	h.World.T.Helper()
	if p.MTU == 0 {
		p.MTU = 1500
	}
	for _, end := range [][2]string{{h.edge(), "wan"}, {"core", h.port()}} {
		h.World.batch(end[0], fmt.Sprintf("link set %s mtu %d", end[1], p.MTU))
		tc := []string{"tc", "-n", end[0], "qdisc", "replace", "dev", end[1], "root"}
		if p.Delay == 0 && p.Loss == 0 && p.Duplicate == 0 && p.Reorder == 0 {
			h.World.run(append(tc, "pfifo")...)
			continue
		}
		tc = append(tc, "netem", "limit", "100000")
		for _, effect := range []struct {
			name  string
			value float64
			unit  string
		}{
			{"delay", float64(p.Delay.Microseconds()), "us"},
			{"loss", p.Loss, "%"}, {"duplicate", p.Duplicate, "%"}, {"reorder", p.Reorder, "%"},
		} {
			if effect.value > 0 {
				tc = append(tc, effect.name, fmt.Sprintf("%g%s", effect.value, effect.unit))
			}
		}
		h.World.run(tc...)
	}
}

// Do runs f on a thread that is in the host's network namespace: the sockets it makes stay there, /proc/sys/net and
// /proc/thread-self/net are the host's.
func (h *Host) Do(f func() error) error { return within(h.Name, f) }

// within runs f in the network namespace of the given name.
func within(namespace string, f func() error) error {
	result := make(chan error)
	go func() {
		// The thread is locked and never unlocked: it ends with this goroutine and nothing else ever runs on it.
		runtime.LockOSThread()
		result <- func() error {
			fd, err := unix.Open("/run/netns/"+namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("open namespace %s: %w", namespace, err)
			}
			defer unix.Close(fd)
			if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter namespace %s: %w", namespace, err)
			}
			return f()
		}()
	}()
	return <-result
}

// Run runs a program on the host and returns what it printed; a failure ends the test.
func (h *Host) Run(argv ...string) string {
	h.World.T.Helper()
	return h.World.run(append([]string{"ip", "netns", "exec", h.Name}, argv...)...)
}

// Try runs a program on the host and returns what it printed and how it ended.
func (h *Host) Try(argv ...string) (string, error) {
	return h.World.try(append([]string{"ip", "netns", "exec", h.Name}, argv...)...)
}

// IP runs `ip` commands on the host, each as one line of words.
func (h *Host) IP(lines ...string) {
	h.World.T.Helper()
	h.World.batch(h.Name, lines...)
}

// Ping sends three echo requests, with more arguments for ping as given (-s 1400 -M do), and is an error unless every
// one is answered. The destination may have a zone.
func (h *Host) Ping(to netip.Addr, args ...string) error {
	argv := append([]string{"ping", "-n", "-q", "-c", "3", "-i", "0.2", "-W", "2"}, args...)
	out, err := h.Try(append(argv, to.String())...)
	if err == nil && !strings.Contains(out, " 0% packet loss") {
		err = fmt.Errorf("ping %s: %s", to, out)
	}
	return err
}

// Link is an interface as `ip` shows it.
type Link struct {
	Index    int      `json:"ifindex"`
	Name     string   `json:"ifname"`
	MTU      int      `json:"mtu"`
	Master   string   `json:"master"`
	Flags    []string `json:"flags"`
	Address  string   `json:"address"`
	LinkInfo struct {
		Port struct {
			Isolated bool `json:"isolated"`
		} `json:"info_slave_data"`
	} `json:"linkinfo"`
}

// Up reports whether the interface is administratively up.
func (l Link) Up() bool {
	for _, flag := range l.Flags {
		if flag == "UP" {
			return true
		}
	}
	return false
}

// Links lists the host's interfaces whose names begin with prefix.
func (h *Host) Links(prefix string) []Link {
	h.World.T.Helper()
	var all, wanted []Link
	var text string
	h.World.Wait(soon, "a whole list of links", func() bool {
		text = h.World.run("ip", "-n", h.Name, "-d", "-j", "link", "show")
		return !strings.HasPrefix(text, "Dump was interrupted") // by something that changed meanwhile
	})
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		h.World.T.Fatalf("ip -j link: %v: %s", err, text)
	}
	for _, l := range all {
		if strings.HasPrefix(l.Name, prefix) {
			wanted = append(wanted, l)
		}
	}
	return wanted
}

// LinkNames is Links for the names alone: quick, also with thousands of interfaces.
func (h *Host) LinkNames(prefix string) []string {
	h.World.T.Helper()
	var names []string
	err := h.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/dev")
		for _, line := range strings.Split(string(text), "\n") {
			if name, _, found := strings.Cut(strings.TrimSpace(line), ":"); found && strings.HasPrefix(name, prefix) {
				names = append(names, name)
			}
		}
		return err
	})
	if err != nil {
		h.World.T.Fatal(err)
	}
	return names
}

// WaitLink waits until the interface is there and up.
func (h *Host) WaitLink(name string, limit time.Duration) Link {
	h.World.T.Helper()
	var found Link
	h.World.Wait(limit, fmt.Sprintf("interface %s on %s", name, h.Name), func() bool {
		for _, l := range h.Links(name) {
			if l.Name == name && l.Up() {
				found = l
				return true
			}
		}
		return false
	})
	return found
}
