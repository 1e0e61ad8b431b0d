package daemon

import (
	"tunneldigger/src/l2tp"
	"tunneldigger/src/link"
	"tunneldigger/src/shaper"
)

// proveKernel tells whether this program gets on with the kernel.
func proveKernel() error {
	tunnels, err := l2tp.Dial()
	if err != nil {
		return explain(err)
	}
	defer tunnels.Close()
	if err := tunnels.Prove(); err != nil {
		return explain(err)
	}
	links, err := link.Open()
	if err != nil {
		return err
	}
	defer links.Close()
	limits, err := shaper.Open()
	if err != nil {
		return err
	}
	return limits.Close()
}

// adopt finds the interfaces of tunnels that stand already by their names, after the
// monitor has begun, so that none goes unseen between.
func (k *kernel) adopt(d *Daemon) error {
	if len(d.ports.byID) == 0 {
		return nil
	}
	there, masters := make(map[string]int), make(map[string]int)
	names := make(map[int]string) // of masters
	err := k.link.List(func(l link.Link) {
		there[l.Name], masters[l.Name] = l.Index, l.Master
		if k.masters[l.Name] != nil {
			names[l.Index] = l.Name
		}
	})
	if err != nil {
		return err
	}
	for _, p := range d.ports.byID {
		if p == nil {
			continue
		}
		if p.index = there[p.name]; p.index == 0 {
			d.gone(p)
			continue
		}
		d.ports.byIndex[p.index] = p
		if p.master == "" && p.rise == nil { // of a process that could not tell any more
			p.master = names[masters[p.name]]
		}
		if p.master != "" {
			m := k.masters[p.master]
			if m == nil {
				m = new(master)
				k.masters[p.master] = m
			}
			if k.find(p.master) != nil || masters[p.name] != m.index {
				m.away = true // it is looked for again, and its tunnels go back to it
			}
			m.ports++
		}
	}
	return nil
}
