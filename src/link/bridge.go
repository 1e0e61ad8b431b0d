package link

import (
	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
	"tunneldigger/src/phrase"
)

// unfinished is the group of a bridge that MakeBridge has made and Mark has not been called for: "td" in ASCII. The kernel
// takes a group with a new link, and an alias only afterwards.
const unfinished = 0x7464

// MakeBridge makes a bridge, which is down, with an address of its own that stays as ports come and go. A process that ends
// before it has called Mark leaves one that is Unfinished. EEXIST: there is an interface of that name.
func (c *Conn) MakeBridge(name string) error {
	var address [6]byte
	if _, err := unix.Getrandom(address[:], 0); err != nil {
		return phrase.Errorf("read random numbers: %w", err)
	}
	address[0] = address[0]&^1 | 2 // one station's, and administered here
	m := c.nl.Request("make bridge", unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	m.Raw(unix.AF_UNSPEC, 0, 0, 0)
	m.Raw32(0)
	m.Raw32(0)
	m.Raw32(0)
	m.String(unix.IFLA_IFNAME, name)
	m.Data(unix.IFLA_ADDRESS, address[:])
	m.U32(unix.IFLA_GROUP, unfinished)
	info := m.Nest(unix.IFLA_LINKINFO)
	m.String(unix.IFLA_INFO_KIND, kindBridge)
	m.End(info)
	return c.nl.Do(nil)
}

// Mark gives an interface an alias, by which whoever made it knows it again, and brings it up. The alias has 255 bytes at most.
func (c *Conn) Mark(index int, alias string) error {
	m := c.change("mark bridge and bring it up", unix.RTM_SETLINK, index, unix.IFF_UP)
	m.U32(unix.IFLA_GROUP, 0)
	m.Data(unix.IFLA_IFALIAS, []byte(alias))
	return c.nl.Do(nil)
}

// KeepMTU gives a bridge an MTU that it keeps, see GuardMTU.
func (c *Conn) KeepMTU(index, mtu int) error {
	err := c.SetMTU(index, mtu-1)
	if err == nil {
		err = c.SetMTU(index, mtu)
	}
	return err
}

// Remove removes an interface that was made by MakeBridge, with its addresses. Its ports stay, detached.
func (c *Conn) Remove(index int) error {
	m := c.nl.Request("remove bridge", unix.RTM_DELLINK, 0)
	m.Raw(unix.AF_UNSPEC, 0, 0, 0)
	m.Raw32(uint32(index))
	m.Raw32(0)
	m.Raw32(0)
	return c.nl.Do(nil)
}

// Find reads the state of the interface with that name. For one that is not there the kernel starts nothing, as it does for Index.
func (c *Conn) Find(name string) (found Link, err error) {
	const op = "find interface "
	if len(name) >= unix.IFNAMSIZ { // the kernel would call it out of range
		return found, phrase.Errorf(op+"%s: %w", name, unix.ENODEV)
	}
	c.query(op+name, 0).String(unix.IFLA_IFNAME, name)
	bad := error(nl.ErrMalformed)
	err = c.nl.Do(func(_ nl.Header, body []byte) {
		var kind []byte
		found, _, kind, bad = parse(body)
		found.Name, found.Bridge = name, string(kind) == kindBridge
	})
	if err == nil {
		err = bad
	}
	return found, err
}
