package listen

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/config"
	"tunneldigger/src/occupant"
	"tunneldigger/src/phrase"
)

// Host is what a Set needs of who has it.
type Host struct {
	// Ready is an error while what tunnels are to be attached to is not there.
	Ready func() error
	// Ours are the UDP ports of this program, which may have them twice.
	Ours func() map[uint16]bool
	// Index is an interface's, 0: it is not there.
	Index func(device string) int
	// Open opens the sockets of a place.
	Open func(at netip.AddrPort, number uint32) (Listener, error)
	// Look is at who has ports.
	Look *occupant.Look
}

// News is what is to be said after Open.
type News struct {
	Waits   []string // why it does not listen at some places, as far as it was not said
	Missing error    // what is missing for all of it; nil: nothing, or it was said
	Listens bool     // it listens at more places than before
	Lacks   int      // and still not at so many
}

// Open listens wherever it does not yet.
func (s *Set) Open(h *Host) (n News) {
	if s.complete && !s.mayLose() {
		return n
	}
	changed, err := s.open(h, &n)
	if err != nil {
		s.complete, s.waits = false, nil
		if text := err.Error(); text != s.missing {
			s.missing, n.Missing = text, err
		}
		return n
	}
	s.missing, s.complete = "", len(s.waits) == 0
	n.Listens, n.Lacks = changed && s.Len() > 0, len(s.waits)
	return n
}

// Again is after which time Open is to be called again, 0: no need to.
func (s *Set) Again() time.Duration {
	switch {
	case !s.complete:
		return RetryGap
	case s.mayLose():
		return AddressGap
	}
	return 0
}

func (s *Set) open(h *Host, n *News) (changed bool, err error) {
	if !s.complete {
		if err := h.Ready(); err != nil {
			return false, err
		}
	}
	if name, without := strings.CutPrefix(s.config.Interface, config.NoDevice); without {
		return false, phrase.Errorf("interface %s has no device now", name)
	}
	ours := h.Ours()
	waits := make(map[netip.AddrPort]wait)
	for _, at := range Endpoints(s.config) {
		before, waited := s.waits[at]
		opened, err := s.openAt(h, at, ours[at.Port()])
		switch {
		case err == nil:
			changed = changed || opened || waited
		case errors.Is(err, unix.ENODEV):
			return false, err
		case noIPv6(s.config, at, err):
		default:
			w := wait{errno: errnoOf(err)}
			if waited && before.errno == w.errno {
				w = before
			} else {
				w.why = words(h.Look, at, err)
				n.Waits = append(n.Waits, w.why)
			}
			waits[at] = w
		}
	}
	s.waits = waits
	return changed, nil
}

// openAt listens at one place, if it does not yet. Where it does, the error says that
// the address has gone: the socket stays, as it serves again when the address comes
// back.
func (s *Set) openAt(h *Host, at netip.AddrPort, ours bool) (opened bool, err error) {
	if s.listensOn(at) {
		return false, present(at.Addr(), s.config.Interface)
	}
	if !ours {
		if err := portFree(at, s.config.Interface); err != nil {
			return false, err
		}
	}
	device := 0
	if s.config.Interface != "" {
		device = h.Index(s.config.Interface)
	}
	number := s.next()
	l, err := h.Open(at, number)
	if err != nil {
		return false, err
	}
	s.device = device
	s.listeners[number] = l
	return true, nil
}

// mayLose reports whether it is listened on addresses that may go away.
func (s *Set) mayLose() bool { return slices.ContainsFunc(s.config.Addresses, losable) }
