package kernel

import (
	"tunneldigger/src/datapath"
	"tunneldigger/src/link"
	"tunneldigger/src/phrase"
	"tunneldigger/src/shaper"
)

// Path is the datapath.Path of the kernel's L2TP. A tunnel dies with its socket.
type Path struct {
	datapath.Sockets
	maker *Maker
}

// New makes a Path that can adopt tunnels, and make some when it is open.
func New(interfaces *datapath.Interfaces, stray datapath.Stray) *Path {
	return &Path{Sockets: datapath.Sockets{Interfaces: interfaces, Stray: stray}}
}

// Open proves that the kernel makes tunnels. The Interfaces are open. The error says
// what to do.
func (p *Path) Open() (err error) {
	p.maker, err = Dial(p.Interfaces.Links())
	return err
}

// OpenWith is Open for tests.
func (p *Path) OpenWith(m *Maker) { p.maker = m }

// Create implements datapath.Path.
func (p *Path) Create(r *datapath.Request) error {
	// After a crash three hundred are tried while the kernel removes the ones before: what
	// is made in vain then is to be removed, too, behind those.
	if r.Again && p.Interfaces.Index(r.Interface) != 0 {
		return phrase.Errorf("%w: %s", datapath.ErrInterfaceExists, r.Interface)
	}
	fd, err := p.Sockets.Open(r)
	if err != nil {
		return err
	}
	index, err := p.maker.Make(Tunnel{
		ID: r.ID, PeerID: r.PeerID, Session: r.Session, PeerSession: r.PeerSession, Interface: r.Interface, FD: fd,
	})
	if err != nil {
		p.Drop(r.ID)
		return err
	}
	p.Interfaces.Add(r, index)
	return nil
}

// Close implements datapath.Path.
func (p *Path) Close() {
	p.Sockets.Close()
	if p.maker != nil {
		_ = p.maker.Close()
	}
}

// Prove is an error unless this program gets on with the kernel, which is left as it
// is.
func Prove() error {
	links, err := link.Open()
	if err != nil {
		return err
	}
	defer links.Close()
	maker, err := Dial(links)
	if err != nil {
		return err
	}
	defer maker.Close()
	limits, err := shaper.Open()
	if err != nil {
		return err
	}
	return limits.Close()
}
