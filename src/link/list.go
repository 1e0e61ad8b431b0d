package link

import (
	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
	"tunneldigger/src/phrase"
)

const (
	kindBridge = "bridge"
	skipStats  = 1 << 3 // RTEXT_FILTER_SKIP_STATS, linux/rtnetlink.h: leaves out the counters of each address family
)

// Link is the state of an interface.
type Link struct {
	Index  int
	Name   string
	Master int // index of the bridge or other master, 0 without
	MTU    int
	On     int  // index of the interface that it is on top of, as a VLAN is, 0 without
	Up     bool // as set (IFF_UP), whatever the carrier does
	// Alias is the text that somebody gave it, "" for none.
	Alias string
	// Unfinished: MakeBridge has made it, and Mark was not called.
	Unfinished bool
	Bridge     bool // as Find and List tell
}

// List calls f for every interface. One may come twice, or be gone when it comes: what a Monitor that was opened before reports
// after the list makes it right. f must not use the Conn.
func (c *Conn) List(f func(Link)) error {
	const op = "list interfaces"
	c.query(op, 0)
	var bad error
	err := c.nl.Dump(func() { bad = nil }, func(_ nl.Header, body []byte) {
		e, name, kind, err := parse(body)
		if err != nil {
			bad = phrase.Errorf("%s: %w", op, err)
			return
		}
		e.Name, e.Bridge = string(name), string(kind) == kindBridge
		f(e)
	})
	if err == nil {
		err = bad
	}
	return err
}

// IsBridge reports whether an interface is a bridge.
func (c *Conn) IsBridge(name string) (bool, error) {
	found, err := c.Find(name)
	return found.Bridge, err
}

func (c *Conn) query(op string, index int) *nl.Message {
	m := c.nl.Request(op, unix.RTM_GETLINK, 0)
	m.Raw(unix.AF_UNSPEC, 0, 0, 0)
	m.Raw32(uint32(index))
	m.Raw32(0)
	m.Raw32(0)
	m.U32(unix.IFLA_EXT_MASK, skipStats)
	return m
}

// parse reads an RTM_NEWLINK or RTM_DELLINK: an ifinfomsg and attributes. Name and kind alias the body.
func parse(body []byte) (e Link, name, kind []byte, err error) { return parseIn(nl.Host, body) }

func parseIn(order nl.Order, body []byte) (e Link, name, kind []byte, err error) {
	if len(body) < unix.SizeofIfInfomsg {
		return e, nil, nil, nl.ErrMalformed
	}
	e.Index = int(order.Uint32(body[4:]))
	e.Up = order.Uint32(body[8:])&unix.IFF_UP != 0
	a := nl.Parse(order, body[unix.SizeofIfInfomsg:])
	for a.Next() {
		switch a.Type() {
		case unix.IFLA_IFNAME:
			name = nl.Text(a.Bytes())
		case unix.IFLA_MTU:
			e.MTU = int(a.U32())
		case unix.IFLA_LINK:
			e.On = int(a.U32())
		case unix.IFLA_MASTER:
			e.Master = int(a.U32())
		case unix.IFLA_IFALIAS:
			e.Alias = a.String()
		case unix.IFLA_GROUP:
			e.Unfinished = a.U32() == unfinished
		case unix.IFLA_LINKINFO:
			kind = infoKind(order, a.Bytes())
		}
	}
	return e, name, kind, a.Err()
}

func infoKind(order nl.Order, b []byte) []byte {
	for a := nl.Parse(order, b); a.Next(); {
		if a.Type() == unix.IFLA_INFO_KIND {
			return nl.Text(a.Bytes())
		}
	}
	return nil
}
