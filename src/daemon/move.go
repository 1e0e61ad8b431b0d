package daemon

import "fmt"

// movesATurn is how many tunnels a turn brings to other bridges: keepalives and
// handshakes go on between.
const movesATurn = 32

// moveSome goes on with bringing tunnels where the bridge sections want them.
func (d *Daemon) moveSome() {
	for range movesATurn {
		for d.moveNext < len(d.ports.byID) && d.ports.byID[d.moveNext] == nil {
			d.moveNext++
		}
		if d.moveNext >= len(d.ports.byID) {
			d.moving = false
			return
		}
		d.wish(d.ports.byID[d.moveNext])
		d.moveNext++
	}
}

// missing says which of the bridge sections' interfaces are not there, or can't be made: their tunnels
// are attached when they come.
func (d *Daemon) missing() (texts []string) {
	for i := range d.config.Bridges {
		if err := d.wanting(&d.config.Bridges[i]); err != nil {
			texts = append(texts, fmt.Sprintf("%v: its tunnels wait for it", err))
		}
	}
	return texts
}

// ready wants the section's bridges to be there: a client is better off with another
// broker than with a tunnel to nowhere.
func (d *Daemon) ready(s *section) error {
	for i := range d.config.Bridges {
		b := &d.config.Bridges[i]
		if b.Broker != "" && b.Broker != s.config.Name {
			continue
		}
		if err := d.wanting(b); err != nil {
			return fmt.Errorf("%w: tunnels are to be attached to it", err)
		}
	}
	return nil
}
