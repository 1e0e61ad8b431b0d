package daemon

import (
	"tunneldigger/src/config"
	"tunneldigger/src/gate"
	"tunneldigger/src/poll"
)

// openGate makes what decides who may come in. No list is read yet.
func (d *Daemon) openGate() error {
	var err error
	if d.lists, err = gate.NewLists(d.log, d.wake.Notify); err != nil {
		d.journal.ListsLate(d.now, err)
		return nil
	}
	return d.poller.Add(d.lists.FD(), tokenLists, poll.Read)
}

// followLists brings the lists that the sections have now into force, anew: also
// those that were read before.
func (d *Daemon) followLists(anew bool) {
	var sections []*config.Broker
	for _, s := range d.sections {
		sections = append(sections, s.Config)
	}
	d.journal.ListsLate(d.now, d.lists.Follow(d.now, sections, anew))
	for _, s := range d.sections {
		d.enforce(s)
	}
}

// enforce puts the lists of a section into force.
func (d *Daemon) enforce(s *section) {
	allow, deny := d.lists.For(s.Config)
	d.effects = s.core.SetLists(d.now, allow, deny, d.effects[:0])
	d.carryOut(s)
	d.settle()
}

// collectLists puts into force what has been read.
func (d *Daemon) collectLists() {
	for _, path := range d.lists.Collect(d.now) {
		for _, s := range d.sections {
			if s.Config.AllowList == path || s.Config.DenyList == path {
				d.enforce(s)
			}
		}
	}
}
