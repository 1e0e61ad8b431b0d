package datapath

import (
	"errors"
	"time"

	"tunneldigger/src/link"
	"tunneldigger/src/nl"
)

// FD is a descriptor to wait for input at, for Watch; -1: there is none.
func (s *Interfaces) FD() int {
	if s.monitor == nil {
		return -1
	}
	return s.monitor.FD()
}

// Index is the number of the interface of a name; 0: there is none, or it cannot be told.
func (s *Interfaces) Index(name string) int {
	if s.links == nil {
		return 0
	}
	l, _ := s.links.Find(name)
	return l.Index
}

// Names calls f with the name of every interface that there is.
func (s *Interfaces) Names(f func(name string)) error {
	return s.links.List(func(l link.Link) { f(l.Name) })
}

// Watch takes in which interfaces have gone.
func (s *Interfaces) Watch(now time.Duration) {
	s.now = now
	err := s.monitor.Read(func(index int, name string) { s.lost(now, index, name) })
	if err == nil {
		return
	}
	if !errors.Is(err, nl.ErrOverrun) {
		s.tell(Event{Kind: WatchFailed, Err: err})
	}
	there := make(map[int]bool, len(s.byIndex))
	if err := s.links.List(func(l link.Link) { there[l.Index] = true }); err != nil {
		s.tell(Event{Kind: WatchFailed, Err: err})
		return
	}
	for index := range s.byIndex {
		if !there[index] {
			s.lost(now, index, "")
		}
	}
	for name, m := range s.masters {
		if m.index != 0 && !there[m.index] {
			s.masterGone(now, name)
		}
	}
	s.tell(Event{Kind: Overrun})
}

// lost takes in that one interface has gone.
func (s *Interfaces) lost(now time.Duration, index int, name string) {
	if i := s.byIndex[index]; i != nil {
		delete(s.byIndex, index)
		i.index = 0
		s.gone(i)
		return
	}
	if m := s.masters[name]; m != nil && m.index == index {
		s.masterGone(now, name)
	}
	s.tell(Event{Kind: LinkGone, Link: name, Index: index})
}

// gone is called when a tunnel has no interface any more.
func (s *Interfaces) gone(i *iface) {
	switch {
	case i.replaced:
		return
	case i.closing:
		s.byID[i.id] = nil
		s.tell(Event{Kind: Destroyed, Tunnel: i.id})
	default:
		s.tell(Event{Kind: Lost, Tunnel: i.id})
	}
	s.detached(i)
}
