package link

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
)

// Protocol marks the addresses and rules that are the broker's: 't' in ASCII, which is none of iproute2's rt_protos and rt_addrprotos.
const Protocol = 116

// ifaProto is IFA_PROTO (linux/if_addr.h), since Linux 5.18; kernels before that leave it out.
const ifaProto = 11

// Address is an address of an interface.
type Address struct {
	Index    int          // of the interface
	Prefix   netip.Prefix // the address, with the length of its prefix
	Protocol uint8        // who gave it to the interface, 0 where that is not known
	Kernel   bool         // IPv6: it is of the link alone, as the kernel gives every interface one
}

// AddAddress gives an interface an address; that it has it already is fine. An IPv6 address is good at once: nobody is asked whether it is in use.
func (c *Conn) AddAddress(index int, p netip.Prefix) error {
	m := c.address("add an address to a bridge", unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, index, p)
	m.U8(ifaProto, Protocol)
	return c.nl.Do(nil)
}

// DropAddress takes an address from an interface. EADDRNOTAVAIL: it does not have it.
func (c *Conn) DropAddress(index int, p netip.Prefix) error {
	c.address("take an address from a bridge", unix.RTM_DELADDR, 0, index, p)
	return c.nl.Do(nil)
}

// address starts a request with an ifaddrmsg (linux/if_addr.h).
func (c *Conn) address(op string, kind, flags uint16, index int, p netip.Prefix) *nl.Message {
	family, own := uint8(unix.AF_INET), uint8(0)
	if p.Addr().Is6() {
		family, own = unix.AF_INET6, unix.IFA_F_NODAD
	}
	m := c.nl.Request(op, kind, flags)
	m.Raw(family, uint8(p.Bits()), own, unix.RT_SCOPE_UNIVERSE)
	m.Raw32(uint32(index))
	address := p.Addr().AsSlice()
	m.Data(unix.IFA_LOCAL, address)
	m.Data(unix.IFA_ADDRESS, address)
	return m
}

// Addresses lists the addresses of all interfaces.
func (c *Conn) Addresses() (all []Address, err error) {
	m := c.nl.Request("list addresses", unix.RTM_GETADDR, 0)
	m.Raw(unix.AF_UNSPEC, 0, 0, 0)
	m.Raw32(0)
	var bad error
	err = c.nl.Dump(func() { all, bad = nil, nil }, func(_ nl.Header, body []byte) {
		a, ok, err := parseAddress(nl.Host, body)
		if err != nil {
			bad = err
		} else if ok {
			all = append(all, a)
		}
	})
	if err == nil {
		err = bad
	}
	return all, err
}

// parseAddress reads an RTM_NEWADDR. An IPv4 address of a link to one other end is IFA_LOCAL, and that end IFA_ADDRESS.
func parseAddress(order nl.Order, body []byte) (a Address, ok bool, err error) {
	if len(body) < unix.SizeofIfAddrmsg {
		return a, false, nl.ErrMalformed
	}
	var local, address []byte
	at := nl.Parse(order, body[unix.SizeofIfAddrmsg:])
	for at.Next() {
		switch at.Type() {
		case unix.IFA_LOCAL:
			local = at.Bytes()
		case unix.IFA_ADDRESS:
			address = at.Bytes()
		case ifaProto:
			a.Protocol = at.U8()
		}
	}
	if local == nil {
		local = address
	}
	ip, ok := netip.AddrFromSlice(local)
	a.Index = int(order.Uint32(body[4:]))
	a.Prefix = netip.PrefixFrom(ip, int(body[1]))
	a.Kernel = body[0] == unix.AF_INET6 && body[3] == unix.RT_SCOPE_LINK
	return a, ok, at.Err()
}
