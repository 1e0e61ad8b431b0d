package daemon

import (
	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/datapath"
	"tunneldigger/src/listen"
	"tunneldigger/src/survive"
	"tunneldigger/src/tunnels"
)

// reopen opens the TAP interfaces that the process before has left of tunnels that fit
// into the configuration: without a listener of ours nothing would come to the others.
func (d *Daemon) reopen(left survive.Remains) {
	for i := range left {
		l := &left[i]
		s := d.named(l.Section)
		if l.FD >= 0 || s == nil || !s.user() || d.now-d.store.Alive() >= s.Config.TunnelTimeout {
			continue
		}
		if name, ok := s.core.Adoptable(l.Record); ok {
			l.FD = d.carriers.User.Reopen(name)
		}
	}
}

// adoptStored takes in the tunnels that a process has left that ended without a
// word, and whose descriptors are there. What is not whole, or whose section is gone, ends.
func (d *Daemon) adoptStored(left survive.Remains) {
	for _, s := range d.sections {
		for _, id := range s.core.Adopt(d.now, left.Adoptable(s.Config.Name)) {
			fd := left.Take(id, !s.user())
			if fd < 0 { // something else carries the section's frames now
				d.later(s, broker.Event{Kind: broker.EventLost, Tunnel: id})
				continue
			}
			info, _ := s.core.Next(id)
			t := &tunnels.Tunnel{
				ID: id, Section: &s.Section, Listener: s.Number * listen.Max, Peer: info.Peer, Local: info.Local, Interface: info.Interface(),
			}
			if err := d.tunnels.Inherit(d.now, t, &info, fd, datapath.Known{}); err != nil {
				d.later(s, broker.Event{Kind: broker.EventLost, Tunnel: id})
			}
			d.later(s, broker.Event{Kind: broker.EventAdopted, Tunnel: id})
		}
	}
	left.Close(d.store)
}

// hurry has the kernel remove what is in the way of tunnels that are made again, see madeAgain.
func (d *Daemon) hurry(left survive.Remains) {
	before := d.store.Hurry(true) // first, so that the next process knows
	if before || len(left) > 0 && !d.allUser() {
		d.calm = d.carriers.Hurry(before)
	}
	if d.calm == nil {
		d.store.Hurry(false)
	}
}

// allUser reports whether the program carries the frames of all sections.
func (d *Daemon) allUser() bool {
	for i := range d.config.Brokers {
		if d.config.Brokers[i].Datapath != config.DatapathUser {
			return false
		}
	}
	return true
}

// calmDown ends that.
func (d *Daemon) calmDown() {
	if d.calm != nil {
		d.calm()
		d.calm = nil
		d.store.Hurry(false)
	}
}

// madeAgain notices when no tunnel waits any more to be made again.
func (d *Daemon) madeAgain() {
	if !d.remaking {
		return
	}
	for _, s := range d.sections {
		if s.core.Remaking() {
			return
		}
	}
	d.remaking = false
	d.hooks.Hold(false)
	d.calmDown()
}

// remake makes the tunnels again that went with such a process: as they were, so that their
// clients notice nothing but a gap. Those that do not fit are said and thrown away; their
// clients are strangers from now on.
func (d *Daemon) remake(left survive.Remains) {
	if len(left) == 0 {
		d.calmDown()
		return
	}
	d.remaking = true
	d.hooks.Hold(true) // hundreds of programs would have the processors, and the tunnels wait
	alive, made := d.store.Alive(), 0
	if !d.store.Recorded() {
		alive = d.now // systemd has started us at once
	}
	for _, s := range d.sections {
		why := survive.LostMisfit
		if d.now-alive >= s.Config.TunnelTimeout {
			why = survive.LostOld
		}
		var ids, unfit []uint32
		ids, unfit, d.effects = s.core.Remake(d.now, alive, left.Records(s.Config.Name), d.effects[:0])
		made += len(ids)
		left.Lose(unfit, why)
		d.carryOut(s)
	}
	d.journal.Survived(left.Kept(), made, left.Forget(d.store))
	d.store.Tick(d.now, d.lookStored) // hooks have heard of their end from now on
	d.createAll()
}

// lookStored gives what the store is to keep of a tunnel.
func (d *Daemon) lookStored(id uint32) (name string, record []byte, fd int) {
	fd = -1
	if t := d.tunnels.Get(id); t != nil && !t.Closing {
		fd = t.Section.Path.Keep(id)
	}
	for _, s := range d.sections {
		if s.core.Holds(id) {
			return s.Config.Name, s.core.AppendTunnel(nil, id), fd
		}
	}
	return "", nil, fd
}
