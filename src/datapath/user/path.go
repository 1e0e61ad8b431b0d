package user

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"tunneldigger/src/datapath"
	"tunneldigger/src/forward"
	"tunneldigger/src/phrase"
	"tunneldigger/src/tap"
)

// Path is the datapath.Path of TAP devices. A tunnel's interface dies with the
// descriptor of its device, unless it lasts.
type Path struct {
	// Lasting has interfaces stay when the process ends without a word: its successor
	// has them back by Reopen, or removes them by Sweep. It is set before there are any.
	Lasting    bool
	interfaces *datapath.Interfaces
	wake       func()
	engine     *forward.Engine // nil: nobody has needed it yet
	listeners  []*Listener
	tunnels    []*tunnel // by ID
}

// tunnel is one of this path.
type tunnel struct {
	request  datapath.Request
	device   tap.Device
	carried  *forward.Tunnel // nil: it waits for a listener
	listener *Listener       // by which it sends
}

// New makes a Path that can adopt tunnels and listeners. wake is called when there is
// mail, from any goroutine.
func New(interfaces *datapath.Interfaces, wake func()) *Path {
	return &Path{interfaces: interfaces, wake: wake}
}

// Prove is an error unless this program can make TAP devices. It says what to do.
func Prove() error { return tap.Prove() }

// Open has what was adopted be read, after all of it has been.
func (p *Path) Open() {
	for _, l := range p.listeners {
		if !l.open {
			l.open = true
			l.carrier.Open()
		}
	}
}

// start starts the engine, unless it runs.
func (p *Path) start() (err error) {
	if p.engine == nil {
		p.engine, err = forward.Start(forward.Options{Wake: p.wake})
	}
	return err
}

func (p *Path) get(id uint32) *tunnel {
	if uint64(id) < uint64(len(p.tunnels)) {
		return p.tunnels[id]
	}
	return nil
}

func (p *Path) add(t *tunnel) {
	for uint64(t.request.ID) >= uint64(len(p.tunnels)) {
		p.tunnels = append(p.tunnels, nil)
	}
	p.tunnels[t.request.ID] = t
}

// Create implements datapath.Path.
func (p *Path) Create(r *datapath.Request) error {
	device, err := tap.Open(r.Interface)
	if errors.Is(err, tap.ErrExists) {
		return phrase.Errorf("%w: %w", datapath.ErrInterfaceExists, err)
	}
	if err != nil {
		return err
	}
	t := &tunnel{request: *r, device: device}
	p.last(t)
	index, err := p.interfaces.Links().Index(r.Interface)
	if err == nil {
		err = p.carry(t)
	}
	if err != nil {
		_ = device.Last(false)
		_ = unix.Close(device.FD)
		return err
	}
	p.add(t)
	p.interfaces.Add(r, index)
	return nil
}

// last has a tunnel's interface last, or not. Where that fails, a crash takes it.
func (p *Path) last(t *tunnel) { _ = t.device.Last(p.Lasting) }

// carry has a tunnel's frames carried, if there is a listener for it; else it waits for one, as after a crash.
func (p *Path) carry(t *tunnel) error {
	l := p.find(t.request.Local, nil)
	if l == nil {
		return nil
	}
	r := &t.request
	carried, err := p.engine.Add(forward.Config{
		ID: r.ID, Listener: l.carrier, Peer: r.Peer, Local: r.Local, Session: r.Session, PeerSession: r.PeerSession,
		FD: t.device.FD, Segments: t.device.Segments,
	})
	if err != nil {
		return err
	}
	t.carried, t.listener = carried, l
	l.users++
	return nil
}

// Adopt implements datapath.Path. fd is the tunnel's device.
func (p *Path) Adopt(r *datapath.Request, fd int) {
	if fd < 0 {
		return
	}
	t := &tunnel{request: *r, device: tap.Device{FD: fd}}
	if device, err := tap.Adopt(fd); err == nil { // else its interface has gone, and that will be told
		t.device = device
		p.last(t)
	}
	p.add(t)
	_ = p.carry(t) // its addresses were fine before
}

// FD implements datapath.Path.
func (p *Path) FD(uint32) int { return -1 }

// Keep implements datapath.Path: it is the device.
func (p *Path) Keep(id uint32) int {
	if t := p.get(id); t != nil {
		return t.device.FD
	}
	return -1
}

// Send implements datapath.Path.
func (p *Path) Send(id uint32, message []byte) error {
	if t := p.get(id); t != nil && t.carried != nil {
		return t.carried.Send(message)
	}
	return unix.EBADF
}

// Receive implements datapath.Path: there is nothing to receive from.
func (p *Path) Receive(uint32, []byte) (n int, own bool, from netip.AddrPort, err error) {
	return 0, false, from, unix.EBADF
}

// Destroy implements datapath.Path.
func (p *Path) Destroy(id uint32) {
	if t := p.get(id); t != nil {
		p.tunnels[id] = nil
		_ = t.device.Last(false)
		if t.carried == nil {
			_ = unix.Close(t.device.FD)
		} else {
			p.engine.Remove(t.carried)
			t.listener.leave()
		}
	}
	p.interfaces.Remove(id)
}

// Close implements datapath.Path.
func (p *Path) Close() {
	for id, t := range p.tunnels {
		if t == nil {
			continue
		}
		_ = t.device.Last(false)
		if t.carried == nil {
			_ = unix.Close(t.device.FD)
		}
		p.tunnels[id] = nil
	}
	if p.engine != nil {
		p.engine.Stop()
		p.engine = nil
	}
}

// Dropped is how many frames were dropped for a reason; see package forward, which
// has Drops of them.
func (p *Path) Dropped(d forward.Drop) uint64 {
	if p.engine == nil {
		return 0
	}
	return p.engine.Dropped(d)
}
