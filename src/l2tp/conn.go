package l2tp

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
	"tunneldigger/src/phrase"
)

// Conn talks to the kernel's L2TP in one network namespace. It is not safe for concurrent use. Requests that the kernel refuses
// give an *nl.Error.
type Conn struct {
	nl     *nl.Conn
	family uint16
	load   func(module string) error
}

// Dial connects to the kernel's L2TP in the network namespace of the calling thread, and loads the modules if need be, which
// takes CAP_NET_ADMIN (the kernel's way) or CAP_SYS_MODULE (modprobe). Without L2TP the error is ErrNoL2TP.
func Dial() (*Conn, error) {
	n, err := nl.Dial(unix.NETLINK_GENERIC)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		// A kernel, or an emulation of one, without generic netlink, by which alone L2TP is spoken to.
		return nil, phrase.Errorf("l2tp: %w: %w", ErrNoL2TP, err)
	}
	if err != nil {
		return nil, phrase.Errorf("l2tp: %w", err)
	}
	c, err := dial(n, modprobe)
	if err != nil {
		n.Close()
		return nil, err
	}
	return c, nil
}

// Over is Dial for tests: with a netlink connection to a kernel that is none, and whose modules are all there.
func Over(n *nl.Conn) (*Conn, error) { return dial(n, func(string) error { return nil }) }

func dial(n *nl.Conn, load func(module string) error) (*Conn, error) {
	family, err := n.Family(familyName)
	if errors.Is(err, unix.ENOENT) {
		loaded := load("l2tp_netlink")
		if family, err = n.Family(familyName); errors.Is(err, unix.ENOENT) {
			return nil, phrase.Errorf("l2tp: %w: %w", ErrNoL2TP, errors.Join(err, loaded))
		}
	}
	if err != nil {
		return nil, phrase.Errorf("l2tp: %w", err)
	}
	return &Conn{nl: n, family: family, load: load}, nil
}

// Close closes the netlink socket. Tunnels stay.
func (c *Conn) Close() error { return c.nl.Close() }

// modprobe loads a module by its name. It waits for its child alone, before hooks exist.
func modprobe(module string) error {
	fd, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return phrase.Errorf("open %s: %w", os.DevNull, err)
	}
	defer unix.Close(fd)
	null := uintptr(fd)
	for _, path := range []string{"/sbin/modprobe", "/usr/sbin/modprobe"} {
		var pid int
		pid, err = syscall.ForkExec(path, []string{path, module}, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{null, null, null}})
		if err == unix.ENOENT {
			continue
		}
		if err != nil {
			return phrase.Errorf("%s %s: %w", path, module, err)
		}
		var status unix.WaitStatus
		for {
			if _, err = unix.Wait4(pid, &status, 0, nil); err != unix.EINTR {
				break
			}
		}
		if err != nil || status != 0 {
			return phrase.Errorf("%s %s: exit status %d (%v)", path, module, status.ExitStatus(), err)
		}
		return nil
	}
	return phrase.Errorf("/sbin/modprobe: %w", err)
}

// Prove makes a throw-away tunnel with a session on a socket that nothing can reach, and removes it again. Its error names the
// step that failed and is ErrNoEthernet where the kernel has no Ethernet pseudowire.
func (c *Conn) Prove() error {
	if err := c.prove(); err != nil {
		return phrase.Errorf("l2tp: prove the kernel: %w", err)
	}
	return nil
}

func (c *Conn) prove() (err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return phrase.Errorf("make a UDP socket: %w", err)
	}
	defer unix.Close(fd)

	// Another broker may be at the same thing, so ID and interface name give way.
	id := ^uint32(0)
	for {
		err = c.CreateTunnel(Tunnel{ID: id, PeerID: id, FD: fd})
		if !errors.Is(err, unix.EEXIST) || id < ^uint32(0)-100 {
			break
		}
		id--
	}
	if err != nil {
		return err
	}
	defer func() {
		if e := c.DeleteTunnel(id); e != nil && err == nil {
			err = e
		}
	}()
	session := Session{TunnelID: id, ID: id, PeerID: id, Interface: "l2tpprove%d"}
	if err = c.CreateSession(session); errors.Is(err, unix.EPROTONOSUPPORT) {
		loaded := c.load("l2tp_eth")
		if err = c.CreateSession(session); errors.Is(err, unix.EPROTONOSUPPORT) {
			return phrase.Errorf("%w: %w", ErrNoEthernet, errors.Join(err, loaded))
		}
	}
	if err != nil {
		return err
	}
	return c.DeleteSession(id, id)
}
