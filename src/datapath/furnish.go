package datapath

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"tunneldigger/src/link"
	"tunneldigger/src/phrase"
	"tunneldigger/src/rttables"
)

// furnish brings a bridge to what is wanted of it: MTU, mark, addresses and rules.
func (s *Interfaces) furnish(name string, m *master, l *link.Link, own *Own) error {
	table := uint32(0)
	if own.Table != "" {
		var err error
		if table, err = rttables.Number(own.Table); err != nil {
			return err
		}
	}
	there, err := s.addresses(own)
	if err != nil {
		return err
	}
	if own.MTU != 0 && (l.MTU != own.MTU || l.Alias == "") {
		if err := s.links.KeepMTU(l.Index, own.MTU); err != nil {
			return err
		}
	}
	m.mtu = own.MTU
	if l.Alias == "" || !l.Up {
		if err := s.links.Mark(l.Index, s.alias); err != nil {
			return err
		}
	}
	for _, a := range there {
		given := a.Protocol == link.Protocol || slices.Contains(m.given, a.Prefix)
		if a.Index != l.Index || !given || slices.Contains(own.Addresses, a.Prefix) {
			continue
		}
		if err := s.links.DropAddress(l.Index, a.Prefix); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return phrase.Errorf("address %v: %w", a.Prefix, err)
		}
	}
	// All of them, as with an IPv4 address others of its network may have gone.
	for _, p := range own.Addresses {
		if !slices.Contains(m.given, p) {
			m.given = append(m.given, p)
		}
		if err := s.links.AddAddress(l.Index, p); err != nil {
			return phrase.Errorf("address %v: %w", p, err)
		}
	}
	if err := s.route(name, table, own); err != nil {
		return err
	}
	m.given = slices.Clone(own.Addresses)
	m.is = *own
	return nil
}

// route gives a bridge its rules, and takes others away that the broker made.
func (s *Interfaces) route(name string, table uint32, own *Own) error {
	wanted := []link.Rule{
		{Interface: name, Table: table, Priority: own.Priority, Protocol: link.Protocol},
		{Interface: name, Table: table, Priority: own.Priority, Protocol: link.Protocol, IPv6: true},
	}
	if table == 0 {
		wanted = nil
	}
	there, err := s.links.Rules()
	if err != nil && table != 0 {
		return err
	}
	for _, r := range there {
		if r.Interface != name || r.Protocol != link.Protocol {
			continue
		}
		if at := slices.Index(wanted, r); at >= 0 {
			wanted = slices.Delete(wanted, at, at+1)
		} else if err := s.links.DropRule(r); err != nil && !errors.Is(err, unix.ENOENT) {
			return phrase.Errorf("rule for table %d: %w", r.Table, err)
		}
	}
	for _, r := range wanted {
		err := s.links.AddRule(r)
		switch {
		case err == nil, errors.Is(err, unix.EEXIST): // somebody else's, which does the same
		case r.IPv6 && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP)): // a kernel without IPv6
		default:
			return phrase.Errorf("rule for table %s: %w", own.Table, err)
		}
	}
	return nil
}

// addresses lists what addresses there are. The error says that one that is wanted is
// in use, by another interface than the broker's bridges, which may share them.
func (s *Interfaces) addresses(own *Own) ([]link.Address, error) {
	all, err := s.links.Addresses()
	if err != nil {
		return nil, err
	}
	ours := make(map[int]bool)
	for _, m := range s.masters {
		ours[m.index] = m.ours
	}
	for _, a := range all {
		i := slices.IndexFunc(own.Addresses, func(p netip.Prefix) bool { return p.Addr() == a.Prefix.Addr() })
		if i < 0 || ours[a.Index] {
			continue
		}
		by, mine := "number "+strconv.Itoa(a.Index), false
		err = s.links.List(func(l link.Link) {
			if l.Index == a.Index {
				by, mine = l.Name, s.mine(&l)
			}
		})
		if err != nil {
			return nil, err
		}
		if !mine {
			return nil, phrase.Errorf("address %v is in use, by interface %s: take it away there, or give the bridge section another one", a.Prefix.Addr(), by)
		}
	}
	return all, nil
}
