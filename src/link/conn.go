package link

import (
	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
	"tunneldigger/src/phrase"
)

// MaxPorts is how many ports a bridge takes (BR_MAX_PORTS, net/bridge/br_private.h); one more is EXFULL.
const MaxPorts = 1023

// Conn changes and asks for network interfaces of one network namespace. It is not safe for concurrent use. Requests that the
// kernel refuses give an *nl.Error; an interface that does not exist is ENODEV.
type Conn struct {
	nl     *nl.Conn
	socket int                                          // any socket: what ioctl wants
	answer func(request uint, name string) (int, error) // instead of ioctl, in tests; else nil
}

// Open connects to the network namespace of the calling thread.
func Open() (*Conn, error) {
	n, err := nl.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, phrase.Errorf("link: %w", err)
	}
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		n.Close()
		return nil, phrase.Errorf("link: open socket: %w", err)
	}
	return &Conn{nl: n, socket: s}, nil
}

// Over is Open for tests: netlink is n, and what takes ioctl (SIOCGIFINDEX, SIOCGIFMTU) a function's.
func Over(n *nl.Conn, answer func(request uint, name string) (int, error)) *Conn {
	return &Conn{nl: n, socket: -1, answer: answer}
}

// Close closes the sockets. Interfaces stay as they are.
func (c *Conn) Close() error {
	if c.socket >= 0 {
		unix.Close(c.socket)
	}
	return c.nl.Close()
}

// Index is the number of the interface with that name. It is quick, and for names that somebody has: for others the kernel looks for
// a module netdev-NAME, by starting a program, and the caller waits (dev_load, net/core/dev_ioctl.c). See Find.
func (c *Conn) Index(name string) (int, error) {
	return c.ask("find interface", unix.SIOCGIFINDEX, name)
}

// MTU is the interface's MTU in bytes, without the Ethernet header.
func (c *Conn) MTU(name string) (int, error) {
	return c.ask("read the MTU of", unix.SIOCGIFMTU, name)
}

func (c *Conn) ask(op string, request uint, name string) (int, error) {
	if c.answer != nil {
		n, err := c.answer(request, name)
		if err != nil {
			err = phrase.Errorf("%s %s: %w", op, name, err)
		}
		return n, err
	}
	r, err := unix.NewIfreq(name)
	if err != nil { // longer than a name can be
		err = unix.ENODEV
	} else {
		err = unix.IoctlIfreq(c.socket, request, r)
	}
	if err != nil {
		return 0, phrase.Errorf("%s %s: %w", op, name, err)
	}
	return int(r.Uint32()), nil
}
