// Package listen is where broker sections listen: addresses and ports that open by
// themselves as they can be had, and close with their configuration or interface. What
// it opens is its caller's to read, and what there is to say comes back as values.
package listen

import (
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/config"
	"tunneldigger/src/status"
)

// Max is how many sockets one section may listen on; numbers of listeners count in
// blocks of this.
const Max = 1024

// RetryGap is between two looks for what is missing.
const RetryGap = 2 * time.Second

// AddressGap is between two looks whether addresses are still there where it is
// listened on; less in tests.
var AddressGap = 10 * time.Second

// Listener is one place where a section listens: a sock.Listener, which the loop
// reads, or one of a path that reads it itself. See there for the methods.
type Listener interface {
	Addr() netip.AddrPort
	FDs() []int
	Queue(local netip.Addr, peer netip.AddrPort, data []byte)
	Flush() (sent int, err error)
	Close() error
}

// Set is where one section listens, and why not elsewhere. Each address and port goes by
// itself: one that can't be had is said once and tried again later, as are interfaces
// that are missing (netifd brings them up in its own time).
type Set struct {
	number    int // of the section
	config    *config.Broker
	release   func(Listener)
	listeners map[uint32]Listener // by number; empty while it waits
	complete  bool                // it listens wherever it should
	waits     map[netip.AddrPort]wait
	opened    uint32          // listeners so far
	stale     map[uint32]bool // listeners that are about to be closed
	missing   string          // what is missing for all of it, as it was said
	device    int             // index of the interface that it listens on, 0: any, or unknown
}

// wait is why a section does not listen at one address and port.
type wait struct {
	errno unix.Errno // what the kernel said
	why   string     // the same for an operator, and what to do
}

// State is what the next program is to know of a Set, beside its listeners.
type State struct {
	Opened   uint32
	Complete bool
	Device   int
}

// New makes the Set of the section of this number, which listens nowhere yet. release is
// called with each Listener before it is closed.
func New(section int, c *config.Broker, release func(Listener)) *Set {
	return &Set{number: section, config: c, release: release, listeners: make(map[uint32]Listener)}
}

// Section is the number of the section whose listener has this number.
func Section(number uint32) int { return int(number / Max) }

// State and Restore hand a Set over; Adopt gives the next one a listener.
func (s *Set) State() State { return State{s.opened, s.complete, s.device} }

// Restore takes over a State.
func (s *Set) Restore(st State) { s.opened, s.complete, s.device = st.Opened, st.Complete, st.Device }

// Adopt takes over a listener with its number.
func (s *Set) Adopt(number uint32, l Listener) { s.listeners[number] = l }

// FDs are the descriptors of all listeners, by number.
func (s *Set) FDs() map[uint32][]int {
	all := make(map[uint32][]int, len(s.listeners))
	for number, l := range s.listeners {
		all[number] = l.FDs()
	}
	return all
}

// Get is the listener of a number, nil: there is none. One that does not stay is about
// to be closed.
func (s *Set) Get(number uint32) (l Listener, stays bool) {
	return s.listeners[number], !s.stale[number]
}

// At finds a listener that stays and can send from an address and port.
func (s *Set) At(local netip.AddrPort) (number uint32, ok bool) {
	for n, l := range s.listeners {
		if !s.stale[n] && Suits(l, local) {
			return n, true
		}
	}
	return 0, false
}

// Len is how many listeners there are that stay.
func (s *Set) Len() int { return len(s.listeners) - len(s.stale) }

// Flush sends what is queued, and calls failed with each error.
func (s *Set) Flush(failed func(error)) {
	for _, l := range s.listeners {
		if _, err := l.Flush(); err != nil {
			failed(err)
		}
	}
}

// listensOn reports whether there is a listener at a place, to stay.
func (s *Set) listensOn(at netip.AddrPort) bool {
	for number, l := range s.listeners {
		if l.Addr() == at && !s.stale[number] {
			return true
		}
	}
	return false
}

// next gives a listener its number. Those of closed ones come again as
// late as possible, as tunnels keep the number of the one that they came by.
func (s *Set) next() uint32 {
	for {
		number := uint32(s.number*Max) + s.opened%Max
		s.opened++
		if s.listeners[number] == nil {
			return number
		}
	}
}

// Reconfigure brings another configuration into force: its places open with Open; the
// listeners that it does not have are Stale.
func (s *Set) Reconfigure(b *config.Broker) {
	wanted := Endpoints(b)
	other := b.Interface != s.config.Interface
	s.outdate(func(l Listener) bool { return other || !slices.Contains(wanted, l.Addr()) })
	if other || !slices.Equal(Endpoints(s.config), wanted) {
		s.complete = false
	}
	s.config = b
}

// Leave makes all listeners Stale.
func (s *Set) Leave() {
	s.complete = false
	s.outdate(func(Listener) bool { return true })
}

func (s *Set) outdate(is func(Listener) bool) {
	for number, l := range s.listeners {
		if is(l) {
			if s.stale == nil {
				s.stale = make(map[uint32]bool)
			}
			s.stale[number] = true
		}
	}
}

// Stale are the listeners that are to be closed.
func (s *Set) Stale() (numbers []uint32) {
	for number := range s.stale {
		numbers = append(numbers, number)
	}
	return numbers
}

// Close closes a listener.
func (s *Set) Close(number uint32) {
	l := s.listeners[number]
	s.release(l)
	_ = l.Close()
	delete(s.listeners, number)
	delete(s.stale, number)
}

// CloseAll closes all listeners, and has Open begin anew.
func (s *Set) CloseAll() {
	s.complete, s.waits = false, nil
	for number := range s.listeners {
		s.Close(number)
	}
}

// Gone closes all listeners if they are on the interface of this index, which has gone:
// sockets bound to it are dead, and another one of its name needs new ones. It reports
// whether there were any.
func (s *Set) Gone(index int) bool {
	if s.device != index {
		return false
	}
	s.device = 0
	had := len(s.listeners) > 0
	if had {
		s.CloseAll()
	}
	return had
}

// Compare is Gone where nobody was told that the interface has gone, or was made anew.
func (s *Set) Compare(index func(device string) int) bool {
	return s.device != 0 && index(s.config.Interface) != s.device && s.Gone(s.device)
}

// Locate finds the interface where it is not known, as the program before did not say.
func (s *Set) Locate(index func(device string) int) {
	if s.device == 0 && s.config.Interface != "" {
		s.device = index(s.config.Interface)
	}
}

// Missing is what is missing before it can be listened anywhere, "": nothing.
func (s *Set) Missing() string { return s.missing }

// Waits says why it is not listened at some places.
func (s *Set) Waits() (all []string) {
	if s.missing != "" {
		all = append(all, s.missing)
	}
	for _, at := range Endpoints(s.config) {
		if w, waits := s.waits[at]; waits {
			all = append(all, w.why)
		}
	}
	return all
}

// Report says for status where it is listened, and why not elsewhere.
func (s *Set) Report() (all []status.Listener) {
	for _, at := range Endpoints(s.config) {
		l := status.Listener{At: at, Why: s.waits[at].why}
		if !s.listensOn(at) && l.Why == "" {
			if s.missing == "" { // there is no IPv6
				continue
			}
			l.Why = s.missing
		}
		all = append(all, l)
	}
	return all
}
