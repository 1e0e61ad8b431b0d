package scripts

import (
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"tunneldigger/src/config"
)

// bridging carries over what a command does about bridges. It reports false for one that has nothing to do with them,
// or does something that a section does not.
func (m *machine) bridging(c command, w []string) bool {
	done := false
	switch path.Base(w[0]) {
	case "brctl":
		done = m.brctl(c, w[1:])
	case "ip":
		done = m.ip(c, w[1:])
	case "bridge":
		done = m.isolated(w[1:], "link", "set")
	case "ebtables":
		done = m.ebtables(c, w[1:])
	case "ifconfig":
		// Up and an MTU; an address is not carried over.
		done = len(w) == 3 && w[2] == "up" || len(w) == 4 && w[2] == "mtu" && w[3] == mtu
	}
	m.known = m.known || done
	return done
}

func (m *machine) brctl(c command, w []string) bool {
	switch {
	case len(w) == 2 && w[0] == "addbr":
		m.note(c, w[1], fact{made: true})
	case len(w) == 3 && w[0] == "addif" && w[2] == tunnel:
		return m.attach(c, w[1])
	case len(w) == 3 && w[0] == "delif" && w[2] == tunnel, len(w) == 2 && w[0] == "delbr", len(w) > 0 && w[0] == "show",
		len(w) == 3 && w[0] == "setfd", len(w) == 3 && w[0] == "stp" && (w[2] == "off" || w[2] == "no"):
	default:
		return false
	}
	return true
}

// attach takes note of the bridge that a tunnel becomes a port of.
func (m *machine) attach(c command, bridge string) bool {
	m.found.attached++
	if !device(bridge) {
		return false
	}
	if !slices.Contains(m.found.names, bridge) {
		m.found.names = append(m.found.names, bridge)
	}
	return true
}

