package daemon

import (
	"errors"

	"tunneldigger/src/broker"
)

// datapath is what carries a tunnel's frames: the kernel, or nothing.
type datapath interface {
	// create makes tunnel, session and interface on p's socket.
	// On an error the caller closes the socket, which undoes everything.
	create(d *Daemon, p *port, e *broker.Effect) error
	// raise gives the interface its MTU, attaches it where tunnels of this MTU
	// belong, and brings it up.
	raise(d *Daemon, p *port, mtu int) error
	setMTU(d *Daemon, p *port, mtu int) error
	shape(p *port, kbit uint32) error
	// received counts the frames that have come from the client.
	received(p *port) (uint64, error)
	// watch takes in what happened to interfaces.
	watch(d *Daemon)
	// retry looks for masters that are gone; it tells whether any still is.
	retry(d *Daemon) bool
	// adopt finds the interfaces of the tunnels that the program before has left.
	adopt(d *Daemon) error
	// ready tells whether what a section needs is there.
	ready(d *Daemon, s *section) error
	// reload takes in that there are other bridge sections, and tells what is
	// missing for them. move then brings a tunnel where they want it.
	reload(d *Daemon) []string
	move(d *Daemon, p *port) error
	close()
}

var (
	errTunnelExists  = errors.New("the kernel has this tunnel ID already")
	errSessionExists = errors.New("the kernel has this session ID already")
)

// noDatapath takes tunnels without interfaces, for load tests of the control
// plane.
type noDatapath struct{}

func (noDatapath) create(*Daemon, *port, *broker.Effect) error { return nil }
func (noDatapath) raise(*Daemon, *port, int) error             { return nil }
func (noDatapath) setMTU(*Daemon, *port, int) error            { return nil }
func (noDatapath) shape(*port, uint32) error                   { return nil }
func (noDatapath) received(*port) (uint64, error)              { return 0, nil }
func (noDatapath) watch(*Daemon)                               {}
func (noDatapath) retry(*Daemon) bool                          { return false }
func (noDatapath) adopt(*Daemon) error                         { return nil }
func (noDatapath) ready(*Daemon, *section) error               { return nil }
func (noDatapath) reload(*Daemon) []string                     { return nil }
func (noDatapath) move(*Daemon, *port) error                   { return nil }
func (noDatapath) close()                                      {}
