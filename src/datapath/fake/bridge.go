package fake

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"tunneldigger/src/link"
	"tunneldigger/src/nl"
)

const (
	ifaProto  = 11 // IFA_PROTO, linux/if_addr.h
	ruleBytes = 12 // struct fib_rule_hdr
)

// make carries out an RTM_NEWLINK for a link that is not there yet.
func (k *Kernel) make(body []byte) unix.Errno {
	l := Link{MTU: 1500}
	for a := nl.Parse(nl.Host, body[unix.SizeofIfInfomsg:]); a.Next(); {
		switch a.Type() {
		case unix.IFLA_IFNAME:
			l.Name = a.String()
		case unix.IFLA_GROUP:
			l.Group = a.U32()
		case unix.IFLA_LINKINFO:
			for b := a.Nested(); b.Next(); {
				if b.Type() == unix.IFLA_INFO_KIND {
					l.Kind = b.String()
				}
			}
		}
	}
	if errno := k.step("make"); errno != 0 {
		return errno
	}
	if k.Named(l.Name) != nil {
		return unix.EEXIST
	}
	k.Add(l.Name, l.Kind, l.MTU).Group = l.Group
	return 0
}

// list answers a request for all of a kind, as messages that write fills.
func list[T any](k *Kernel, r []byte, step string, kind uint16, all []T, write func(*nl.Message, T)) []any {
	if errno := k.step(step); errno != 0 {
		return []any{nl.Ack(r, errno, "")}
	}
	var answers []any
	for _, one := range all {
		m := nl.NewMessage(nl.Host)
		m.Begin("", 0, 0)
		write(m, one)
		answers = append(answers, nl.Reply(r, kind, unix.NLM_F_MULTI, m.Bytes()[header:]...))
	}
	return append(answers, nl.Done(r))
}

func (k *Kernel) address(r []byte, kind uint16, body []byte) []any {
	if kind == unix.RTM_GETADDR {
		return list(k, r, "list addresses", unix.RTM_NEWADDR, k.Addresses, func(m *nl.Message, a link.Address) {
			family, scope := uint8(unix.AF_INET), uint8(0)
			if a.Prefix.Addr().Is6() {
				family = unix.AF_INET6
			}
			if a.Kernel {
				scope = unix.RT_SCOPE_LINK
			}
			m.Raw(family, uint8(a.Prefix.Bits()), 0, scope)
			m.Raw32(uint32(a.Index))
			m.Data(unix.IFA_ADDRESS, a.Prefix.Addr().AsSlice())
			if a.Protocol != 0 {
				m.U8(ifaProto, a.Protocol)
			}
		})
	}
	a := link.Address{Index: int(nl.Host.Uint32(body[4:]))}
	for at := nl.Parse(nl.Host, body[unix.SizeofIfAddrmsg:]); at.Next(); {
		switch at.Type() {
		case unix.IFA_LOCAL:
			ip, _ := netip.AddrFromSlice(at.Bytes())
			a.Prefix = netip.PrefixFrom(ip, int(body[1]))
		case ifaProto:
			a.Protocol = at.U8()
		}
	}
	return []any{nl.Ack(r, k.changeAddress(kind, a), "")}
}

func (k *Kernel) changeAddress(kind uint16, a link.Address) unix.Errno {
	at := slices.IndexFunc(k.Addresses, func(b link.Address) bool { return b.Index == a.Index && b.Prefix == a.Prefix })
	if kind == unix.RTM_DELADDR {
		if errno := k.step("drop address"); errno != 0 {
			return errno
		}
		if at < 0 {
			return unix.EADDRNOTAVAIL
		}
		k.Addresses = slices.Delete(k.Addresses, at, at+1)
		return 0
	}
	if errno := k.step("add address"); errno != 0 {
		return errno
	}
	if k.Links[a.Index] == nil {
		return unix.ENODEV
	}
	if at < 0 {
		k.Addresses = append(k.Addresses, a)
	}
	return 0
}

func (k *Kernel) rule(r []byte, kind uint16, body []byte) []any {
	if kind == unix.RTM_GETRULE {
		return list(k, r, "list rules", unix.RTM_NEWRULE, k.Rules, func(m *nl.Message, rule link.Rule) {
			family := uint8(unix.AF_INET)
			if rule.IPv6 {
				family = unix.AF_INET6
			}
			m.Raw(family, 0, 0, 0)
			m.Raw(0, 0, 0, unix.FR_ACT_TO_TBL)
			m.Raw32(0)
			m.String(unix.FRA_IIFNAME, rule.Interface)
			m.U32(unix.FRA_PRIORITY, rule.Priority)
			m.U32(unix.FRA_TABLE, rule.Table)
			m.U8(unix.FRA_PROTOCOL, rule.Protocol)
		})
	}
	rule := link.Rule{IPv6: body[0] == unix.AF_INET6}
	for a := nl.Parse(nl.Host, body[ruleBytes:]); a.Next(); {
		switch a.Type() {
		case unix.FRA_IIFNAME:
			rule.Interface = a.String()
		case unix.FRA_PRIORITY:
			rule.Priority = a.U32()
		case unix.FRA_TABLE:
			rule.Table = a.U32()
		case unix.FRA_PROTOCOL:
			rule.Protocol = a.U8()
		}
	}
	return []any{nl.Ack(r, k.changeRule(kind, rule), "")}
}

func (k *Kernel) changeRule(kind uint16, rule link.Rule) unix.Errno {
	at := slices.Index(k.Rules, rule)
	if kind == unix.RTM_DELRULE {
		if errno := k.step("drop rule"); errno != 0 {
			return errno
		}
		if at < 0 {
			return unix.ENOENT
		}
		k.Rules = slices.Delete(k.Rules, at, at+1)
		return 0
	}
	if errno := k.step("add rule"); errno != 0 {
		return errno
	}
	if at >= 0 {
		return unix.EEXIST
	}
	k.Rules = append(k.Rules, rule)
	return 0
}
