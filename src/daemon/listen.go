package daemon

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/config"
	"tunneldigger/src/occupant"
	"tunneldigger/src/poll"
	"tunneldigger/src/sock"
	"tunneldigger/src/status"
)

// addressGap is between two looks whether addresses are still there where it is
// listened on; less in tests.
var addressGap = 10 * time.Second

// wait is why a section does not listen at one address and port.
type wait struct {
	errno unix.Errno // what the kernel said
	why   string     // the same for an operator, and what to do
}

// openListeners has every section listen wherever it does not yet. Each address
// and port goes by itself; one that can't be had is said once and tried again
// later, as are interfaces that are missing (netifd brings them up in its own time).
func (d *Daemon) openListeners() {
	d.retryAt = 0
	for _, s := range d.sections {
		if s == nil || s.leaving || s.complete && !s.mayLoseAddresses() {
			continue
		}
		switch changed, err := d.openSection(s); {
		case err != nil:
			s.complete, s.waits = false, nil
			if text := err.Error(); text != s.waitsFor {
				s.waitsFor = text
				d.log.Warn("waiting to listen", "broker", s.config.Name, "error", err)
			}
		default:
			s.waitsFor, s.complete = "", len(s.waits) == 0
			if changed && len(s.listeners) > len(s.stale) {
				d.tellListening(s)
			}
		}
		if !s.complete {
			d.retry(retryGap)
		} else if s.mayLoseAddresses() {
			d.retry(addressGap)
		}
	}
	d.look = occupant.Look{} // whoever has a port next time may be another one
}

// retry has openListeners called again after a time, or earlier.
func (d *Daemon) retry(after time.Duration) {
	if at := d.now + after; d.retryAt == 0 || at < d.retryAt {
		d.retryAt = at
	}
}

func (d *Daemon) tellListening(s *section) {
	args := []any{"broker", s.config.Name, "addresses", len(s.listeners) - len(s.stale)}
	if len(s.waits) > 0 {
		args = append(args, "missing", len(s.waits))
	}
	if s.config.Interface != "" {
		args = append(args, "interface", s.config.Interface)
	}
	d.log.Info("listening", args...)
}

// openSection has a section listen where it does not yet, and notes what can't be
// had; changed is whether it listens at more places than before. The error is what
// is missing for all of it.
func (d *Daemon) openSection(s *section) (changed bool, err error) {
	if !s.complete {
		if err := d.bridges.Ready(d.now, d.links, s.config.Name); err != nil {
			return false, err
		}
	}
	if name, without := strings.CutPrefix(s.config.Interface, config.NoDevice); without {
		return false, fmt.Errorf("interface %s has no device now", name)
	}
	ours := d.portsInUse()
	waits := make(map[netip.AddrPort]wait)
	for _, at := range endpoints(s.config) {
		before, waited := s.waits[at]
		opened, err := d.openAt(s, at, ours)
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
				w.why = words(&d.look, at, err)
				d.log.Warn("waiting to listen", "broker", s.config.Name, "error", w.why)
			}
			waits[at] = w
		}
	}
	s.waits = waits
	return changed, nil
}

// openAt has a section listen at one place, if it does not yet. Where it does, the
// error tells that the address has gone: the socket stays, as it serves again when
// the address comes back.
func (d *Daemon) openAt(s *section, at netip.AddrPort, ours map[uint16]bool) (opened bool, err error) {
	if s.listensOn(at) {
		return false, present(at.Addr(), s.config.Interface)
	}
	if !ours[at.Port()] {
		if err := portFree(at, s.config.Interface); err != nil {
			return false, err
		}
	}
	device := 0
	if s.config.Interface != "" {
		device = d.links.Index(s.config.Interface)
	}
	number := s.nextListener()
	l, err := d.openListener(s, at, number)
	if err != nil {
		return false, err
	}
	s.device = device
	s.listeners[number] = l
	return true, nil
}

