package daemon

import (
	"errors"
	"fmt"
	"strings"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/hook"
)

// mark is what an operator should know of a tunnel that serves its client less
// than it should. Tunnels without anything of the kind have none.
type mark struct {
	serial uint64 // of the tunnel
	loose  bool   // there are bridge sections, and none fits it
	hook   string // which hook has failed for it, and how; "": none
}

// marks are the marks by tunnel ID, and of which kinds of tunnels that no bridge
// section fits the log has a line.
type marks struct {
	byID map[uint32]mark
	said map[kindOfTunnel]bool
}

// kindOfTunnel is what bridge sections choose by.
type kindOfTunnel struct {
	broker string
	mtu    int
	port   uint16
}

// get is a tunnel's mark.
func (m *marks) get(f *broker.Facts) mark {
	if is := m.byID[f.Tunnel]; is.serial == f.Serial {
		return is
	}
	return mark{serial: f.Serial}
}

func (m *marks) set(id uint32, to mark) {
	switch {
	case !to.loose && to.hook == "":
		delete(m.byID, id)
	case m.byID == nil:
		m.byID = map[uint32]mark{id: to}
	default:
		m.byID[id] = to
	}
}

// noteMark keeps the marks in step with what a core says.
func (d *Daemon) noteMark(s *section, e *broker.Effect) {
	switch e.Note {
	case broker.NoteUp, broker.NoteMTU:
		d.judge(s, &e.Facts, true)
	case broker.NoteClosed:
		delete(d.marks.byID, e.Tunnel)
	}
}

// judge marks a tunnel that no bridge section fits, or takes the mark away. Fresh
// is whether such a tunnel counts, as one that was not counted before.
func (d *Daemon) judge(s *section, f *broker.Facts, fresh bool) {
	m := d.marks.get(f)
	loose := d.loose(s, f)
	if loose && !m.loose && fresh {
		s.loosened++
		kind := kindOfTunnel{s.config.Name, f.MTU, f.Local.Port()}
		if !d.marks.said[kind] {
			if d.marks.said == nil {
				d.marks.said = make(map[kindOfTunnel]bool)
			}
			d.marks.said[kind] = true
			d.log.Warn("no bridge section fits tunnels like this one: they are attached to nothing; give one section no option mtu, or add one",
				"broker", s.config.Name, "mtu", f.MTU, "port", f.Local.Port(), "tunnel", f.Tunnel)
		}
	}
	m.loose = loose
	d.marks.set(f.Tunnel, m)
}

// loose tells whether there are bridge sections, and none fits a tunnel.
func (d *Daemon) loose(s *section, f *broker.Facts) bool {
	return len(d.config.Bridges) > 0 && !s.leaving && d.bridgeFor(s, f.UUID, f.MTU, f.Local.Port()) == nil
}

// judgeAll does it for all tunnels, when there are other bridge sections.
func (d *Daemon) judgeAll(fresh bool) {
	d.marks.said = nil
	d.eachTunnel(func(s *section, t *broker.TunnelInfo) {
		if t.Stands() {
			d.judge(s, &t.Facts, fresh)
		}
	})
}

// markHook notes how a hook of a tunnel that stands has ended. What is said of the
// same event stays until it is well again.
func (d *Daemon) markHook(s *section, id uint32, serial uint64, r *hook.Result) {
	event := config.Event(r.Tag)
	if event != config.EventSessionUp && event != config.EventMTUChanged || errors.Is(r.Err, hook.ErrCancelled) {
		return // the tunnel goes, or there is none
	}
	info, ok := s.core.Next(id)
	if !ok || info.Tunnel != id || info.Serial != serial || !info.Stands() {
		return
	}
	m := d.marks.get(&info.Facts)
	if r.Err != nil {
		m.hook = r.Event + ": " + r.Err.Error()
	} else if strings.HasPrefix(m.hook, r.Event+": ") {
		m.hook = ""
	}
	d.marks.set(id, m)
}

// unattached says why a loose tunnel is that.
func (m *mark) unattached(f *broker.Facts) string {
	return fmt.Sprintf("no bridge section fits MTU %d and port %d", f.MTU, f.Local.Port())
}

// counts tells how many tunnels of a section are attached to nothing, and for how
// many a hook has failed.
func (d *Daemon) counts(s *section) (loose, failed int) {
	for id, m := range d.marks.byID {
		if p := d.ports.get(id); p == nil || p.section != s {
			continue
		}
		if m.loose {
			loose++
		}
		if m.hook != "" {
			failed++
		}
	}
	return loose, failed
}
