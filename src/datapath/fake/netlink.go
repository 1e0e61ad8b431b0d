package fake

import (
	"slices"

	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
)

const header = 16 // bytes of a netlink message before its body

// Values of linux/l2tp.h.
const (
	family        = 0x1c
	tunnelCreate  = 1
	tunnelDelete  = 2
	tunnelGet     = 4
	sessionCreate = 5
	attrEncap     = 2 // 0: UDP
	attrName      = 8
	attrTunnel    = 9
)

// describe writes an ifinfomsg and the attributes that package link reads.
func (k *Kernel) describe(m *nl.Message, l *Link) {
	flags := uint32(0)
	if l.Up {
		flags = unix.IFF_UP
	}
	m.Raw(unix.AF_UNSPEC, 0, 0, 0)
	m.Raw32(uint32(l.Index))
	m.Raw32(flags)
	m.Raw32(0)
	m.String(unix.IFLA_IFNAME, l.Name)
	m.U32(unix.IFLA_MTU, uint32(l.MTU))
	if l.Master != 0 {
		m.U32(unix.IFLA_MASTER, uint32(l.Master))
	}
	if l.On != 0 {
		m.U32(unix.IFLA_LINK, uint32(l.On))
	}
	if l.Alias != "" {
		m.String(unix.IFLA_IFALIAS, l.Alias)
	}
	m.U32(unix.IFLA_GROUP, l.Group)
	info := m.Nest(unix.IFLA_LINKINFO)
	m.String(unix.IFLA_INFO_KIND, l.Kind)
	m.End(info)
}

// route answers rtnetlink.
func (k *Kernel) route(r []byte) []any {
	kind, flags, body := nl.Host.Uint16(r[4:]), nl.Host.Uint16(r[6:]), r[header:]
	if kind == unix.RTM_GETROUTE {
		return []any{nl.Ack(r, unix.ESRCH, "")}
	}
	switch kind {
	case unix.RTM_NEWADDR, unix.RTM_DELADDR, unix.RTM_GETADDR:
		return k.address(r, kind, body)
	case unix.RTM_NEWRULE, unix.RTM_DELRULE, unix.RTM_GETRULE:
		return k.rule(r, kind, body)
	}
	index := int(nl.Host.Uint32(body[4:]))
	if kind == unix.RTM_NEWLINK && flags&unix.NLM_F_CREATE != 0 {
		return []any{nl.Ack(r, k.make(body), "")}
	}
	if kind == unix.RTM_GETLINK && flags&unix.NLM_F_DUMP == unix.NLM_F_DUMP {
		return k.list(r)
	}
	l := k.Links[index]
	if kind == unix.RTM_GETLINK && index == 0 {
		if errno := k.step("find"); errno != 0 {
			return []any{nl.Ack(r, errno, "")}
		}
		for a := nl.Parse(nl.Host, body[unix.SizeofIfInfomsg:]); a.Next(); {
			if a.Type() == unix.IFLA_IFNAME {
				l = k.Named(a.String())
			}
		}
	}
	if l == nil {
		return []any{nl.Ack(r, unix.ENODEV, "")}
	}
	switch kind {
	case unix.RTM_GETLINK:
		return []any{k.reply(r, 0, l), nl.Ack(r, 0, "")}
	case unix.RTM_NEWLINK:
		return []any{nl.Ack(r, k.isolate(l, body), "")}
	case unix.RTM_DELLINK:
		errno := k.step("remove")
		if errno == 0 {
			k.Remove(l)
		}
		return []any{nl.Ack(r, errno, "")}
	case unix.RTM_SETLINK:
		return []any{nl.Ack(r, k.change(l, body), "")}
	}
	return []any{nl.Ack(r, unix.EOPNOTSUPP, "")}
}

func (k *Kernel) list(r []byte) []any {
	if errno := k.step("list"); errno != 0 {
		return []any{nl.Ack(r, errno, "")}
	}
	var indices []int
	for index := range k.Links {
		indices = append(indices, index)
	}
	slices.Sort(indices)
	var answers []any
	for _, index := range indices {
		answers = append(answers, k.reply(r, unix.NLM_F_MULTI, k.Links[index]))
	}
	return append(answers, nl.Done(r))
}

func (k *Kernel) reply(r []byte, flags uint16, l *Link) []byte {
	m := nl.NewMessage(nl.Host)
	m.Begin("", 0, 0)
	k.describe(m, l)
	return nl.Reply(r, unix.RTM_NEWLINK, flags, m.Bytes()[header:]...)
}