// openListener opens the sockets of a place; the loop, or the path, reads them.
func (d *Daemon) openListener(s *section, at netip.AddrPort, number uint32) (listener, error) {
	if s.user() {
		l, err := d.user.Listen(at, s.config.Interface, number)
		if err != nil { // and no listener that is not nil
			return nil, err
		}
		return l, nil
	}
	l, err := sock.Listen(at, s.config.Interface)
	if err != nil {
		return nil, err
	}
	if err := d.poller.Add(l.FD(), tokenListener|uint64(number), poll.Read); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// mayLoseAddresses tells whether a section listens on addresses that may go away.
func (s *section) mayLoseAddresses() bool {
	return slices.ContainsFunc(s.config.Addresses, losable)
}

func losable(a netip.Addr) bool { return !a.IsUnspecified() && !a.IsLoopback() }

// present checks that an address is one of this machine.
func present(a netip.Addr, device string) error {
	if !losable(a) {
		return nil
	}
	_, err := sock.Busy(netip.AddrPortFrom(a, 0), device)
	return err
}

// portFree checks that no socket has a port, which SO_REUSEPORT would hide. Whatever
// else is in the way Listen finds.
func portFree(at netip.AddrPort, device string) error {
	busy, err := sock.Busy(at, device)
	if busy {
		return fmt.Errorf("listen on %s: %w", at, unix.EADDRINUSE)
	}
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return err
	}
	return nil
}

// noIPv6 tells whether the kernel has no IPv6, where nobody has asked for it.
func noIPv6(b *config.Broker, at netip.AddrPort, err error) bool {
	return at.Addr() == netip.IPv6Unspecified() && len(b.Addresses) == 0 &&
		(errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL))
}

// errnoOf finds what words has words for; 0: another one. (errors.As takes 12 kB of
// a router's flash.)
func errnoOf(err error) unix.Errno {
	for _, errno := range []unix.Errno{unix.EADDRINUSE, unix.EADDRNOTAVAIL, unix.EACCES, unix.EPERM} {
		if errors.Is(err, errno) {
			return errno
		}
	}
	return 0
}

// words says for an operator why it can't be listened somewhere.
func words(look *occupant.Look, at netip.AddrPort, err error) string {
	switch errnoOf(err) {
	case unix.EADDRINUSE:
		return fmt.Sprintf("UDP %s is in use by %v: end that one, or set another port", at, look.Of(at))
	case unix.EADDRNOTAVAIL:
		return fmt.Sprintf("UDP %s: this machine does not have the address now", at)
	case unix.EACCES, unix.EPERM:
		return fmt.Sprintf("%v: run it as root or with CAP_NET_BIND_SERVICE", err)
	}
	return err.Error()
}

// report tells status where the section listens, and why not elsewhere.
func (s *section) report() (all []status.Listener) {
	if s.leaving {
		return nil
	}
	for _, at := range endpoints(s.config) {
		l := status.Listener{At: at, Why: s.waits[at].why}
		if !s.listensOn(at) && l.Why == "" {
			if s.waitsFor == "" { // there is no IPv6
				continue
			}
			l.Why = s.waitsFor
		}
		all = append(all, l)
	}
	return all
}

// maxNamed is how many places the message of a start that failed names.
const maxNamed = 8

// servable checks that a start makes sense: the error says what is in the way when
// there is no place at all where a section could listen. What may come by itself,
// an interface or an address, is waited for. It is asked before anything is
// changed in the kernel: what has the ports may be another broker.
func (d *Daemon) servable() error {
	ours := d.portsInUse()
	var why []string
	for i := range d.config.Brokers {
		b := &d.config.Brokers[i]
		for _, at := range endpoints(b) {
			if ours[at.Port()] {
				return nil
			}
			_, err := sock.Busy(at, b.Interface)
			if free := portFree(at, b.Interface); free != nil {
				why = append(why, words(&d.look, at, free))
			} else if !noIPv6(b, at, err) {
				return nil
			}
		}
	}
	if len(why) == 0 {
		return nil
	}
	if n := len(why) - maxNamed; n > 0 {
		why = append(why[:maxNamed], fmt.Sprintf("and %d more", n))
	}
	return errors.New("there is nowhere to listen: " + strings.Join(why, "; "))
}
