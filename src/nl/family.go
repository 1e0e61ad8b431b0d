package nl

import "golang.org/x/sys/unix"

// Generic starts a request of a generic-netlink family: the netlink header and a genlmsghdr (linux/genetlink.h).
func (c *Conn) Generic(op string, family uint16, command, version uint8, flags uint16) *Message {
	m := c.Request(op, family, flags)
	m.Raw(command, version, 0, 0)
	return m
}

// GenericAttributes skips the genlmsghdr of a generic-netlink reply.
func GenericAttributes(body []byte) Attributes {
	return Parse(Host, body[min(unix.GENL_HDRLEN, len(body)):])
}

// Family asks for the number of a generic-netlink family. With CAP_NET_ADMIN the kernel loads the module that has the alias
// net-pf-16-proto-16-family-NAME. A family that does not exist is ENOENT.
func (c *Conn) Family(name string) (uint16, error) {
	m := c.Generic("look up netlink family "+name, unix.GENL_ID_CTRL, unix.CTRL_CMD_GETFAMILY, 1, 0)
	m.String(unix.CTRL_ATTR_FAMILY_NAME, name)
	var id uint16
	var bad error
	err := c.Do(func(_ Header, body []byte) {
		a := GenericAttributes(body)
		for a.Next() {
			if a.Type() == unix.CTRL_ATTR_FAMILY_ID {
				id = a.U16()
			}
		}
		bad = a.Err()
	})
	if err == nil {
		err = bad
	}
	if err == nil && id == 0 {
		err = &Error{Op: m.op, Errno: unix.ENOENT}
	}
	return id, err
}