// change carries out an RTM_SETLINK in the kernel's order: MTU, master, flags. What
// fails leaves what was before it.
func (k *Kernel) change(l *Link, body []byte) unix.Errno {
	up := nl.Host.Uint32(body[8:])&unix.IFF_UP != 0
	mtu, master, mastered := 0, 0, false
	alias, group := l.Alias, l.Group
	for a := nl.Parse(nl.Host, body[unix.SizeofIfInfomsg:]); a.Next(); {
		switch a.Type() {
		case unix.IFLA_MTU:
			mtu = int(a.U32())
		case unix.IFLA_MASTER:
			master, mastered = int(a.U32()), true
		case unix.IFLA_IFALIAS:
			alias = a.String()
		case unix.IFLA_GROUP:
			group = a.U32()
		}
	}
	if alias != l.Alias {
		if errno := k.step("mark"); errno != 0 {
			return errno
		}
		l.Alias, l.Group = alias, group
	}
	if mtu != 0 {
		if errno := k.step("mtu"); errno != 0 {
			return errno
		}
		l.MTU = mtu
	}
	if mastered {
		name := "attach"
		if master == 0 {
			name = "detach"
		}
		if errno := k.step(name); errno != 0 {
			return errno
		}
		if master != 0 && k.Links[master] == nil {
			return unix.EINVAL
		}
		l.Master, l.Isolated = master, false
	}
	if up {
		if errno := k.step("up"); errno != 0 {
			return errno
		}
		l.Up = true
	}
	return 0
}

func (k *Kernel) isolate(l *Link, body []byte) unix.Errno {
	if errno := k.step("isolate"); errno != 0 {
		return errno
	}
	if m := k.Links[l.Master]; m == nil || m.Kind != "bridge" {
		return unix.EOPNOTSUPP
	}
	for a := nl.Parse(nl.Host, body[unix.SizeofIfInfomsg:]); a.Next(); {
		for b := a.Nested(); a.Type() == unix.IFLA_LINKINFO && b.Next(); {
			for c := b.Nested(); b.Type() == unix.IFLA_INFO_SLAVE_DATA && c.Next(); {
				if c.Type() == unix.IFLA_BRPORT_ISOLATED {
					l.Isolated = c.Bytes()[0] != 0
				}
			}
		}
	}
	return 0
}

// generic answers generic netlink: the family, and L2TP's commands.
func (k *Kernel) generic(r []byte) []any {
	if nl.Host.Uint16(r[4:]) == unix.GENL_ID_CTRL {
		m := nl.NewMessage(nl.Host)
		m.Begin("", 0, 0)
		m.Raw(1, 2, 0, 0)
		m.U16(unix.CTRL_ATTR_FAMILY_ID, family)
		return []any{nl.Reply(r, unix.GENL_ID_CTRL, 0, m.Bytes()[header:]...), nl.Ack(r, 0, "")}
	}
	id, name := uint32(0), ""
	for a := nl.Parse(nl.Host, r[header+4:]); a.Next(); {
		switch a.Type() {
		case attrTunnel:
			id = a.U32()
		case attrName:
			name = string(nl.Text(a.Bytes()))
		}
	}
	switch command := r[header]; command {
	case tunnelCreate:
		return []any{nl.Ack(r, k.createTunnel(id), "")}
	case sessionCreate:
		return []any{nl.Ack(r, k.createSession(id, name), "")}
	case tunnelDelete:
		return []any{nl.Ack(r, k.deleteTunnel(id), "")}
	case tunnelGet:
		return k.tunnels(r)
	}
	return []any{nl.Ack(r, unix.EOPNOTSUPP, "")}
}

func (k *Kernel) createTunnel(id uint32) unix.Errno {
	if errno := k.step("tunnel"); errno != 0 {
		return errno
	}
	if k.Tunnels[id] {
		return unix.EEXIST
	}
	k.Tunnels[id] = true
	return 0
}

func (k *Kernel) createSession(id uint32, name string) unix.Errno {
	if errno := k.step("session"); errno != 0 {
		return errno
	}
	if k.Named(name) != nil {
		return unix.EEXIST
	}
	if !k.Tunnels[id] {
		return unix.ENODEV
	}
	k.Add(name, "l2tpeth", 1446).Tunnel = id
	return 0
}

func (k *Kernel) deleteTunnel(id uint32) unix.Errno {
	if errno := k.step("delete tunnel"); errno != 0 {
		return errno
	}
	if !k.Tunnels[id] {
		return unix.ENODEV
	}
	delete(k.Tunnels, id)
	for _, l := range k.Links {
		if l.Tunnel == id {
			k.Remove(l)
		}
	}
	return 0
}

func (k *Kernel) tunnels(r []byte) []any {
	var answers []any
	for id := range k.Tunnels {
		m := nl.NewMessage(nl.Host)
		m.Begin("", 0, 0)
		m.Raw(tunnelGet, 1, 0, 0)
		m.U16(attrEncap, 0)
		m.U32(attrTunnel, id)
		answers = append(answers, nl.Reply(r, family, unix.NLM_F_MULTI, m.Bytes()[header:]...))
	}
	return append(answers, nl.Done(r))
}
