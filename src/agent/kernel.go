package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/client"
	"tunneldigger/src/l2tp"
	"tunneldigger/src/link"
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
	l2tp  *l2tp.Conn
	link  *link.Conn
	name  string // of the interface
	index int    // of the interface, 0 while there is none
	id    uint32 // of the tunnel, 0 while there is none
	peer  netip.Addr
}

// OpenKernel proves that the kernel makes tunnels and returns a Datapath in the
// network namespace of the calling thread. The error says what to do.
func OpenKernel(iface string) (*Kernel, error) {
	tunnels, err := l2tp.Dial()
	if err != nil {
		return nil, advise(err)
	}
	if err := tunnels.Prove(); err != nil {
		tunnels.Close()
		return nil, advise(err)
	}
	links, err := link.Open()
	if err != nil {
		tunnels.Close()
		return nil, err
	}
	return &Kernel{l2tp: tunnels, link: links, name: iface}, nil
}

// advise says what to do about a kernel that makes no tunnels.
func advise(err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), unix.Geteuid() != 0:
		return fmt.Errorf("%w: run it as root or with CAP_NET_ADMIN", err)
	case errors.Is(err, l2tp.ErrNoL2TP), errors.Is(err, l2tp.ErrNoEthernet):
		return fmt.Errorf("%w: install it (OpenWrt: kmod-l2tp-eth; Fedora, RHEL: kernel-modules-extra, and take l2tp_netlink and "+
			"l2tp_eth off the blacklists in /etc/modprobe.d; Debian has it in the kernel package), or run on a host "+
			"instead of in a container", err)
	}
	return err
}

// Close frees what OpenKernel took. A tunnel stays.
func (k *Kernel) Close() error { return errors.Join(k.l2tp.Close(), k.link.Close()) }

// Create implements Datapath.
func (k *Kernel) Create(t client.Tunnel, fd, mtu int) error {
	err := whileTaken(func() error {
		return k.l2tp.CreateTunnel(l2tp.Tunnel{ID: t.ID, PeerID: t.PeerID, FD: fd})
	})
	if err != nil {
		return taken(err, fmt.Sprintf("tunnel ID %d is in use on this machine: choose another with -t", t.ID))
	}
	k.id = t.ID
	if sa, err := unix.Getpeername(fd); err == nil {
		if v6, ok := sa.(*unix.SockaddrInet6); ok {
			k.peer = netip.AddrFrom16(v6.Addr).Unmap()
		}
	}
	err = whileTaken(func() error {
		return k.l2tp.CreateSession(l2tp.Session{TunnelID: t.ID, ID: t.SessionID, PeerID: t.PeerSessionID, Interface: k.name})
	})
	if err != nil {
		err = taken(err, fmt.Sprintf("interface %s exists: choose another with -i", k.name))
	} else if k.index, err = k.link.Index(k.name); err == nil {
		err = k.link.Up(k.index, mtu)
	}
	if err != nil {
		return errors.Join(err, k.Delete())
	}
	return nil
}

// whileTaken repeats create while what it makes is there still.
func whileTaken(create func() error) error {
	for deadline := time.Now().Add(removal); ; {
		err := create()
		if !errors.Is(err, unix.EEXIST) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(nap)
	}
}

// taken says what to do about EEXIST.
func taken(err error, advice string) error {
	if errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%s: %w", advice, err)
	}
	return err
}

// SetMTU implements Datapath.
func (k *Kernel) SetMTU(mtu int) error {
	return errors.Join(k.link.SetMTU(k.index, mtu), k.link.ForgetPathMTU(k.peer, "", mtu+wire.TunnelOverhead(true)))
}

// Delete implements Datapath.
func (k *Kernel) Delete() error {
	id, index := k.id, k.index
	k.id, k.index, k.peer = 0, 0, netip.Addr{}
	if err := k.l2tp.DeleteTunnel(id); err != nil && !errors.Is(err, unix.ENODEV) {
		return err
	}
	for deadline := time.Now().Add(removal); index != 0 && k.is(index); {
		if time.Now().After(deadline) {
			return fmt.Errorf("interface %s does not go", k.name)
		}
		time.Sleep(nap)
	}
	return nil
}

// Exists implements Datapath.
func (k *Kernel) Exists() bool { return k.is(k.index) }

// is tells whether the interface has that index: another one of the same name
// is not ours.
func (k *Kernel) is(index int) bool {
	now, err := k.link.Index(k.name)
	return now == index || err != nil && !errors.Is(err, unix.ENODEV)
}
