package agent

import (
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/client"
	"tunneldigger/src/datapath"
	"tunneldigger/src/datapath/kernel"
	"tunneldigger/src/link"
	"tunneldigger/src/phrase"
	"tunneldigger/src/wire"
)

// The kernel removes tunnels some time after it was asked to, so names and IDs
// stay taken for a moment.
const (
	removal = 2 * time.Second
	nap     = 10 * time.Millisecond
)

// Kernel is the Datapath of the kernel's L2TP.
type Kernel struct {
	maker *kernel.Maker
	link  *link.Conn
	name  string // of the interface
	index int    // of the interface, 0 while there is none
	id    uint32 // of the tunnel, 0 while there is none
	peer  netip.Addr
}

// OpenKernel proves that the kernel makes tunnels and returns a Datapath in the
// network namespace of the calling thread. The error says what to do.
func OpenKernel(iface string) (*Kernel, error) {
	links, err := link.Open()
	if err != nil {
		return nil, err
	}
	maker, err := kernel.Dial(links)
	if err != nil {
		links.Close()
		return nil, err
	}
	maker.Patience = removal
	return &Kernel{maker: maker, link: links, name: iface}, nil
}

// Close frees what OpenKernel took. A tunnel stays.
func (k *Kernel) Close() error { return errors.Join(k.maker.Close(), k.link.Close()) }

// Create implements Datapath.
func (k *Kernel) Create(t client.Tunnel, fd, mtu int) error {
	index, err := k.maker.Make(kernel.Tunnel{
		ID: t.ID, PeerID: t.PeerID, Session: t.SessionID, PeerSession: t.PeerSessionID, Interface: k.name, FD: fd,
	})
	switch {
	case errors.Is(err, datapath.ErrTunnelExists):
		return phrase.Errorf("tunnel ID %d is in use on this machine: choose another with -t: %w", t.ID, err)
	case errors.Is(err, datapath.ErrInterfaceExists), errors.Is(err, datapath.ErrSessionExists):
		return phrase.Errorf("interface %s exists: choose another with -i: %w", k.name, err)
	case err != nil:
		return err
	}
	k.id, k.index = t.ID, index
	if sa, err := unix.Getpeername(fd); err == nil {
		if v6, ok := sa.(*unix.SockaddrInet6); ok {
			k.peer = netip.AddrFrom16(v6.Addr).Unmap()
		}
	}
	if err := k.link.Up(k.index, mtu); err != nil {
		return errors.Join(err, k.Delete())
	}
	return nil
}

// SetMTU implements Datapath.
func (k *Kernel) SetMTU(mtu int) error {
	return errors.Join(k.link.SetMTU(k.index, mtu), k.link.ForgetPathMTU(k.peer, "", mtu+wire.TunnelOverhead(true)))
}

// Delete implements Datapath.
func (k *Kernel) Delete() error {
	id, index := k.id, k.index
	k.id, k.index, k.peer = 0, 0, netip.Addr{}
	if err := k.maker.Delete(id); err != nil {
		return err
	}
	for deadline := time.Now().Add(removal); index != 0 && k.is(index); {
		if time.Now().After(deadline) {
			return phrase.Errorf("interface %s does not go", k.name)
		}
		time.Sleep(nap)
	}
	return nil
}

// Exists implements Datapath.
func (k *Kernel) Exists() bool { return k.is(k.index) }

// is reports whether the interface has that index: another one of the same name
// is not ours.
func (k *Kernel) is(index int) bool {
	now, err := k.link.Index(k.name)
	return now == index || err != nil && !errors.Is(err, unix.ENODEV)
}
