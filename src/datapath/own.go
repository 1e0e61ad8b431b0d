package datapath

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/link"
	"tunneldigger/src/phrase"
	"tunneldigger/src/rttables"
)

// comeBack is how long an empty bridge stays that an earlier process made: its
// tunnels are made again, or their clients are on their way.
const comeBack = time.Minute

// Own is how a bridge is to be that the broker makes.
type Own struct {
	MTU       int            // bytes, which it keeps; 0: the smallest of its ports'
	Addresses []netip.Prefix // that it has
	Table     string         // by which packets are routed that come in from it, as package rttables has it; "": none
	Priority  uint32         // of the rule for Table
}

func (o *Own) same(p *Own) bool {
	return o.MTU == p.MTU && o.Table == p.Table && o.Priority == p.Priority && slices.Equal(o.Addresses, p.Addresses)
}

// made is what a master has beside that if the broker has made it.
type made struct {
	ours      bool           // an alias says so
	half      bool           // it could neither be made whole nor removed
	is        Own            // what it was last brought to
	unsettled bool           // it is to be brought to what is wanted once more
	given     []netip.Prefix // addresses that it may have from the broker
	emptyAt   time.Duration  // since when it has no ports
	stays     bool           // others use it: that was said
	foreign   bool           // it is not the broker's, though it was to be: that was said
	failed    error          // why it can't be made
	retryAt   time.Duration  // when it is tried again
	told      string         // the last BridgeFailed
}

// MakeBridges says which bridges the broker makes when a tunnel wants them, and
// how: makes gives nil for those that others make. What it makes has the alias, by
// which the next process knows it; two brokers of one machine have different ones.
// It takes effect with Follow, or when the next bridge is wanted.
func (s *Interfaces) MakeBridges(alias string, makes func(name string) *Own) {
	s.alias, s.makes = alias, makes
}

func (s *Interfaces) own(name string) *Own {
	if s.makes == nil {
		return nil
	}
	return s.makes(name)
}

func (s *Interfaces) mine(l *link.Link) bool {
	return s.alias != "" && (l.Alias == s.alias || l.Unfinished && l.Alias == "")
}

// Follow brings the broker's bridges to what is wanted of them now.
func (s *Interfaces) Follow(now time.Duration) {
	s.now = now
	for name, m := range s.masters {
		m.retryAt = 0
		if own := s.own(name); own != nil && m.ours && m.index != 0 && !m.is.same(own) {
			s.settle(now, name, m, own)
		}
	}
}

// Makeable is an error if the broker can't make a bridge, and says what to do.
func (s *Interfaces) Makeable(name string, own *Own) error {
	if s.links == nil {
		return nil
	}
	if own.Table != "" {
		if _, err := rttables.Number(own.Table); err != nil {
			return err
		}
	}
	if l, err := s.links.Find(name); err == nil && !l.Bridge {
		return noBridge(name)
	}
	_, err := s.addresses(own)
	return err
}

func noBridge(name string) error {
	return phrase.Errorf("interface %s is there and is no bridge: remove it, or name another one in the bridge section", name)
}

// build makes a bridge, or leaves nothing. One that is there and the broker's is
// brought to what is wanted; one that is somebody else's is used as it is.
func (s *Interfaces) build(now time.Duration, name string, m *master, own *Own) error {
	if now < m.retryAt {
		return m.failed
	}
	l, err := s.links.Find(name)
	fresh := errors.Is(err, unix.ENODEV) || m.half || l.Unfinished
	switch {
	case errors.Is(err, unix.ENODEV):
		if err = s.links.MakeBridge(name); err == nil {
			l, err = s.links.Find(name)
		}
	case err == nil && !l.Bridge:
		err = noBridge(name)
	case err == nil && !s.mine(&l):
		if !m.foreign {
			m.foreign = true
			s.tell(Event{Kind: BridgeForeign, Link: name})
		}
		return s.use(m, &l)
	}
	if err == nil {
		err = s.furnish(name, m, &l, own)
	}
	if err != nil {
		if fresh {
			s.unmakeHalf(now, name, m)
		}
		m.failed, m.retryAt = phrase.Errorf("bridge %s: %w", name, err), now+lookGap
		return m.failed
	}
	m.index, m.bridge, m.ours, m.half, m.failed = l.Index, true, true, false, nil
	s.emptied(m)
	if fresh {
		s.tell(Event{Kind: BridgeMade, Link: name})
	}
	return nil
}

// settle brings a bridge of the broker's to what is wanted of it, or has it tried
// again.
func (s *Interfaces) settle(now time.Duration, name string, m *master, own *Own) {
	l, err := s.links.Find(name)
	if err == nil && l.Index != m.index {
		return // it is gone, which the watch tells
	}
	if err == nil {
		err = s.furnish(name, m, &l, own)
	}
	if m.unsettled = err != nil; m.unsettled {
		s.bridgeFailed(name, m, err)
		s.lookAt = now + lookGap
	} else {
		m.told = ""
	}
}

func (s *Interfaces) bridgeFailed(name string, m *master, err error) {
	if words := err.Error(); words != m.told {
		m.told = words
		s.tell(Event{Kind: BridgeFailed, Link: name, Err: err})
	}
}

// takeOver takes in the bridges that an earlier process made, and removes what
// rules it left of others.
func (s *Interfaces) takeOver(now time.Duration, found []link.Link, there map[string]int) {
	for i := range found {
		l := &found[i]
		m := s.master(l.Name)
		m.index, m.bridge, m.ours = l.Index, true, true
	}
	for i := range found {
		l := &found[i]
		m := s.masters[l.Name]
		if own := s.own(l.Name); own != nil {
			m.given = slices.Clone(own.Addresses)
			s.settle(now, l.Name, m, own)
		}
		if s.emptied(m); s.own(l.Name) != nil {
			m.emptyAt += comeBack
		}
	}
	if s.alias == "" {
		return
	}
	rules, _ := s.links.Rules() // without rules in the kernel there are none of ours
	for _, r := range rules {
		if r.Protocol == link.Protocol && there[r.Interface] == 0 {
			_ = s.links.DropRule(r)
		}
	}
}

// emptied has a bridge of the broker's that has no ports looked after.
func (s *Interfaces) emptied(m *master) {
	if m.ours {
		m.emptyAt, m.stays = s.now, false
		if s.lookAt == 0 {
			s.lookAt = s.now + lookGap
		}
	}
}

// tend looks after a bridge of the broker's: what could not be done is tried again,
// and one that nobody wants is removed.
func (s *Interfaces) tend(now time.Duration, name string, m *master) {
	if !m.ours {
		return
	}
	if own := s.own(name); m.unsettled && own != nil {
		s.settle(now, name, m, own)
	}
	if m.ports > 0 || m.stays || s.waited(name) {
		return
	}
	if now < m.emptyAt+lookGap || !s.unmake(name, m) {
		if !m.stays {
			s.lookAt = now + lookGap
		}
	}
}
