package daemon

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"tunneldigger/src/broker"
	"tunneldigger/src/control"
)

// maxCloseRate is the largest number of tunnels that drain closes in a minute.
const maxCloseRate = 6000

// draining reports whether the sections are being drained, and how many tunnels
// each closes in a minute.
func (d *Daemon) draining() (on bool, rate int) {
	for _, s := range d.sections {
		if !on {
			on, rate = s.core.Draining()
		}
	}
	return on, rate
}

// commandDrain is drain, drain off, or drain close-rate N.
func (d *Daemon) commandDrain(c *control.Conn, args []string) {
	on, rate := true, 0
	switch {
	case len(args) == 0:
	case len(args) == 1 && args[0] == "off":
		on = false
	case len(args) == 2 && args[0] == "close-rate":
		n, err := strconv.Atoi(args[1])
		if err != nil || n < 1 || n > maxCloseRate {
			c.Finish("", fmt.Errorf("close rate %q: want tunnels a minute, 1–%d", args[1], maxCloseRate))
			return
		}
		rate = n
	default:
		c.Finish("", errors.New("want drain, drain off, or drain close-rate N"))
		return
	}
	was, _ := d.draining()
	tunnels := 0
	for _, s := range d.sections {
		tunnels += s.core.Tunnels()
		d.effects = s.core.Drain(d.now, on, rate, d.effects[:0])
		d.carryOut(s)
	}
	switch {
	case on && rate > 0:
		d.log.Info("draining", "tunnels", tunnels, "close_rate", rate)
		c.Finish(fmt.Sprintf("Draining: no new tunnels; of %d, %d a minute are closed in each broker section.\n", tunnels, rate), nil)
	case on:
		d.log.Info("draining", "tunnels", tunnels)
		c.Finish(fmt.Sprintf("Draining: no new tunnels; %d stay.\n", tunnels), nil)
	case was:
		d.log.Info("draining has ended", "tunnels", tunnels)
		c.Finish("New tunnels are taken again.\n", nil)
	default:
		c.Finish("It was not draining.\n", nil)
	}
}

// commandKick is kick ID or kick UUID, the latter also as status shows it. What is
// the ID of a tunnel is that first.
func (d *Daemon) commandKick(c *control.Conn, args []string) {
	if len(args) != 1 {
		c.Finish("", errors.New("want kick TUNNEL_ID or kick UUID"))
		return
	}
	var text strings.Builder
	var found, closed int
	kick := func(s *section, t *broker.TunnelInfo) {
		found++
		if !t.Stands() {
			return
		}
		closed++
		fmt.Fprintf(&text, "Tunnel %d of %s is being closed.\n", t.Tunnel, d.journal.UUID(t.UUID))
		d.handle(s, &broker.Event{Kind: broker.EventKick, Tunnel: t.Tunnel})
	}
	if id, err := strconv.ParseUint(args[0], 10, 32); err == nil {
		d.eachTunnel(func(s *section, t *broker.TunnelInfo) {
			if t.Tunnel == uint32(id) {
				kick(s, t)
			}
		})
	}
	if found == 0 {
		d.eachTunnel(func(s *section, t *broker.TunnelInfo) {
			if t.UUID == args[0] || d.journal.UUID(t.UUID) == args[0] {
				kick(s, t)
			}
		})
	}
	switch {
	case found == 0:
		c.Finish("", fmt.Errorf("no tunnel has the ID or UUID %q", args[0]))
	case closed == 0:
		c.Finish("", errors.New("it does not stand: it is on its way up or down already"))
	default:
		c.Finish(text.String(), nil)
	}
}

// eachTunnel goes through all tunnels, in order of section and ID.
func (d *Daemon) eachTunnel(f func(s *section, t *broker.TunnelInfo)) {
	for _, s := range d.sections {
		for t, ok := s.core.Next(0); ok; t, ok = s.core.Next(t.Tunnel + 1) {
			f(s, &t)
		}
	}
}