// device reports whether a word can be a bridge's name, with the MTU once at most.
func device(s string) bool {
	odd := func(r rune) bool {
		return !strings.ContainsRune("-_.", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	n := strings.Count(s, mtu)
	plain := strings.Replace(s, mtu, "1446", 1)
	return n <= 1 && plain != "" && plain[0] != '-' && plain != "." && plain != ".." && len(plain) <= 15 && strings.IndexFunc(plain, odd) < 0
}

func (m *machine) ip(c command, w []string) bool {
	for len(w) > 0 && strings.HasPrefix(w[0], "-") {
		w = w[1:]
	}
	if len(w) < 2 {
		return len(w) == 1
	}
	object, verb, rest := w[0], w[1], w[2:]
	switch {
	case short(verb, "show", 1) || short(verb, "list", 1):
		return true
	case short(object, "link", 1) && short(verb, "add", 1):
		name := value(rest, "name")
		for i := 0; i < len(rest) && name == ""; i++ {
			if rest[i] != "dev" && rest[i] != "type" {
				name = rest[i]
			}
		}
		return value(rest, "type") == "bridge" && m.note(c, name, fact{made: true})
	case short(object, "link", 1) && short(verb, "set", 1):
		return m.link(c, w, rest)
	case short(object, "link", 1) && short(verb, "delete", 1):
		return len(rest) > 0 && rest[len(rest)-1] != tunnel
	case short(object, "address", 1) && short(verb, "add", 1), short(object, "address", 1) && verb == "replace":
		return m.address(c, rest)
	case short(object, "address", 1) && short(verb, "delete", 1), short(object, "rule", 2) && short(verb, "delete", 1):
		return true // what was made goes with the bridge
	case short(object, "rule", 2) && short(verb, "add", 1):
		return m.rule(c, rest)
	}
	return false
}

// link is "ip link set": what belongs to a bridge and its ports is up, has the tunnels' MTU, and has a master or none.
func (m *machine) link(c command, w, rest []string) bool {
	if len(rest) > 0 && rest[0] == "dev" {
		rest = rest[1:]
	}
	if len(rest) == 0 {
		return false
	}
	whose, done := rest[0], len(rest) > 1
	if slices.Contains(rest, "isolated") {
		return m.isolated(w, "link", "set")
	}
	for i := 1; i < len(rest); i++ {
		arg := ""
		if i+1 < len(rest) {
			arg = rest[i+1]
		}
		switch rest[i] {
		case "up", "down", "nomaster":
		case "mtu":
			done = done && arg == mtu
			i++
		case "master":
			done = whose == tunnel && m.attach(c, arg) && done
			i++
		default:
			done = false
		}
	}
	return done
}

func (m *machine) address(c command, w []string) bool {
	if len(w) == 0 || w[0] == "dev" {
		return false
	}
	text := w[0]
	if a, err := netip.ParseAddr(text); err == nil {
		text = netip.PrefixFrom(a, a.BitLen()).String()
	}
	p, want := config.BridgeAddress(text)
	if want != "" {
		return false
	}
	whole := true
	for i := 1; i < len(w); i += 2 { // a scope, a peer and the like are not carried over
		whole = whole && (w[i] == "dev" || (w[i] == "brd" || w[i] == "broadcast") && i+1 < len(w) && w[i+1] == "+")
	}
	return m.note(c, value(w, "dev"), fact{address: p}) && whole
}

// rule is one for what comes in from the bridge; the first table is a section's.
func (m *machine) rule(c command, w []string) bool {
	r := rule{priority: 1000}
	name, whole := "", true
	for i := 0; i+1 < len(w); i += 2 {
		switch v := w[i+1]; w[i] {
		case "iif", "dev":
			name = v
		case "lookup", "table":
			r.table = v
		case "prio", "priority", "pref", "preference", "order":
			n, err := strconv.ParseUint(v, 0, 16)
			if err != nil || n < 1 || n > 32765 {
				return false
			}
			r.priority = uint32(n)
		case "from", "to":
			whole = whole && (v == "all" || v == "any" || v == "default")
		default:
			whole = false
		}
	}
	return whole && len(w)%2 == 0 && table(r.table) && m.note(c, name, fact{rule: r})
}

func table(s string) bool {
	odd := func(r rune) bool {
		return !strings.ContainsRune("-_.+", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	if s == "" || len(s) > 64 || s[0] == '-' || strings.IndexFunc(s, odd) >= 0 {
		return false
	}
	if s[0] >= '0' && s[0] <= '9' {
		n, err := strconv.ParseUint(s, 0, 32)
		return err == nil && n > 0
	}
	return true
}

// note keeps what is done to a device, which need not be the bridge: that is known only when all has been looked at.
func (m *machine) note(c command, name string, f fact) bool {
	if !device(name) {
		return false
	}
	f.device, f.event, f.at = name, m.event, c
	m.found.facts = append(m.found.facts, f)
	return true
}

// ebtables keeps ports from each other by a rule that drops what a bridge would forward.
func (m *machine) ebtables(c command, w []string) bool {
	if slices.Contains(w, "-D") || slices.Contains(w, "--delete") {
		return true
	}
	chain := value(w, "-A")
	if chain == "" {
		chain = value(w, "-I")
	}
	in := value(w, "--logical-in")
	if in == "" {
		in = value(w, "--logical-out")
	}
	return chain == "FORWARD" && value(w, "-j") == "DROP" && m.note(c, in, fact{isolated: true})
}

// isolated is "bridge link set dev PORT isolated on", and the same by "ip link set PORT type bridge_slave".
func (m *machine) isolated(w []string, object, verb string) bool {
	if len(w) < 2 || !short(w[0], object, 1) || !short(w[1], verb, 1) || !slices.Contains(w, tunnel) {
		return false
	}
	m.found.isolated = m.found.isolated || value(w, "isolated") == "on"
	return value(w, "isolated") == "on"
}

// short reports whether a word is another one, or the beginning of it with n letters at least.
func short(s, full string, n int) bool { return len(s) >= n && strings.HasPrefix(full, s) }

// value is the word behind another one.
func value(w []string, name string) string {
	if i := slices.Index(w, name); i >= 0 && i+1 < len(w) {
		return w[i+1]
	}
	return ""
}
