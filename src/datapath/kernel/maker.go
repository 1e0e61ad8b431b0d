package kernel

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/datapath"
	"tunneldigger/src/l2tp"
	"tunneldigger/src/link"
	"tunneldigger/src/phrase"
)

// nap is how long a Maker waits between two tries.
const nap = 10 * time.Millisecond

// Maker makes tunnels of one session each. It is not safe for concurrent use.
type Maker struct {
	// Patience is how long IDs and names that are taken may stay so: the kernel
	// removes tunnels some time after it was asked to.
	Patience time.Duration
	tunnels  *l2tp.Conn
	links    *link.Conn
}

// Tunnel is what a Maker makes.
type Tunnel struct {
	ID, PeerID           uint32
	Session, PeerSession uint32
	Interface            string
	FD                   int // a connected UDP socket, which stays the caller's
}

// Dial proves that the kernel makes tunnels, in the network namespace of the calling
// thread. The error says what to do. The Maker asks links for interfaces.
func Dial(links *link.Conn) (*Maker, error) {
	tunnels, err := l2tp.Dial()
	if err == nil {
		if err = tunnels.Prove(); err == nil {
			return NewMaker(tunnels, links), nil
		}
		_ = tunnels.Close()
	}
	return nil, advise(err)
}

// NewMaker makes a Maker of what is open.
func NewMaker(tunnels *l2tp.Conn, links *link.Conn) *Maker {
	return &Maker{tunnels: tunnels, links: links}
}

// Close closes the connection to the kernel's L2TP. Tunnels stay.
func (m *Maker) Close() error { return m.tunnels.Close() }

// Make makes a tunnel, its session and its interface, which is down, and gives the
// interface's index; or it leaves nothing but the socket, which can't have
// another tunnel then. The error wraps datapath.ErrTunnelExists and the like.
func (m *Maker) Make(t Tunnel) (index int, err error) {
	err = m.whileTaken(func() error {
		return m.tunnels.CreateTunnel(l2tp.Tunnel{ID: t.ID, PeerID: t.PeerID, FD: t.FD})
	})
	if errors.Is(err, unix.EEXIST) {
		return 0, phrase.Errorf("%w: %w", datapath.ErrTunnelExists, err)
	}
	if err != nil {
		return 0, err
	}
	err = m.whileTaken(func() error {
		return m.tunnels.CreateSession(l2tp.Session{TunnelID: t.ID, ID: t.Session, PeerID: t.PeerSession, Interface: t.Interface})
	})
	if errors.Is(err, unix.EEXIST) {
		taken := datapath.ErrSessionExists
		if _, fault := m.links.Find(t.Interface); fault == nil {
			taken = datapath.ErrInterfaceExists
		}
		err = phrase.Errorf("%w: %w", taken, err)
	} else if err == nil {
		index, err = m.links.Index(t.Interface)
	}
	if err != nil {
		return 0, errors.Join(err, m.Delete(t.ID))
	}
	return index, nil
}

// Delete removes a tunnel with its session and interface, which is finished some
// time after it returns. That it is gone already is no error.
func (m *Maker) Delete(id uint32) error {
	if err := m.tunnels.DeleteTunnel(id); err != nil && !errors.Is(err, unix.ENODEV) {
		return err
	}
	return nil
}

// whileTaken repeats create while what it makes is there still.
func (m *Maker) whileTaken(create func() error) error {
	err := create()
	for waited := time.Duration(0); errors.Is(err, unix.EEXIST) && waited < m.Patience; waited += nap {
		time.Sleep(nap)
		err = create()
	}
	return err
}
