package daemon

import (
	"fmt"
	"net/netip"
	"slices"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/datapath"
	"tunneldigger/src/sock"
	"tunneldigger/src/status"
)

// maxListeners is how many sockets one section may listen on; the listener
// number of the core counts in blocks of this.
const maxListeners = 1024

// maxRetired is how many batches of 32 datagrams a closing listener's mail may be.
const maxRetired = 64

// listener is one place where a section listens: a sock.Listener, which the loop
// reads, or one of a path that reads it itself. See there for the methods.
type listener interface {
	Addr() netip.AddrPort
	FDs() []int
	Queue(local netip.Addr, peer netip.AddrPort, data []byte)
	Flush() (sent int, err error)
	Close() error
}

// section is one broker section: its core and its listeners.
type section struct {
	number    int
	config    *config.Broker
	core      *broker.Broker
	listeners map[uint32]listener // by number; empty while it waits
	complete  bool                // it listens wherever it should
	waits     map[netip.AddrPort]wait
	opened    uint32          // listeners so far
	stale     map[uint32]bool // listeners that are about to be closed
	leaving   bool            // it was taken out of the configuration
	waitsFor  string          // what is missing for all of it, as it was logged
	device    int             // index of the interface that it listens on, 0: any, or unknown
	path      datapath.Path   // of its tunnels

	refusals     status.Refusals
	loosened     uint64 // tunnels that no bridge section fitted, so far
	silentErrors int    // turns in a row with nothing but errors from a listener
}

// listener finds a listener and its section by the listener's number.
func (d *Daemon) listener(number uint32) (*section, listener) {
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
	if own, ours := l.(*sock.Listener); ours {
		_ = d.poller.Remove(own.FD())
	}
	_ = l.Close()
	delete(s.listeners, number)
	delete(s.stale, number)
}

// closeSection closes a section's listeners; its tunnels stay.
func (d *Daemon) closeSection(s *section) {
	s.complete, s.waits = false, nil
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

// outdate marks the listeners that another configuration does not have.
func (s *section) outdate(b *config.Broker) {
	wanted := endpoints(b)
	for number, l := range s.listeners {
		if b.Interface != s.config.Interface || !slices.Contains(wanted, l.Addr()) {
			if s.stale == nil {
				s.stale = make(map[uint32]bool)
			}
			s.stale[number] = true
		}
	}
	if b.Interface != s.config.Interface || !slices.Equal(endpoints(s.config), wanted) {
		s.complete = false
	}
}

// retire closes a listener. What waits in it goes to who listens there now.
func (d *Daemon) retire(s *section, number uint32) {
	l := s.listeners[number]
	_, _ = l.Flush()
	d.moved = d.moved || s.core.Tunnels() > 0
	own, ours := l.(*sock.Listener)
	if ours {
		_ = own.Shut() // in vain where its interface has gone
	}
	for n := 0; ours && n < maxRetired; n++ {
		datagrams, faults := own.Receive()
		if len(datagrams) == 0 && faults == 0 {
			break
		}
		for i := range datagrams {
			dg := &datagrams[i]
			if to, n, ok := d.entrance(int(number), dg.Local); ok {
				d.handshake(to, n, dg.Peer, dg.Local, dg.Data)
			}
		}
	}
	d.closeListener(s, number)
}

// deviceGone is called when an interface that is no tunnel has gone: sockets bound
// to it are dead, and another one of its name needs new ones.
func (d *Daemon) deviceGone(index int) {
	for _, s := range d.sections {
		if s != nil && s.device == index {
			d.deafened(s)
		}
	}
}

// compareDevices finds out whose interface has gone, or was made anew, when nobody
// was told.
func (d *Daemon) compareDevices() {
	for _, s := range d.sections {
		if s != nil && s.device != 0 && d.links.Index(s.config.Interface) != s.device {
			d.deafened(s)
		}
	}
}

func (d *Daemon) deafened(s *section) {
	s.device = 0
	if len(s.listeners) > 0 {
		d.log.Warn("interface gone", "broker", s.config.Name, "interface", s.config.Interface)
		d.closeSection(s)
		d.retry(retryGap)
	}
}

// listenable checks that a section does not listen on more than can be counted.
func listenable(b *config.Broker) error {
	if n := len(endpoints(b)); n > maxListeners {
		return fmt.Errorf("broker '%s': %d addresses and ports: at most %d can be listened on", b.Name, n, maxListeners)
	}
	return nil
}
