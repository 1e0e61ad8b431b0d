package daemon

import "tunneldigger/src/broker"

// judge marks a tunnel that no bridge section fits, or takes the mark away. counts
// is whether such a tunnel counts, as one that was not counted before.
func (d *Daemon) judge(s *section, f *broker.Facts, counts bool) {
	fresh, say := d.marks.Loose(s.Number, f, !s.leaving && d.bridges.Loose(s.Config.Name, f), counts)
	if !fresh {
		return
	}
	s.loosened++
	if say {
		d.log.Warn("no bridge section fits tunnels like this one: they are attached to nothing; give one section no option mtu, or add one",
			"broker", s.Config.Name, "mtu", f.MTU, "port", f.Local.Port(), "tunnel", f.Tunnel)
	}
}

// judgeAll does it for all tunnels, when there are other bridge sections.
func (d *Daemon) judgeAll(counts bool) {
	d.marks.Anew()
	d.eachTunnel(func(s *section, t *broker.TunnelInfo) {
		if t.Stands() {
			d.judge(s, &t.Facts, counts)
		}
	})
}
