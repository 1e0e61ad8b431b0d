package agent

import (
	"errors"
	"net/netip"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/client"
	"tunneldigger/src/forward"
	"tunneldigger/src/link"
	"tunneldigger/src/phrase"
	"tunneldigger/src/tap"
	"tunneldigger/src/wire"
)

// User is the Datapath of this program itself: a TAP device, and package forward.
type User struct {
	engine   *forward.Engine
	link     *link.Conn
	name     string // of the interface
	index    int    // of the interface, 0 while there is none
	peer     netip.Addr
	listener *forward.Listener // the tunnel's socket
	tunnel   *forward.Tunnel
	deliver  func(data []byte)
	letters  chan func([]byte) // wakes the one that delivers; who is to have the mail
	done     chan struct{}
}

// OpenUser makes a Datapath in the network namespace of the calling thread. The
// error says what to do.
func OpenUser(iface string) (*User, error) {
	if err := tap.Prove(); err != nil {
		return nil, err
	}
	links, err := link.Open()
	if err != nil {
		return nil, err
	}
	u := &User{link: links, name: iface, letters: make(chan func([]byte), 1), done: make(chan struct{})}
	wakes := make(chan struct{}, 1)
	// A socket is read by one worker; another one may read the device.
	u.engine, err = forward.Start(forward.Options{Workers: min(2, runtime.NumCPU()), Wake: func() {
		select {
		case wakes <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		links.Close()
		return nil, err
	}
	go u.mail(wakes)
	return u, nil
}

// mail hands on the control messages of the tunnel's socket.
func (u *User) mail(wakes <-chan struct{}) {
	deliver := func([]byte) {}
	var m forward.Mail
	for {
		select {
		case <-wakes:
		case deliver = <-u.letters:
		case <-u.done:
			return
		}
		for u.engine.Next(&m, true) {
			if m.PathMTU == 0 { // the client asks the broker itself how large the path is
				deliver(m.Data)
			}
		}
	}
}

// Close ends the tunnel, if there is one.
func (u *User) Close() error {
	close(u.done)
	u.engine.Stop()
	return u.link.Close()
}

// Deliver implements Reader.
func (u *User) Deliver(f func(data []byte)) { u.deliver = f }

// Create implements Datapath.
func (u *User) Create(t client.Tunnel, fd, mtu int) error {
	device, err := u.open()
	if errors.Is(err, tap.ErrExists) {
		return phrase.Errorf("choose another name with -i: %w", err)
	}
	if err != nil {
		return err
	}
	if err := u.start(t, fd, mtu, device); err != nil {
		unix.Close(device.FD)
		return err
	}
	if err := u.link.Up(u.index, mtu); err != nil {
		return errors.Join(err, u.Delete())
	}
	return nil
}

// open makes the interface. The kernel removes one some time after it was asked to.
func (u *User) open() (d tap.Device, err error) {
	for deadline := time.Now().Add(removal); ; time.Sleep(nap) {
		d, err = tap.Open(u.name)
		if !errors.Is(err, tap.ErrExists) || time.Now().After(deadline) {
			return d, err
		}
	}
}

// start has frames carried between the socket and the device.
func (u *User) start(t client.Tunnel, fd, mtu int, device tap.Device) (err error) {
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return phrase.Errorf("find the broker's address: %w", err)
	}
	peer := addrPort(sa)
	if u.index, err = u.link.Index(u.name); err != nil {
		return err
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return phrase.Errorf("copy a descriptor: %w", err)
	}
	if u.listener, err = u.engine.AdoptListener([]int{own}); err != nil {
		return err
	}
	u.tunnel, err = u.engine.Add(forward.Config{
		ID: t.ID, Listener: u.listener, Peer: peer, Local: u.listener.Addr(), Session: t.SessionID, PeerSession: t.PeerSessionID,
		FD: device.FD, Segments: device.Segments,
	})
	if err != nil {
		u.listener.Close()
		u.listener = nil
		return err
	}
	if u.peer = peer.Addr(); u.peer.Is4() {
		u.peer = netip.Addr{}
	}
	u.letters <- u.deliver
	u.listener.Open()
	return nil
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		addr := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.ZoneId != 0 && addr.IsLinkLocalUnicast() {
			addr = addr.WithZone(strconv.FormatUint(uint64(sa.ZoneId), 10))
		}
		return netip.AddrPortFrom(addr, uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// SetMTU implements Datapath.
func (u *User) SetMTU(mtu int) error {
	return errors.Join(u.link.SetMTU(u.index, mtu), u.link.ForgetPathMTU(u.peer, "", mtu+wire.TunnelOverhead(true)))
}

// Delete implements Datapath.
func (u *User) Delete() error {
	if u.tunnel != nil {
		u.engine.Remove(u.tunnel)
		u.listener.Close()
		u.tunnel, u.listener, u.peer = nil, nil, netip.Addr{}
	}
	index := u.index
	u.index = 0
	for deadline := time.Now().Add(removal); index != 0 && u.is(index); time.Sleep(nap) {
		if time.Now().After(deadline) {
			return phrase.Errorf("interface %s does not go", u.name)
		}
	}
	return nil
}

// Exists implements Datapath.
func (u *User) Exists() bool { return u.is(u.index) }

// is reports whether the interface has that index: another one of the same name
// is not ours.
func (u *User) is(index int) bool {
	now, err := u.link.Index(u.name)
	return now == index || err != nil && !errors.Is(err, unix.ENODEV)
}
