package datapath

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/link"
	"tunneldigger/src/phrase"
)

// errAway says that a master is not there: what waits for it needs no other try
// before it comes.
var errAway = errors.New("the interface to attach it to is not there")

// place brings an interface that is up to the master that is wanted.
func (s *Interfaces) place(now time.Duration, i *iface) error {
	wanted := i.want.Bridge
	if i.is.Bridge != "" && i.is.Bridge != wanted {
		if err := s.links.Detach(i.index); err != nil {
			return err
		}
		s.detached(i)
	}
	switch {
	case wanted == "":
		return s.restoreIPv6(i)
	case i.is.Bridge == "":
		if err := s.find(now, wanted); err != nil {
			if s.own(wanted) != nil {
				return err
			}
			s.await(now, wanted)
			return errAway
		}
		return s.attach(now, i)
	case i.is.Isolated == i.want.Isolated && !i.unsure:
		return nil
	}
	if s.masters[wanted].bridge {
		if err := s.links.SetIsolated(i.index, i.want.Isolated); err != nil {
			return phrase.Errorf("isolate on %s: %w", wanted, err)
		}
	}
	i.is.Isolated, i.unsure = i.want.Isolated, false
	return nil
}

// attach makes an interface a port of the master that is wanted and brings it up,
// or leaves it where it was.
func (s *Interfaces) attach(now time.Duration, i *iface) error {
	name := i.want.Bridge
	if err := s.find(now, name); err != nil {
		return err
	}
	m := s.masters[name]
	if err := link.DisableIPv6(i.name); err != nil {
		return err
	}
	i.noIPv6 = true
	err := s.links.UpAttach(i.index, i.want.MTU, m.index)
	if err == nil {
		i.is.MTU = i.want.MTU
		if isolated := m.bridge && i.want.Isolated; isolated {
			if err = s.links.Isolate(i.index); err != nil {
				err = phrase.Errorf("isolate on %s: %w", name, err)
			}
		}
	} else {
		if errors.Is(err, unix.EXFULL) {
			err = phrase.Errorf("%w: it has %d ports, and a bridge takes no more: use a second one, or batman-adv", err, link.MaxPorts)
		}
		err = phrase.Errorf("attach to %s: %w", name, err)
	}
	if err != nil {
		if i.up { // else all of it goes
			_ = s.links.Detach(i.index) // what was done of it
		}
		return err
	}
	i.is.Bridge, i.is.Isolated, i.unsure = name, i.want.Isolated, false
	m.ports++
	s.mind(i)
	return nil
}

// detached notes that an interface is no port of its master any more.
func (s *Interfaces) detached(i *iface) {
	if m := s.masters[i.is.Bridge]; m != nil && m.ports > 0 {
		if m.ports--; m.ports == 0 {
			s.emptied(m)
		}
	}
	i.is.Bridge, i.is.Isolated, i.unsure = "", false, false
}

// restoreIPv6 gives an interface that is attached nowhere its address back.
func (s *Interfaces) restoreIPv6(i *iface) error {
	if i.is.Isolated, i.unsure = i.want.Isolated, false; !i.noIPv6 {
		return nil
	}
	if err := link.EnableIPv6(i.name); err != nil {
		return err
	}
	i.noIPv6 = false
	return nil
}
