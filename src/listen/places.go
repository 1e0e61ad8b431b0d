package listen

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"tunneldigger/src/config"
	"tunneldigger/src/occupant"
	"tunneldigger/src/phrase"
	"tunneldigger/src/sock"
)

// Endpoints are the addresses and ports that a section listens on.
func Endpoints(c *config.Broker) []netip.AddrPort {
	addresses := c.Addresses
	if len(addresses) == 0 {
		addresses = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	var all []netip.AddrPort
	for _, port := range c.Ports {
		for _, a := range addresses {
			all = append(all, netip.AddrPortFrom(a, port))
		}
	}
	return all
}

// Few checks that a section does not listen on more than can be counted.
func Few(b *config.Broker) error {
	if n := len(Endpoints(b)); n > Max {
		return phrase.Errorf("broker '%s': %d addresses and ports: at most %d can be listened on", b.Name, n, Max)
	}
	return nil
}

// Suits reports whether a listener can send from an address and port.
func Suits(l Listener, local netip.AddrPort) bool {
	at := l.Addr()
	return at.Port() == local.Port() && (at.Addr() == local.Addr() || at.Addr().IsUnspecified() && at.Addr().Is4() == local.Addr().Is4())
}

// losable reports whether an address may go away.
func losable(a netip.Addr) bool { return !a.IsUnspecified() && !a.IsLoopback() }

// present checks that an address is one of this machine.
func present(a netip.Addr, device string) error {
	if !losable(a) {
		return nil
	}
	_, err := sock.Busy(netip.AddrPortFrom(a, 0), device)
	return err
}

// portFree checks that no socket has a port, which SO_REUSEPORT would hide. Whatever
// else is in the way Listen finds.
func portFree(at netip.AddrPort, device string) error {
	busy, err := sock.Busy(at, device)
	if busy {
		return phrase.Errorf("listen on %s: %w", at, unix.EADDRINUSE)
	}
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return err
	}
	return nil
}

// noIPv6 reports whether the kernel has no IPv6, where nobody has asked for it.
func noIPv6(b *config.Broker, at netip.AddrPort, err error) bool {
	return at.Addr() == netip.IPv6Unspecified() && len(b.Addresses) == 0 &&
		(errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL))
}

// errnoOf finds what words has words for; 0: another one. (errors.As takes 12 kB of
// a router's flash.)
func errnoOf(err error) unix.Errno {
	for _, errno := range []unix.Errno{unix.EADDRINUSE, unix.EADDRNOTAVAIL, unix.EACCES, unix.EPERM} {
		if errors.Is(err, errno) {
			return errno
		}
	}
	return 0
}

// words says for an operator why it can't be listened somewhere.
func words(look *occupant.Look, at netip.AddrPort, err error) string {
	switch errnoOf(err) {
	case unix.EADDRINUSE:
		return phrase.Sprintf("UDP %s is in use by %v: end that one, or set another port", at, look.Of(at))
	case unix.EADDRNOTAVAIL:
		return phrase.Sprintf("UDP %s: this machine does not have the address now", at)
	case unix.EACCES, unix.EPERM:
		return phrase.Sprintf("%v: run it as root or with CAP_NET_BIND_SERVICE", err)
	}
	return err.Error()
}
