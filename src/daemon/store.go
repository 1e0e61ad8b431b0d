package daemon

import (
	"tunneldigger/src/broker"
	"tunneldigger/src/poll"
	"tunneldigger/src/sock"
	"tunneldigger/src/survive"
)

// adoptStored takes in the tunnels that a process has left that ended without a
// word. What is not whole, or whose section is gone, ends.
func (d *Daemon) adoptStored(left []survive.Left) {
	byID := make(map[uint32]*survive.Left, len(left))
	for i := range left {
		byID[left[i].ID] = &left[i]
	}
	adopted := 0
	for _, s := range d.sections {
		var records [][]byte
		for i := range left {
			if left[i].Section == s.config.Name {
				records = append(records, left[i].Record)
			}
		}
		for _, id := range s.core.Adopt(d.now, records) {
			l := byID[id]
			info, _ := s.core.Next(id)
			if l == nil {
				d.later(s, broker.Event{Kind: broker.EventLost, Tunnel: id})
				continue
			}
			delete(byID, id)
			p := &port{
				id: id, section: s, listener: s.number * maxListeners, fd: l.FD, peer: sock.NewPeer(info.Peer), local: info.Local,
				name: info.Interface(),
			}
			d.ports.add(p)
			if err := d.poller.Add(l.FD, tokenTunnel|uint64(id), poll.Read); err != nil {
				d.later(s, broker.Event{Kind: broker.EventLost, Tunnel: id})
			}
			d.later(s, broker.Event{Kind: broker.EventAdopted, Tunnel: id})
			adopted++
		}
	}
	for id, l := range byID {
		d.store.Release(id)
		p := port{fd: l.FD}
		p.closeSocket()
	}
	d.moving = true // they are where they were; perhaps the configuration has changed
	d.log.Warn("the broker before this one ended without a word", "tunnels_kept", adopted, "tunnels_lost", len(byID))
}

// noteStored keeps the store in step with what a core says.
func (d *Daemon) noteStored(e *broker.Effect) {
	switch e.Note {
	case broker.NoteUp, broker.NoteMTU, broker.NoteLimit:
		d.store.Keep(e.Tunnel)
	case broker.NoteClosed:
		d.store.Drop(e.Tunnel)
	}
}

// lookStored gives what the store is to keep of a tunnel. One that is not up yet
// comes when it is: the core has no record of it before.
func (d *Daemon) lookStored(id uint32) (section string, record []byte, fd int) {
	p := d.ports.get(id)
	if p == nil || p.fd < 0 {
		return "", nil, -1
	}
	return p.section.config.Name, p.section.core.AppendTunnel(nil, id), p.fd
}
