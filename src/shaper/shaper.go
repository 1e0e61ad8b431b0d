package shaper

import (
	"errors"

	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
	"tunneldigger/src/phrase"
)

// Conn sets limits in one network namespace. It is not safe for concurrent use. Requests that the kernel refuses give an
// *nl.Error; ENOENT from Set means that the kernel has no HTB (module sch_htb; OpenWrt: kmod-sched-core).
type Conn struct{ nl *nl.Conn }

// Open connects to the network namespace of the calling thread.
func Open() (*Conn, error) {
	n, err := nl.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, phrase.Errorf("shaper: %w", err)
	}
	return &Conn{nl: n}, nil
}

// Close closes the netlink socket. Limits stay.
func (c *Conn) Close() error { return c.nl.Close() }

// Set limits the interface to kbit × 1000 bits a second, from 1 kbit/s. A limit that Set made before is changed in place, so that no
// frame is lost; any other root qdisc is replaced. It is read back: an error means that the interface has no limit of ours, or still the one before.
func (c *Conn) Set(ifindex int, kbit uint32) error {
	if kbit == 0 {
		return phrase.Errorf("shaper: a limit of 0 kbit/s: want 1 to %d: %w", ^uint32(0), unix.EINVAL)
	}
	fresh, err := c.root(ifindex)
	if err == nil {
		if err = c.class(ifindex, kbit); err == nil {
			if err = c.leaf(ifindex, kbit, fresh); err == nil {
				err = c.verify(ifindex, kbit)
			}
		}
		if err != nil && fresh {
			err = errors.Join(err, c.Clear(ifindex))
		}
	}
	if err != nil {
		return phrase.Errorf("shaper: limit to %d kbit/s: %w", kbit, err)
	}
	return nil
}

// Clear removes a limit that Set made, if there is one. ENODEV: there is no such interface.
func (c *Conn) Clear(ifindex int) error {
	c.request("remove the limit", unix.RTM_DELQDISC, 0, ifindex, rootHandle, atRoot)
	err := c.nl.Do(nil)
	// ENOENT: the default qdisc is in place; EINVAL: somebody else's.
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}

// Read tells the limit that the kernel has in force; ok is false if there is none of ours. ENODEV: there is no such interface.
func (c *Conn) Read(ifindex int) (kbit uint32, ok bool, err error) {
	s, err := c.readClass(ifindex)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		return 0, false, nil // no qdisc 1:, or one without classes
	}
	if err != nil || s.kind != "htb" || s.leaf != leafHandle {
		return 0, false, err
	}
	return uint32(s.rate / bytesPerKbit), true, nil
}

func (c *Conn) verify(ifindex int, kbit uint32) error {
	got, ok, err := c.Read(ifindex)
	if err == nil && (!ok || got != kbit) {
		err = phrase.Errorf("the kernel has %d kbit/s (limited: %v)", got, ok)
	}
	return err
}

// root sees to the HTB qdisc; fresh tells that it was made.
func (c *Conn) root(ifindex int) (fresh bool, err error) {
	err = c.newRoot(ifindex)
	if !errors.Is(err, unix.EEXIST) {
		return err == nil, err
	}
	q, err := c.readRoot(ifindex)
	if err != nil || q == (state{kind: "htb", handle: rootHandle, class: classHandle & 0xffff}) {
		return false, err
	}
	c.request("remove the root qdisc", unix.RTM_DELQDISC, 0, ifindex, 0, atRoot)
	if err := c.nl.Do(nil); err != nil {
		return false, err
	}
	return true, c.newRoot(ifindex)
}
