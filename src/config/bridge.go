package config

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"tunneldigger/src/phrase"
)

const (
	// priority is where the rules of bridges are by default: before those of most
	// others. From 32766 on there are the kernel's own.
	priority, maxPriority = 1000, 32765
	// A name of rt_tables, which has no limit of its own.
	maxTable = 64
)

// bridge stores the name of a bridge, in which the tunnels' MTU may stand. Its four
// digits take two bytes more than its sign.
func (in *input) bridge(dst *string) {
	v, ok := in.one()
	if !ok {
		return
	}
	n := strings.Count(v.Text, mtuSign)
	if n > 1 || n == 1 && len(v.Text) > maxDevice-2 {
		in.refuse(v, phrase.Sprintf("%s once, and %d bytes at most with it", mtuSign, maxDevice-2), leavesAll)
		return
	}
	in.device(dst, maxDevice)
}

// addAddresses reads the addresses of a bridge that is made.
func (d *bridgeDraft) addAddresses(in *input) {
	in.list(maxListed, func(v Value) bool {
		p, want := BridgeAddress(v.Text)
		if want != "" {
			in.refuse(v, want, "")
			return true
		}
		if slices.ContainsFunc(d.Addresses, func(e netip.Prefix) bool { return e.Addr() == p.Addr() }) {
			return false
		}
		d.Addresses = append(d.Addresses, p)
		return true
	})
}

// BridgeAddress reads an address for a bridge that is made; want says what is wanted
// instead of a text that gives none.
func BridgeAddress(text string) (p netip.Prefix, want string) {
	p, err := netip.ParsePrefix(text)
	_, ok := parseAddress(p.Addr().String())
	switch whole := p.Bits() == p.Addr().BitLen(); {
	case err != nil || !ok || p.Addr().IsUnspecified() || p.Bits() == 0:
		return p, "an IPv4 or IPv6 address with the length of its prefix, as in 198.51.100.1/24"
	case p.Addr().Is4() && !whole && p.Bits() < 31 && p.Masked().Addr() == p.Addr():
		return p, "an address in the network, not the network's own"
	}
	return p, ""
}

// table stores a number or a name; whether rt_tables has the name is seen when it
// is used.
func (in *input) table(dst *string) {
	v, ok := in.one()
	if !ok {
		return
	}
	n, err := strconv.ParseUint(v.Text, 0, 32)
	if err == nil && n > 0 {
		*dst = strconv.FormatUint(n, 10)
		return
	}
	numeric := v.Text[0] >= '0' && v.Text[0] <= '9'
	odd := strings.IndexFunc(v.Text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-.+", r)
	}) >= 0
	if numeric || odd || v.Text[0] == '-' || len(v.Text) > maxTable {
		in.refuse(v, "a routing table: 1–4294967295, or a name of rt_tables", "")
		return
	}
	*dst = v.Text
}

// made checks what belongs together in a section whose bridge the broker makes.
func (b *builder) made(d *bridgeDraft, s *Section) {
	const only = "%s: %s is only for a bridge that the broker makes: want create '1' with it"
	if !d.Create {
		for _, option := range []string{"address", "table", "priority"} {
			if s.has(option) {
				b.fault(s.line(option), only, d.label, option)
			}
		}
		if strings.Contains(d.Interface, mtuSign) && d.MTU == 0 {
			return // the bridges of all MTUs are there, or come
		}
	}
	if s.has("priority") && d.Create && d.Table == "" {
		b.fault(s.line("priority"), "%s: priority is that of the rule for table: want a table, too", d.label)
	}
	if d.Table == "" {
		d.Priority = 0
	}
	for _, e := range b.bridges[:len(b.bridges)-1] {
		if e.line > 0 && !e.left && (d.Create || e.Create) && d.Interface == e.Interface && !d.same(&e.Bridge) {
			b.fault(s.line("interface"), "%s: interface %s: the section on line %d has it, too, and makes it in another way: want the same create, address, table, priority and isolate",
				d.label, Quote(d.Interface), e.line)
		}
	}
}

// same reports whether two sections would make the same bridge.
func (b *Bridge) same(o *Bridge) bool {
	return b.Create == o.Create && b.Isolate == o.Isolate && b.Table == o.Table && b.Priority == o.Priority && slices.Equal(b.Addresses, o.Addresses)
}

// client checks a client section by itself.
func (b *builder) client(s *Section) {
	d := &clientDraft{}
	d.Name, d.label = b.name(s, len(b.clients))
	b.clients = append(b.clients, d)
	before := len(b.faults)
	apply(b, s, d.label, clientOptions, d)
	if b.faults[before:].Stop() {
		return
	}
	if d.UUID == "" {
		b.fault(s.Line, "%s: uuid is missing: want that of the node that the section is for", d.label)
		return
	}
	if first, again := b.uuids[d.UUID]; again {
		b.fault(s.line("uuid"), "%s: uuid %s: the section on line %d is for it, too: want one", d.label, Quote(d.UUID), first)
	}
	b.uuids[d.UUID] = s.Line
	if d.TunnelID == 0 {
		return
	}
	if first, again := b.ids[d.TunnelID]; again {
		b.fault(s.line("tunnel_id"), "%s: tunnel_id %d: the section on line %d has it: want another one", d.label, d.TunnelID, first)
	}
	b.ids[d.TunnelID] = s.Line
}

// assign finds the bridges and broker sections of the clients, which may come later
// in the file. Every client's section stays with its line.
func (b *builder) assign() {
	names := map[string]bool{}
	var known []string
	for _, d := range b.bridges {
		known = append(known, d.Name)
	}
	for i := range b.cfg.Bridges {
		names[b.cfg.Bridges[i].Name] = true
	}
	for _, d := range b.clients {
		if d.Bridge != "" && !names[d.Bridge] {
			if !slices.Contains(known, d.Bridge) {
				b.fault(d.bridgeLine, "%s: bridge %s: want the name of a bridge section%s", d.label, Quote(d.Bridge), hint(d.Bridge, known))
			}
			d.Bridge = "" // of a section that is left out
		}
		for _, k := range b.brokers {
			if low := k.TunnelIDBase; k.enabled && d.TunnelID >= low && int(d.TunnelID) < int(low)+k.MaxTunnels {
				b.fault(b.ids[d.TunnelID], "%s: tunnel_id %d: %s gives away %d–%d: want one outside of it",
					d.label, d.TunnelID, k.label, low, int(low)+k.MaxTunnels-1)
			}
		}
		b.cfg.Clients = append(b.cfg.Clients, d.Client)
	}
}

// Device is the name of the bridge for tunnels of this MTU.
func (b *Bridge) Device(mtu int) string {
	return strings.Replace(b.Interface, mtuSign, strconv.Itoa(mtu), 1)
}

// Has reports whether a name is that of the bridge for some MTU, and which one; 0
// where the bridge is that of all.
func (b *Bridge) Has(name string) (mtu int, ok bool) {
	before, after, sized := strings.Cut(b.Interface, mtuSign)
	if !sized {
		return 0, name == b.Interface
	}
	if !strings.HasPrefix(name, before) || !strings.HasSuffix(name, after) || len(name) < len(before)+len(after) {
		return 0, false
	}
	mtu, err := strconv.Atoi(name[len(before) : len(name)-len(after)])
	return mtu, err == nil && mtu >= minMTU && mtu <= maxMTU && b.Device(mtu) == name
}

// Sized reports whether there is a bridge for each MTU.
func (b *Bridge) Sized() bool { return strings.Contains(b.Interface, mtuSign) }

// mtuSign stands for the MTU in the name of a bridge.
const mtuSign = "%m"
