package datapath

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// What Path.Create says of an ID that is taken: another one will do.
var (
	ErrTunnelExists    = errors.New("the kernel has this tunnel ID already")
	ErrInterfaceExists = errors.New("an interface of this name is there already")
	ErrSessionExists   = errors.New("the kernel has this session ID already")
)

// Request is a tunnel to be made.
type Request struct {
	_                    [0]func() // not to be compared: that would be code for nothing
	ID, PeerID           uint32    // of the tunnel; ID, 1–65535, is this side's name for it everywhere
	Session, PeerSession uint32
	Interface            string         // at most 15 bytes
	Local, Peer          netip.AddrPort // of the UDP conversation
	Device               string         // that its packets go through, "": by the routes
	Listener             int            // by which its client came, for Stray
	// Again: it is made again after a crash, and the interface that was may be there still.
	Again bool
}

// Path makes tunnels and has something carry their frames.
type Path interface {
	// Create makes a tunnel with its interface, which is down, or leaves nothing.
	// The error wraps ErrTunnelExists and the like, or says what failed.
	Create(r *Request) error
	// Adopt takes over a tunnel that an earlier process has made, with what its Keep
	// gave, -1 where that is closed. Its interface is found by Interfaces.Adopt.
	Adopt(r *Request, fd int)
	// FD is the tunnel's own UDP socket, for the loop to wait at; -1: it has none, or
	// none any more, and what its client says comes to a listener.
	FD(id uint32) int
	// Keep is the descriptor that the tunnel lives by, for systemd to keep, and for
	// Adopt of the next process; -1: there is none, or none any more.
	Keep(id uint32) int
	// Send sends a control message to the tunnel's client. The error is a bare errno,
	// EMSGSIZE when it does not fit into the device's MTU. Nothing is allocated.
	Send(id uint32, message []byte) error
	// Receive reads one datagram from FD into buf: own when it came from the
	// tunnel's client, else from says who wrote it, to a listener. The error
	// is a bare errno, EAGAIN when nothing is there. Nothing is allocated.
	Receive(id uint32, buf []byte) (n int, own bool, from netip.AddrPort, err error)
	// Destroy has a tunnel removed. Destroyed follows when its interface is gone.
	Destroy(id uint32)
	// Close ends everything, and all tunnels with it.
	Close()
}

// Stray takes what came to a tunnel's socket that is being closed: from others,
// between bind and connect, and from its client at last. It was sent to local,
// where the listener is that the Request named. The data is not kept.
type Stray func(listener int, local, from netip.AddrPort, data []byte)

// None takes tunnels without interfaces, for load tests of the control plane.
type None struct{ Sockets }

// NewNone makes a None whose tunnels are in interfaces, which need not be open.
func NewNone(interfaces *Interfaces, stray Stray) *None {
	return &None{Sockets{Interfaces: interfaces, Stray: stray}}
}

// Create implements Path.
func (n *None) Create(r *Request) error {
	if _, err := n.Open(r); err != nil {
		return err
	}
	n.Interfaces.Add(r, 0)
	return nil
}

// closed is what is said of a socket that is not there.
const closed = unix.EBADF
