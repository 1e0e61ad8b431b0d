package link

import (
	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
	"tunneldigger/src/phrase"
)

// Up sets the MTU and brings the interface up, in one request.
func (c *Conn) Up(index, mtu int) error {
	m := c.change("bring interface up", unix.RTM_SETLINK, index, unix.IFF_UP)
	m.U32(unix.IFLA_MTU, uint32(mtu))
	return c.nl.Do(nil)
}

// UpAttach sets the MTU, makes the interface a port of the master (a bridge, a batman-adv interface and the like) and brings it up, in one
// request. Should one of them fail the ones before may have been done: Detach, or remove the interface. A bridge may lower its own MTU
// then, see GuardMTU. EXFULL: the bridge has MaxPorts; EINVAL: no such master; EOPNOTSUPP: it takes no ports; ELOOP: it is a port of the
// interface.
func (c *Conn) UpAttach(index, mtu, master int) error {
	m := c.change("bring interface up and attach it", unix.RTM_SETLINK, index, unix.IFF_UP)
	m.U32(unix.IFLA_MTU, uint32(mtu))
	m.U32(unix.IFLA_MASTER, uint32(master))
	return c.nl.Do(nil)
}

// SetMTU changes the MTU. EINVAL: outside of what the device takes.
func (c *Conn) SetMTU(index, mtu int) error {
	c.change("set MTU", unix.RTM_SETLINK, index, 0).U32(unix.IFLA_MTU, uint32(mtu))
	return c.nl.Do(nil)
}

// Detach takes the interface from its master, if it has one.
func (c *Conn) Detach(index int) error {
	c.change("detach interface", unix.RTM_SETLINK, index, 0).U32(unix.IFLA_MASTER, 0)
	return c.nl.Do(nil)
}

// Isolate keeps a bridge port from exchanging frames with the other isolated ones. It is a property of the port, so only after
// UpAttach: EOPNOTSUPP or EINVAL if the interface is no port of a bridge.
func (c *Conn) Isolate(index int) error { return c.SetIsolated(index, true) }

// SetIsolated is Isolate, or takes it back.
func (c *Conn) SetIsolated(index int, on bool) error {
	var value uint8
	if on {
		value = 1
	}
	// Only RTM_NEWLINK takes IFLA_INFO_SLAVE_DATA, and before IFLA_MASTER (net/core/rtnetlink.c): hence a request of its own.
	m := c.change("isolate bridge port", unix.RTM_NEWLINK, index, 0)
	info := m.Nest(unix.IFLA_LINKINFO)
	m.String(unix.IFLA_INFO_SLAVE_KIND, kindBridge)
	data := m.Nest(unix.IFLA_INFO_SLAVE_DATA)
	m.U8(unix.IFLA_BRPORT_ISOLATED, value)
	m.End(data)
	m.End(info)
	return c.nl.Do(nil)
}

// GuardMTU makes a bridge keep the MTU that it has, whatever the MTU of ports that join later, and returns it. Linux lowers the MTU of a bridge to
// its ports' smallest until somebody sets it, and setting it to the value that it has does not count: so it is set to one less, and
// back. It lasts as long as the bridge. The same holds for batman-adv interfaces; for other masters it changes nothing.
func (c *Conn) GuardMTU(master string) (mtu int, err error) {
	index, err := c.Index(master)
	if err != nil {
		return 0, err
	}
	if mtu, err = c.MTU(master); err != nil {
		return 0, err
	}
	if err = c.KeepMTU(index, mtu); err != nil {
		return mtu, phrase.Errorf("keep the MTU of %s: %w", master, err)
	}
	return mtu, nil
}

// DisableIPv6 turns IPv6 off on an interface of the calling thread's network namespace; done before it is up, it never gets an address of its
// own. A kernel without IPv6 is fine; so is an interface that has none because its MTU is below 1280.
func DisableIPv6(name string) error { return switchIPv6(name, "off", '1') }

// EnableIPv6 takes DisableIPv6 back: an interface that is up gets its link-local address.
func EnableIPv6(name string) error { return switchIPv6(name, "on", '0') }

func switchIPv6(name, state string, disable byte) error {
	fd, err := unix.Open("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil
	}
	if err == nil {
		_, err = unix.Write(fd, []byte{disable, '\n'})
		unix.Close(fd)
	}
	if err != nil {
		return phrase.Errorf("turn IPv6 %s on %s: %w", state, name, err)
	}
	return nil
}

// change starts a request with an ifinfomsg (linux/rtnetlink.h) that sets the given flags.
func (c *Conn) change(op string, kind uint16, index int, flags uint32) *nl.Message {
	m := c.nl.Request(op, kind, 0)
	m.Raw(unix.AF_UNSPEC, 0, 0, 0) // family, padding, device type
	m.Raw32(uint32(index))
	m.Raw32(flags)
	m.Raw32(flags) // which of them to change
	return m
}
