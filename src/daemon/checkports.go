package daemon

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"tunneldigger/src/config"
	"tunneldigger/src/occupant"
	"tunneldigger/src/sock"
)

// CheckPorts names the addresses and ports that a broker with this configuration
// could not listen on now, as lines for an operator. What a running broker has,
// what may not be tried without more rights, and interfaces that are missing are
// left out: none of it is a fault.
func CheckPorts(c *config.Config) (notices []string) {
	var look occupant.Look
	comm, _ := os.ReadFile("/proc/self/comm")
	self := string(bytes.TrimSpace(comm))
	for i := range c.Brokers {
		b := &c.Brokers[i]
		if strings.HasPrefix(b.Interface, config.NoDevice) {
			continue
		}
		for _, at := range endpoints(b) {
			_, err := sock.Busy(at, b.Interface)
			if taken := portFree(at, b.Interface); taken != nil {
				err = taken
			}
			switch errnoOf(err) {
			case unix.EADDRINUSE:
				if who := look.Of(at); who.PID == 0 || who.Name == self {
					continue
				}
			case unix.EADDRNOTAVAIL:
				if noIPv6(b, at, err) {
					continue
				}
			default:
				continue
			}
			notices = append(notices, fmt.Sprintf("broker '%s': %s", b.Name, words(&look, at, err)))
		}
	}
	return notices
}
