//go:build vm

package e2e

import (
	"tunneldigger/src/agent"
	"tunneldigger/src/client"
)

// carryTunnel makes the client's end of a tunnel in the kernel, over the socket fd, with which it goes.
func (p *peer) carryTunnel(name string, tunnel client.Tunnel, fd int) error {
	k, err := agent.OpenKernel(name)
	if err != nil {
		return err
	}
	defer k.Close()
	return k.Create(tunnel, fd, 1400)
}
