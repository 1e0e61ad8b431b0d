package datapath

import (
	"time"

	"tunneldigger/src/link"
	"tunneldigger/src/phrase"
)

// nearlyFull is when a bridge, which takes link.MaxPorts, is worth a warning.
const nearlyFull = 900

// master is an interface that tunnels are attached to.
type master struct {
	index  int // 0: it is not there
	bridge bool
	mtu    int  // as configured; it is kept whatever joins
	ports  int  // ours
	away   bool // that it is not there was said
	misfit bool // that its MTU is larger than its tunnels' was said
	full   bool // that it is nearly full was said

	made // the broker's own
}

func (s *Interfaces) master(name string) *master {
	m := s.masters[name]
	if m == nil {
		m = new(master)
		s.masters[name] = m
	}
	return m
}

// Ready is an error unless a master is there that others make: a client is better
// off with another broker than with a tunnel to nowhere.
func (s *Interfaces) Ready(now time.Duration, name string) error {
	if s.links == nil {
		return nil
	}
	err := s.find(now, name)
	s.master(name).away = err != nil
	return err
}

// find looks a master up by name, and makes it if that is the broker's to do.
func (s *Interfaces) find(now time.Duration, name string) error {
	m := s.master(name)
	if m.index != 0 && !m.half {
		return nil
	}
	if own := s.own(name); own != nil {
		return s.build(now, name, m, own)
	}
	l, err := s.links.Find(name)
	if err != nil {
		return phrase.Errorf("interface %s: %w", name, err)
	}
	return s.use(m, &l)
}

// use takes a master that is there.
func (s *Interfaces) use(m *master, l *link.Link) (err error) {
	if m.mtu, err = s.links.GuardMTU(l.Name); err != nil {
		return err
	}
	m.index, m.bridge = l.Index, l.Bridge
	return nil
}

// await has a master looked for that tunnels are to be attached to.
func (s *Interfaces) await(now time.Duration, name string) {
	if m := s.master(name); !m.away {
		m.away = true
		s.tell(Event{Kind: MasterAway, Link: name})
	}
	if s.lookAt == 0 {
		s.lookAt = now + lookGap
	}
}

// mind tells of what does not fit together.
func (s *Interfaces) mind(i *iface) {
	m := s.masters[i.is.Bridge]
	if m == nil {
		return
	}
	if !m.misfit && i.is.MTU < m.mtu {
		m.misfit = true
		s.tell(Event{Kind: Misfit, Link: i.is.Bridge, MTU: m.mtu, TunnelMTU: i.is.MTU})
	}
	if !m.full && m.bridge && m.ports >= nearlyFull {
		m.full = true
		s.tell(Event{Kind: NearlyFull, Link: i.is.Bridge, Ports: m.ports})
	}
}

// masterGone is called when a master was removed, and its ports with it.
func (s *Interfaces) masterGone(now time.Duration, name string) {
	m := s.masters[name]
	ports := m.ports
	if m.ours {
		_ = s.dropRules(name) // else the next bridge of this name has them, or the next start removes them
	}
	*m = master{}
	for _, i := range s.byIndex {
		if i.is.Bridge == name {
			s.detached(i)
		}
	}
	if ports > 0 || s.waited(name) {
		s.await(now, name)
	}
}

// waited reports whether a tunnel is to be attached to a master and is not.
func (s *Interfaces) waited(name string) bool {
	for _, i := range s.byIndex {
		if i.waits(name) {
			return true
		}
	}
	return false
}

func (i *iface) waits(name string) bool {
	return i.want.Bridge == name && i.is.Bridge != name && i.up && !i.closing
}

// look looks for masters that are away and that tunnels wait for. The kernel could
// tell of new interfaces, but then of every tunnel's as well.
func (s *Interfaces) look(now time.Duration) {
	s.lookAt = 0
	for name, m := range s.masters {
		if s.tend(now, name, m); !s.waited(name) {
			continue
		}
		if s.find(now, name) != nil {
			s.lookAt = now + lookGap
			continue
		}
		if m.away {
			m.away = false
			s.tell(Event{Kind: MasterBack, Link: name})
		}
		for _, i := range s.byIndex {
			if i.waits(name) && !i.queued {
				s.tryAt(i, now)
			}
		}
	}
}

// Full is how many ports a bridge takes.
const Full = link.MaxPorts
