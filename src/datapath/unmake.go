package datapath

import (
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/link"
	"tunneldigger/src/phrase"
)

// RemoveBridges removes the bridges that the broker made, at its end, apart from
// those that others use.
func (s *Interfaces) RemoveBridges() {
	if s.links == nil || s.alias == "" {
		return
	}
	// Those as well that could not be made whole.
	_ = s.links.List(func(l link.Link) {
		if m := s.master(l.Name); l.Bridge && s.mine(&l) {
			m.index, m.ours = l.Index, true
		}
	})
	for name, m := range s.masters {
		if m.ours {
			s.unmake(name, m)
		}
	}
}

// unmake removes a bridge that the broker made, unless others use it, and reports
// whether that is done with.
func (s *Interfaces) unmake(name string, m *master) bool {
	others, err := s.others(name, m)
	switch {
	case err == nil && others != "":
		m.stays = true
		s.tell(Event{Kind: BridgeStays, Link: name, Err: errors.New(others)})
		return false
	case err == nil:
		err = s.dropRules(name)
	}
	if err == nil {
		err = s.links.Remove(m.index)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		s.bridgeFailed(name, m, phrase.Errorf("remove it: %w", err))
		return false
	}
	delete(s.masters, name)
	for _, i := range s.byIndex {
		if i.is.Bridge == name {
			s.detached(i)
		}
	}
	s.tell(Event{Kind: BridgeRemoved, Link: name})
	return true
}

// others says who else uses a bridge, "" if nobody does.
func (s *Interfaces) others(name string, m *master) (string, error) {
	var uses []string
	there, mine := false, false
	err := s.links.List(func(l link.Link) {
		switch {
		case l.Index == m.index:
			there, mine = true, s.mine(&l)
			if l.Master != 0 {
				uses = append(uses, "it is a port itself")
			}
		case l.Master == m.index && s.byIndex[l.Index] == nil:
			uses = append(uses, "port "+l.Name)
		case l.On == m.index:
			uses = append(uses, "interface "+l.Name+" on it")
		}
	})
	if err != nil || !there {
		return "", err // what is not there is removed, and the watch tells
	}
	if !mine {
		return "another alias, or none", nil
	}
	all, err := s.links.Addresses()
	for _, a := range all {
		if a.Index == m.index && !a.Kernel && a.Protocol != link.Protocol && !slices.Contains(m.given, a.Prefix) {
			uses = append(uses, "address "+a.Prefix.String())
		}
	}
	return strings.Join(uses, ", "), err
}

// unmakeHalf removes a bridge that could not be made whole. Where that fails too,
// it is finished by the next try, or removed when nobody wants it.
func (s *Interfaces) unmakeHalf(now time.Duration, name string, m *master) {
	err := s.dropRules(name)
	l, found := s.links.Find(name)
	if errors.Is(found, unix.ENODEV) {
		return
	}
	if found == nil && err == nil {
		err = s.links.Remove(l.Index)
	}
	if found != nil || err != nil {
		m.index, m.bridge, m.ours, m.half = l.Index, true, true, true
		s.emptied(m)
	}
}

// dropRules removes the rules of a bridge that are the broker's.
func (s *Interfaces) dropRules(name string) error {
	rules, err := s.links.Rules()
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	for _, r := range rules {
		if r.Interface != name || r.Protocol != link.Protocol {
			continue
		}
		if e := s.links.DropRule(r); e != nil && !errors.Is(e, unix.ENOENT) {
			err = e
		}
	}
	return err
}
