package carriers

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"tunneldigger/src/datapath"
	"tunneldigger/src/listen"
	"tunneldigger/src/phrase"
	"tunneldigger/src/poll"
	"tunneldigger/src/sock"
)

// Listen opens the sockets of a place for a section whose frames p carries; device is its interface, "":
// any. The loop waits at them by the listener's number, unless the path reads them itself.
func (c *Carriers) Listen(p datapath.Path, at netip.AddrPort, device string, number uint32) (listen.Listener, error) {
	if IsUser(p) {
		l, err := c.User.Listen(at, device, number)
		if err != nil { // and no listener that is not nil
			return nil, err
		}
		return l, nil
	}
	l, err := sock.Listen(at, device)
	if err != nil {
		return nil, err
	}
	if err := c.watch(l, number); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// AdoptListener is Listen for the sockets of an earlier process.
func (c *Carriers) AdoptListener(p datapath.Path, fds []int, number uint32) (listen.Listener, error) {
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	if IsUser(p) {
		l, err := c.User.AdoptListener(fds, number)
		if err != nil { // and no listener that is not nil
			return nil, err
		}
		return l, nil
	}
	if len(fds) != 1 {
		return nil, phrase.Errorf("%d sockets, want one", len(fds))
	}
	l, err := sock.FromFD(fds[0])
	if err != nil {
		return nil, err
	}
	return l, c.watch(l, number)
}

func (c *Carriers) watch(l *sock.Listener, number uint32) error {
	return c.poller.Add(l.FD(), c.token|uint64(number), poll.Read)
}

// Release has the loop wait no more at a listener, which is about to be closed.
func (c *Carriers) Release(l listen.Listener) {
	if own, ours := l.(*sock.Listener); ours {
		_ = c.poller.Remove(own.FD())
	}
}
