package daemon

import (
	"net/netip"
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/datapath"
	"tunneldigger/src/datapath/carriers"
	"tunneldigger/src/listen"
	"tunneldigger/src/occupant"
	"tunneldigger/src/sock"
	"tunneldigger/src/status"
	"tunneldigger/src/tunnels"
)

// maxRetired is how many batches of 32 datagrams a closing listener's mail may be.
const maxRetired = 64

// section is one broker section: its core and its listeners.
type section struct {
	tunnels.Section
	core    *broker.Broker
	listen  *listen.Set
	leaving bool // it was taken out of the configuration

	refusals     status.Refusals
	loosened     uint64 // tunnels that no bridge section fitted, so far
	silentErrors int    // turns in a row with nothing but errors from a listener
}

// newSection makes a section without a core, which listens nowhere.
func (d *Daemon) newSection(number int, c *config.Broker, path datapath.Path) *section {
	return &section{Section: tunnels.Section{Number: number, Config: c, Path: path}, listen: listen.New(number, c, d.carriers.Release)}
}

// section is the one of a number, nil: there is none.
func (d *Daemon) section(number int) *section {
	for _, s := range d.sections {
		if s.Number == number {
			return s
		}
	}
	return nil
}

// owner is the one that has a tunnel, nil: it has gone.
func (d *Daemon) owner(t *tunnels.Section) *section {
	for _, s := range d.sections {
		if &s.Section == t {
			return s
		}
	}
	return nil
}

// name is that of a section by its number, "" where there is none.
func (d *Daemon) name(number int) string {
	if s := d.section(number); s != nil {
		return s.Config.Name
	}
	return ""
}

// relist finds anew where the sections listen.
func (d *Daemon) relist() {
	d.places = d.places[:0]
	for _, s := range d.sections {
		d.places = append(d.places, s.listen)
	}
}

// place puts a section among the others.
func (d *Daemon) place(s *section) {
	d.sections = append(d.sections, s)
	for i := len(d.sections) - 1; i > 0 && d.sections[i-1].Number > s.Number; i-- {
		d.sections[i-1], d.sections[i] = s, d.sections[i-1]
	}
	d.relist()
}

// user reports whether the program carries the section's frames.
func (s *section) user() bool { return carriers.IsUser(s.Path) }

// portsInUse are the UDP ports of this program.
func (d *Daemon) portsInUse() map[uint16]bool {
	ours := make(map[uint16]bool)
	d.places.Ports(ours)
	d.tunnels.Ports(ours)
	return ours
}

// openListeners has every section listen wherever it does not yet.
func (d *Daemon) openListeners() {
	d.retryAt = 0
	var look occupant.Look // whoever has a port next time may be another one
	for _, s := range d.sections {
		if s.leaving {
			continue
		}
		name := s.Config.Name
		news := s.listen.Open(&listen.Host{
			Ready: func() error { return d.bridges.Ready(d.now, d.links, name) }, Ours: d.portsInUse, Index: d.links.Index,
			Open: func(at netip.AddrPort, number uint32) (listen.Listener, error) {
				return d.carriers.Listen(s.Path, at, s.Config.Interface, number)
			}, Look: &look,
		})
		d.journal.Listens(name, s.Config.Interface, s.listen.Len(), &news)
		if after := s.listen.Again(); after != 0 {
			d.retry(after)
		}
	}
}

// eachTunnel goes through all tunnels, in order of section and ID.
func (d *Daemon) eachTunnel(f func(s *section, t *broker.TunnelInfo)) {
	for _, s := range d.sections {
		for t, ok := s.core.Next(0); ok; t, ok = s.core.Next(t.Tunnel + 1) {
			f(s, &t)
		}
	}
}

// retry has openListeners called again after a time, or earlier.
func (d *Daemon) retry(after time.Duration) {
	if at := d.now + after; d.retryAt == 0 || at < d.retryAt {
		d.retryAt = at
	}
}

// retire closes a listener. What waits in it goes to who listens there now.
func (d *Daemon) retire(s *section, number uint32) {
	l, _ := s.listen.Get(number)
	_, _ = l.Flush()
	d.moved = d.moved || s.core.Tunnels() > 0
	if own, ours := l.(*sock.Listener); ours {
		own.Drain(maxRetired, func(dg *sock.Datagram) {
			if to, n, ok := d.entrance(int(number), dg.Local); ok {
				d.handshake(to, n, dg.Peer, dg.Local, dg.Data)
			}
		})
	}
	s.listen.Close(number)
}

// deafened closes the listeners of sections whose interface, as gone says, is not there
// any more, or was made anew.
func (d *Daemon) deafened(gone func(*listen.Set) bool) {
	for _, s := range d.sections {
		if gone(s.listen) {
			d.log.Warn("interface gone", "broker", s.Config.Name, "interface", s.Config.Interface)
			d.retry(listen.RetryGap)
		}
	}
}
