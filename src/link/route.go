package link

import (
	"errors"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
	"tunneldigger/src/phrase"
)

const rtaxMTU = 2 // RTAX_MTU, linux/rtnetlink.h

// ForgetPathMTU takes away what the kernel remembers of the path to an IPv6 address, if it is that packets of size bytes do not pass, which the caller
// knows better. It would remember it for ten minutes after a router's last word, and cut L2TP packets to fragments all the while: the
// socket's option to go by the device's MTU does not count for packets that come from an interface (dev_recursion_level, net/ipv6/ip6_output.c).
// IPv4 packets have DF and are not cut. With a device only the route through that counts. An address of another family, or one without a
// route, is fine.
func (c *Conn) ForgetPathMTU(peer netip.Addr, device string, size int) error {
	if !peer.Is6() || peer.Is4In6() {
		return nil
	}
	var out int
	if device != "" {
		var err error
		if out, err = c.Index(device); err != nil {
			return err
		}
	} else if index, err := strconv.ParseUint(peer.Zone(), 10, 31); err == nil {
		out = int(index)
	}
	var cached bool
	var mtu, table uint32
	c.route("read the route to", peer, out, unix.RTM_GETROUTE, unix.RT_TABLE_UNSPEC, 0)
	err := c.nl.Do(func(_ nl.Header, body []byte) { cached, mtu, table = parseRoute(nl.Host, body) })
	if err == nil && cached && mtu != 0 && int(mtu) < size {
		c.route("forget the path MTU to", peer, out, unix.RTM_DELROUTE, table, unix.RTM_F_CLONED)
		err = c.nl.Do(nil)
	}
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return phrase.Errorf("link: %w", err)
	}
	return nil
}

// route starts a request with an rtmsg (linux/rtnetlink.h) about one address.
func (c *Conn) route(op string, peer netip.Addr, out int, kind uint16, table, flags uint32) {
	m := c.nl.Request(op+" the peer", kind, 0) // whose address belongs into no log by itself
	m.Raw(unix.AF_INET6, 128, 0, 0)            // family, length of destination and source, traffic class
	m.Raw(0, 0, 0, 0)                          // table, protocol, scope, type
	m.Raw32(flags)
	address := peer.As16()
	m.Data(unix.RTA_DST, address[:])
	if table != unix.RT_TABLE_UNSPEC {
		m.U32(unix.RTA_TABLE, table)
	}
	if out != 0 {
		m.U32(unix.RTA_OIF, uint32(out))
	}
}

// parseRoute reads an RTM_NEWROUTE: whether the route was made for one destination, its MTU, 0 if it has none of its own, and its table.
func parseRoute(order nl.Order, body []byte) (cached bool, mtu, table uint32) {
	if len(body) < unix.SizeofRtMsg {
		return false, 0, 0
	}
	cached = order.Uint32(body[8:])&unix.RTM_F_CLONED != 0
	table = uint32(body[4])
	for a := nl.Parse(order, body[unix.SizeofRtMsg:]); a.Next(); {
		switch a.Type() {
		case unix.RTA_TABLE:
			table = a.U32()
		case unix.RTA_METRICS:
			for n := a.Nested(); n.Next(); {
				if n.Type() == rtaxMTU {
					mtu = n.U32()
				}
			}
		}
	}
	return cached, mtu, table
}
