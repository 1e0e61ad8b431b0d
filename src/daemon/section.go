package daemon

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/poll"
	"tunneldigger/src/sock"
)

// maxListeners is how many sockets one section may listen on; the listener
// number of the core counts in blocks of this.
const maxListeners = 1024

type listener = sock.Listener

// section is one broker section: its core and its listeners.
type section struct {
	number    int
	config    *config.Broker
	core      *broker.Broker
	listeners map[uint32]*listener // by number; empty while it waits
	complete  bool                 // it listens wherever it should
	opened    uint32               // listeners so far
	stale     map[uint32]bool      // listeners that are about to be closed
	leaving   bool                 // it was taken out of the configuration
	waitsFor  string               // what is missing, as it was logged

	silentErrors int // turns in a row with nothing but errors from a listener
}

// listener finds a listener and its section by the listener's number.
func (d *Daemon) listener(number uint32) (*section, *listener) {
	n := int(number / maxListeners)
	if n >= len(d.sections) || d.sections[n] == nil {
		return nil, nil
	}
	s := d.sections[n]
	return s, s.listeners[number]
}

// endpoints are the addresses and ports that a section listens on.
func endpoints(c *config.Broker) []netip.AddrPort {
	addresses := c.Addresses
	if len(addresses) == 0 {
		addresses = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	var all []netip.AddrPort
	for _, port := range c.Ports {
		for _, a := range addresses {
			all = append(all, netip.AddrPortFrom(a, port))
		}
	}
	return all
}

// openListeners has every section listen that does not yet. What is missing may
// still appear (netifd brings interfaces up in its own time): it is looked for
// again later.
func (d *Daemon) openListeners() {
	d.retryAt = 0
	if d.datapath.retry(d) {
		d.retryAt = d.now + retryGap
	}
	for _, s := range d.sections {
		if s == nil || s.leaving || s.complete {
			continue
		}
		err := d.openSection(s)
		if err == nil {
			s.waitsFor, s.complete = "", true
			where := []any{"broker", s.config.Name, "addresses", len(s.listeners) - len(s.stale)}
			if s.config.Interface != "" {
				where = append(where, "interface", s.config.Interface)
			}
			d.log.Info("listening", where...)
			continue
		}
		d.retryAt = d.now + retryGap
		if text := err.Error(); text != s.waitsFor {
			s.waitsFor = text
			d.log.Warn("waiting to listen", "broker", s.config.Name, "error", err)
		}
	}
}

// openSection has a section listen where it does not yet: everywhere, or nowhere
// else than before.
func (d *Daemon) openSection(s *section) (err error) {
	if err := d.datapath.ready(d, s); err != nil {
		return err
	}
	ours := d.portsInUse()
	var opened []uint32
	defer func() {
		if err != nil {
			for _, number := range opened {
				d.closeListener(s, number)
			}
		}
	}()
	for _, at := range endpoints(s.config) {
		if s.listensOn(at) {
			continue
		}
		if !ours[at.Port()] {
			if err := portFree(at, s.config.Interface); err != nil {
				return err
			}
		}
		l, err := sock.Listen(at, s.config.Interface)
		if err != nil {
			if at.Addr() == netip.IPv6Unspecified() && len(s.config.Addresses) == 0 &&
				(errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) {
				continue // a kernel without IPv6
			}
			return err
		}
		number := s.nextListener()
		s.listeners[number] = l
		opened = append(opened, number)
		if err := d.poller.Add(l.FD(), tokenListener|uint64(number), poll.Read); err != nil {
			return err
		}
	}
	return nil
}

// listensOn tells whether the section has a listener there, to stay.
func (s *section) listensOn(at netip.AddrPort) bool {
	for number, l := range s.listeners {
		if l.Addr() == at && !s.stale[number] {
			return true
		}
	}
	return false
}

// nextListener gives a listener its number. Those of closed ones come again as
// late as possible, as tunnels keep the number of the one that they came by.
func (s *section) nextListener() uint32 {
	for {
		number := uint32(s.number*maxListeners) + s.opened%maxListeners
		s.opened++
		if s.listeners[number] == nil {
			return number
		}
	}
}

// portsInUse are the UDP ports of this program.
func (d *Daemon) portsInUse() map[uint16]bool {
	ours := make(map[uint16]bool)
	for _, s := range d.sections {
		if s != nil {
			for _, l := range s.listeners {
				ours[l.Addr().Port()] = true
			}
		}
	}
	for _, p := range d.ports.byID {
		if p != nil {
			ours[p.local.Port()] = true
		}
	}
	return ours
}

func (d *Daemon) closeListener(s *section, number uint32) {
	l := s.listeners[number]
	_ = d.poller.Remove(l.FD())
	_ = l.Close()
	delete(s.listeners, number)
	delete(s.stale, number)
}

// closeSection closes a section's listeners; its tunnels stay.
func (d *Daemon) closeSection(s *section) {
	s.complete = false
	for number := range s.listeners {
		d.closeListener(s, number)
	}
}

func (d *Daemon) closeListeners() {
	for _, s := range d.sections {
		if s != nil {
			d.closeSection(s)
		}
	}
}

// linkGone is called when an interface that is no tunnel has gone: sockets bound
// to it are dead, and a new one of the same name needs new ones.
func (d *Daemon) linkGone(name string) {
	for _, s := range d.sections {
		if s != nil && s.config.Interface == name && len(s.listeners) > 0 {
			d.log.Warn("interface gone", "broker", s.config.Name, "interface", name)
			d.closeSection(s)
			d.retryAt = d.now + retryGap
		}
	}
}

// portsFree checks that nobody else has a port that a section wants.
func portsFree(b *config.Broker, ours map[uint16]bool) error {
	for _, at := range endpoints(b) {
		if ours[at.Port()] {
			continue
		}
		if err := portFree(at, b.Interface); err != nil {
			return fmt.Errorf("broker '%s': %w", b.Name, err)
		}
	}
	return nil
}

// portFree checks that no socket has a port, which SO_REUSEPORT would hide.
func portFree(at netip.AddrPort, device string) error {
	busy, err := sock.Busy(at, device)
	switch {
	case errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: run it as root or with CAP_NET_BIND_SERVICE", err)
	case err == nil && busy:
		return fmt.Errorf("UDP %s is in use by another program: end that one, or set another port (ss -lunp shows who it is)", at)
	}
	return nil
}

// listenable checks that a section does not listen on more than can be counted.
func listenable(b *config.Broker) error {
	if n := len(endpoints(b)); n > maxListeners {
		return fmt.Errorf("broker '%s': %d addresses and ports: at most %d can be listened on", b.Name, n, maxListeners)
	}
	return nil
}
