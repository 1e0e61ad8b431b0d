package link

import (
	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
)

const sizeofRule = 12 // struct fib_rule_hdr, linux/fib_rules.h

// Rule has what comes in by an interface routed by a table.
type Rule struct {
	IPv6            bool
	Interface       string // by name: it is there or not
	Table, Priority uint32
	Protocol        uint8 // who made it
}

// AddRule makes a rule, as the broker's. EEXIST: there is one that does the same.
func (c *Conn) AddRule(r Rule) error {
	c.rule("add a rule", unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, &r)
	return c.nl.Do(nil)
}

// DropRule removes a rule that is the broker's. ENOENT: there is none.
func (c *Conn) DropRule(r Rule) error {
	c.rule("remove a rule", unix.RTM_DELRULE, 0, &r)
	return c.nl.Do(nil)
}

func (c *Conn) rule(op string, kind, flags uint16, r *Rule) {
	family := uint8(unix.AF_INET)
	if r.IPv6 {
		family = unix.AF_INET6
	}
	m := c.nl.Request(op, kind, flags)
	m.Raw(family, 0, 0, 0)                                // lengths of source and destination, type of service
	m.Raw(unix.RT_TABLE_UNSPEC, 0, 0, unix.FR_ACT_TO_TBL) // table: see FRA_TABLE
	m.Raw32(0)
	m.String(unix.FRA_IIFNAME, r.Interface)
	m.U32(unix.FRA_PRIORITY, r.Priority)
	m.U32(unix.FRA_TABLE, r.Table)
	m.U8(unix.FRA_PROTOCOL, Protocol)
}

// Rules lists the rules that begin with an interface and have a table.
func (c *Conn) Rules() (all []Rule, err error) {
	m := c.nl.Request("list rules", unix.RTM_GETRULE, 0)
	m.Raw(unix.AF_UNSPEC, 0, 0, 0)
	m.Raw32(0)
	m.Raw32(0)
	var bad error
	err = c.nl.Dump(func() { all, bad = nil, nil }, func(_ nl.Header, body []byte) {
		r, err := parseRule(nl.Host, body)
		if err != nil {
			bad = err
		} else if r.Interface != "" && (body[0] == unix.AF_INET || body[0] == unix.AF_INET6) {
			all = append(all, r)
		}
	})
	if err == nil {
		err = bad
	}
	return all, err
}

// Tables lists the routing tables that have a route, of IPv4 or IPv6.
func (c *Conn) Tables() (has map[uint32]bool, err error) {
	m := c.nl.Request("list routes", unix.RTM_GETROUTE, 0)
	m.Raw(unix.AF_UNSPEC, 0, 0, 0)
	m.Raw32(0)
	m.Raw32(0)
	err = c.nl.Dump(func() { has = make(map[uint32]bool) }, func(_ nl.Header, body []byte) {
		_, _, table := parseRoute(nl.Host, body)
		has[table] = true
	})
	return has, err
}

func parseRule(order nl.Order, body []byte) (r Rule, err error) {
	if len(body) < sizeofRule {
		return r, nl.ErrMalformed
	}
	r.IPv6, r.Table = body[0] == unix.AF_INET6, uint32(body[4])
	a := nl.Parse(order, body[sizeofRule:])
	for a.Next() {
		switch a.Type() {
		case unix.FRA_IIFNAME:
			r.Interface = a.String()
		case unix.FRA_PRIORITY:
			r.Priority = a.U32()
		case unix.FRA_TABLE:
			r.Table = a.U32()
		case unix.FRA_PROTOCOL:
			r.Protocol = a.U8()
		}
	}
	return r, a.Err()
}
