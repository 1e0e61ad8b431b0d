//go:build vm || native

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// StartBroker starts the broker on the host with the given text as its UCI file, and waits until it is bound to the
// given UDP ports. The file is in the folder that Config names.
func (h *Host) StartBroker(config string, ports ...uint16) *Broker {
	h.World.T.Helper()
	b := &Broker{Config: h.World.T.TempDir()}
	b.Write(h.World, config)
	b.Process = h.Start("broker on "+h.Name, h.World.Program("tunneldigger-broker"), "-c", b.Config, "--socket", b.socket())
	h.WaitBound(b.Process, ports...)
	return b
}

// Broker is a broker that runs.
type Broker struct {
	*Process
	Config string // the folder given with -c
}

// socket is where commands reach the broker: hosts share a file system.
func (b *Broker) socket() string { return filepath.Join(b.Config, "socket") }

// Call has the broker carry out a command, and ends the test when it does not.
func (b *Broker) Call(w *World, args ...string) string {
	w.T.Helper()
	return w.run(append([]string{w.Program("tunneldigger-broker")}, append(args, "--socket", b.socket())...)...)
}

// Write replaces the broker's UCI file.
func (b *Broker) Write(w *World, config string) {
	w.T.Helper()
	if err := os.WriteFile(filepath.Join(b.Config, "tunneldigger-broker"), []byte(carried(config)), 0o644); err != nil {
		w.T.Fatal(err)
	}
}

// StartClient starts the project's client on the host. It does not wait for the tunnel: see WaitLink.
func (h *Host) StartClient(args ...string) *Process {
	h.World.T.Helper()
	return h.Start("client on "+h.Name, append(append([]string{h.World.Program("tunneldigger-client")}, clientPath...), args...)...)
}

// WaitBound waits until something on the host is bound to each of the UDP ports, IPv4 or IPv6, and ends the test when
// the process that should do it has ended.
func (h *Host) WaitBound(p *Process, ports ...uint16) {
	h.World.T.Helper()
	for _, port := range ports {
		seen := 0 // several times in a row: first it only tries whether the port is free
		h.World.Wait(soon, fmt.Sprintf("UDP port %d bound on %s", port, h.Name), func() bool {
			if p.Ended() {
				h.World.T.Fatalf("%s ended (%s) before it was bound to port %d", p.name, p.state(), port)
			}
			if seen++; !h.bound(port) {
				seen = 0
			}
			return seen == 4
		})
	}
}

func (h *Host) bound(port uint16) bool {
	found := false
	err := h.Do(func() error {
		for _, table := range []string{"udp", "udp6"} {
			text, err := os.ReadFile("/proc/thread-self/net/" + table)
			if err != nil {
				return err
			}
			for _, line := range strings.Split(string(text), "\n") {
				fields := strings.Fields(line) // sl local_address …, the address as HEX:PORT
				found = found || len(fields) > 1 && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port))
			}
		}
		return nil
	})
	if err != nil {
		h.World.T.Fatal(err)
	}
	return found
}

// lost tells errors of a UDP send that stand for a lost datagram: a full queue, and what ICMP said of earlier ones.
func lost(err error) bool {
	for _, errno := range []error{unix.ENOBUFS, unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
