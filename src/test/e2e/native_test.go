//go:build native && !vm

package e2e

import (
	"os"
	"testing"
	"time"

	"tunneldigger/src/agent"
	"tunneldigger/src/client"
)

func TestMain(m *testing.M) {
	if status, here := Apart(); !here {
		os.Exit(status)
	}
	m.Run()
}

// past is a deadline that has been.
var past = time.Unix(1, 0)

// carryTunnel makes the client's end of a tunnel on a TAP device, over the socket fd.
func (p *peer) carryTunnel(name string, tunnel client.Tunnel, fd int) error {
	u, err := agent.OpenUser(name)
	if err != nil {
		return err
	}
	u.Deliver(p.take)
	if err := u.Create(tunnel, fd, 1400); err != nil {
		return err
	}
	p.carrier = u
	_ = p.conn.SetReadDeadline(past) // it is read there from now on
	return nil
}

// removal is for the kernel's tunnels: interfaces of the program's own data path outlive it.
func (h *Host) removal(int, string) time.Duration { return 0 }
