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
	waitsFor  string               // what is missing, as it was logged

	silentErrors int // turns in a row with nothing but errors from a listener
}

// listener finds a listener and its section by the listener's number.
func (d *Daemon) listener(number uint32) (*section, *listener) {
	s := d.sections[number/maxListeners]
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
		if len(s.listeners) > 0 {
			continue
		}
		err := d.openSection(s)
		if err == nil {
			s.waitsFor = ""
			where := []any{"broker", s.config.Name, "addresses", len(s.listeners)}
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

func (d *Daemon) openSection(s *section) (err error) {
	if err := d.datapath.ready(d, s); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			d.closeSection(s)
		}
	}()
	for i, at := range endpoints(s.config) {
		l, err := sock.Listen(at, s.config.Interface)
		if err != nil {
			if at.Addr() == netip.IPv6Unspecified() && len(s.config.Addresses) == 0 &&
				(errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) {
				continue // a kernel without IPv6
			}
			return err
		}
		number := uint32(s.number*maxListeners + i)
		s.listeners[number] = l
		if err := d.poller.Add(l.FD(), tokenListener|uint64(number), poll.Read); err != nil {
			return err
		}
	}
	return nil
}

// closeSection closes a section's listeners; its tunnels stay.
func (d *Daemon) closeSection(s *section) {
	for number, l := range s.listeners {
		_ = d.poller.Remove(l.FD())
		_ = l.Close()
		delete(s.listeners, number)
	}
}

func (d *Daemon) closeListeners() {
	for _, s := range d.sections {
		d.closeSection(s)
	}
}

// linkGone is called when an interface that is no tunnel has gone: sockets bound
// to it are dead, and a new one of the same name needs new ones.
func (d *Daemon) linkGone(name string) {
	for _, s := range d.sections {
		if s.config.Interface == name && len(s.listeners) > 0 {
			d.log.Warn("interface gone", "broker", s.config.Name, "interface", name)
			d.closeSection(s)
			d.retryAt = d.now + retryGap
		}
	}
}

// portsFree checks that nobody else has a port that a section wants, which
// SO_REUSEPORT would hide.
func portsFree(s *section) error {
	for _, at := range endpoints(s.config) {
		busy, err := sock.Busy(at, s.config.Interface)
		switch {
		case errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM):
			return fmt.Errorf("broker '%s': %w: run it as root or with CAP_NET_BIND_SERVICE", s.config.Name, err)
		case err == nil && busy:
			return fmt.Errorf("broker '%s': UDP %s is in use by another program: end that one, or set another port "+
				"(ss -lunp shows who it is)", s.config.Name, at)
		}
	}
	return nil
}
