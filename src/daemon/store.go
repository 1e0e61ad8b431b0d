package daemon

import (
	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
	"tunneldigger/src/datapath"
	"tunneldigger/src/listen"
	"tunneldigger/src/survive"
	"tunneldigger/src/tunnels"
)

// lastInterfaces has TAP interfaces outlive the process where it leaves a record of
// their tunnels, and no descriptors.
func (d *Daemon) lastInterfaces() {
	if d.carriers.User != nil {
		d.carriers.User.Lasting = d.store.Recorded()
	}
}

// reopen opens the TAP interfaces that the process before has left.
func (d *Daemon) reopen(left []survive.Left) []survive.Left {
	for i := range left {
		l := &left[i]
		name, ok := broker.Adoptable(l.Record)
		if s := d.named(l.Section); l.FD < 0 && ok && s != nil && s.user() && d.now-d.store.Alive() < s.Config.TunnelTimeout {
			l.FD = d.carriers.User.Reopen(name)
		}
	}
	return left
}

// adoptStored takes in the tunnels that a process has left that ended without a
// word, and whose descriptors are there. What is not whole, or whose section is gone, ends.
// It gives the others.
func (d *Daemon) adoptStored(left []survive.Left) (others []survive.Left) {
	byID := make(map[uint32]*survive.Left, len(left))
	for i := range left {
		if left[i].FD < 0 {
			others = append(others, left[i])
		} else {
			byID[left[i].ID] = &left[i]
		}
	}
	if len(byID) == 0 {
		return others
	}
	adopted := 0
	for _, s := range d.sections {
		var records [][]byte
		for i := range left {
			if left[i].FD >= 0 && left[i].Section == s.Config.Name {
				records = append(records, left[i].Record)
			}
		}
		for _, id := range s.core.Adopt(d.now, records) {
			l := byID[id]
			info, _ := s.core.Next(id)
			if l != nil && isSocket(l.FD) == s.user() { // something else carries the section's frames now
				l = nil
			}
			if l == nil {
				d.later(s, broker.Event{Kind: broker.EventLost, Tunnel: id})
				continue
			}
			delete(byID, id)
			t := &tunnels.Tunnel{
				ID: id, Section: &s.Section, Listener: s.Number * listen.Max, Peer: info.Peer, Local: info.Local, Interface: info.Interface(),
			}
			if err := d.tunnels.Inherit(d.now, t, &info, l.FD, datapath.Known{}); err != nil {
				d.later(s, broker.Event{Kind: broker.EventLost, Tunnel: id})
			}
			d.later(s, broker.Event{Kind: broker.EventAdopted, Tunnel: id})
			adopted++
		}
	}
	for id, l := range byID {
		d.store.Drop(id)
		d.store.Release(id)
		_ = unix.Close(l.FD)
	}
	d.log.Warn("the broker before this one ended without a word", "tunnels_kept", adopted, "tunnels_lost", len(byID))
	return others
}

// isSocket reports whether a tunnel lives by a socket, as the kernel's do, and not by a
// device.
func isSocket(fd int) bool {
	_, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	return err == nil
}

// noteStored keeps the store in step with what a core says.
func (d *Daemon) noteStored(e *broker.Effect) {
	switch e.Note {
	case broker.NoteUp, broker.NoteMTU, broker.NoteLimit, broker.NoteClosed:
		d.store.Keep(e.Tunnel)
	}
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
