package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Ranges that more than one place needs.
const (
	// Below 1280 no tunnel goes (PROTOCOL.md; the least that IPv6 needs). 8946
	// is what a path of 9000, the usual jumbo frame, leaves.
	minMTU, maxMTU = 1280, 8946
	// Tunnel IDs, so that "l2tp65535-65535" just fits IFNAMSIZ.
	maxTunnelID = 65535
	// Every address and port is a socket, and brokers are compared pairwise.
	maxListed, maxBrokers = 64, 64
	// A device; and a netifd interface, whose name the kernel never sees.
	maxDevice, maxInterface = 15, 64
	// Hooks at once; each is a process, and three descriptors.
	maxParallel = 1024
	forever     = 24 * time.Hour
)

// option is one option that a section of type T may have.
type option[T any] struct {
	name    string
	classic string // where the classic file has another name
	set     func(T, *input)
}

func (o *option[T]) spelling(classic bool) string {
	if classic && o.classic != "" {
		return o.classic
	}
	return o.name
}

// draft is a broker section while it is checked.
type draft struct {
	Broker
	enabled  bool
	section  *Section
	label    string
	portLine []int // of each port
}

var brokerOptions = []option[*draft]{
	{name: "enabled", set: func(d *draft, in *input) { in.flag(&d.enabled) }},
	{name: "interface", set: func(d *draft, in *input) { in.device(&d.Interface, maxInterface) }},
	{name: "address", set: (*draft).addAddresses},
	{name: "port", set: (*draft).addPorts},
	{name: "max_tunnels", set: func(d *draft, in *input) { number(in, &d.MaxTunnels, false, 1, maxTunnelID, "") }},
	{name: "tunnel_id_base", set: func(d *draft, in *input) { number(in, &d.TunnelIDBase, false, 1, maxTunnelID, "") }},
	// Clients send every 5 s: below 10 s one lost datagram ends a tunnel.
	{name: "tunnel_timeout", set: func(d *draft, in *input) {
		in.seconds(&d.TunnelTimeout, false, 10*time.Second, time.Hour)
	}},
	{name: "pmtu", set: func(d *draft, in *input) { number(in, &d.PMTU, true, minMTU, maxMTU, "") }},
	{name: "connection_rate_limit", set: func(d *draft, in *input) {
		in.seconds(&d.RateInterval, true, time.Millisecond, time.Hour)
	}},
	{name: "connection_rate_limit_per_ip_count", set: func(d *draft, in *input) { in.count(&d.PerIP) }},
	{name: "connection_rate_limit_per_ip_time", set: func(d *draft, in *input) { in.window(&d.PerIP) }},
	{name: "connection_rate_limit_per_uuid_count", set: func(d *draft, in *input) { in.count(&d.PerUUID) }},
	{name: "connection_rate_limit_per_uuid_time", set: func(d *draft, in *input) { in.window(&d.PerUUID) }},
	{name: "uuid_policy", set: func(d *draft, in *input) {
		in.word([]string{"any", "replace", "refuse"}, func(i int) { d.UUIDPolicy = UUIDPolicy(i) })
	}},
	{name: "allow_list", set: func(d *draft, in *input) { in.path(&d.AllowList) }},
	{name: "deny_list", set: func(d *draft, in *input) { in.path(&d.DenyList) }},
	{name: "bandwidth_down_max", set: func(d *draft, in *input) { in.bandwidth(&d.BandwidthDownMax) }},
	{name: "bandwidth_down_default", set: func(d *draft, in *input) { in.bandwidth(&d.BandwidthDownDefault) }},
	{name: "answer_rate_limit", set: func(d *draft, in *input) { number(in, &d.AnswerRate, false, 0, 1000000, " a second") }},
	obsolete[*draft]("max_cookies", "cookies take no memory"),
	obsolete[*draft]("port_base", "every tunnel uses the broker's own port"),
	obsolete[*draft]("namespace", "several brokers are several sections"),
	obsolete[*draft]("check_modules", "the kernel is asked at start"),
	obsolete[*draft]("pmtu_discovery", "set pmtu to a fixed MTU to switch discovery off"),
}

// bridgeDraft is a bridge section while it is checked.
type bridgeDraft struct {
	Bridge
	label      string
	line       int // of the section
	brokerLine int
	portLine   []int // of each port
}

var bridgeOptions = []option[*bridgeDraft]{
	{name: "mtu", set: func(d *bridgeDraft, in *input) { number(in, &d.MTU, true, minMTU, maxMTU, "") }},
	{name: "interface", set: func(d *bridgeDraft, in *input) { in.device(&d.Interface, maxDevice) }},
	{name: "isolate", set: func(d *bridgeDraft, in *input) { in.flag(&d.Isolate) }},
	{name: "broker", set: func(d *bridgeDraft, in *input) {
		if v, ok := in.one(); ok {
			d.Broker, d.brokerLine = v.Text, v.Line
		}
	}},
	{name: "port", set: func(d *bridgeDraft, in *input) { d.Ports, d.portLine = in.ports() }},
}

var hookOptions = func() []option[*Hooks] {
	table := []option[*Hooks]{
		{name: "directory", set: func(h *Hooks, in *input) { in.path(&h.Directory) }},
		{name: "timeout", set: func(h *Hooks, in *input) { in.seconds(&h.Timeout, false, time.Second, time.Hour) }},
		{name: "parallel", set: func(h *Hooks, in *input) { number(in, &h.Parallel, false, 1, maxParallel, "") }},
		{name: "verify_timeout_accept", set: func(h *Hooks, in *input) { in.flag(&h.VerifyTimeoutAccept) }},
		{name: "verify_cache", set: func(h *Hooks, in *input) { in.seconds(&h.VerifyCache, true, time.Second, forever) }},
		{name: "least_privilege", set: func(h *Hooks, in *input) { in.flag(&h.LeastPrivilege) }},
	}
	for e := Event(0); e < EventCount; e++ {
		table = append(table, option[*Hooks]{e.option(), e.String(),
			func(h *Hooks, in *input) { in.path(&h.Program[e]) }})
	}
	return table
}()

// option is the name of the event's option in UCI, where names have neither
// dots nor hyphens.
func (e Event) option() string {
	return strings.ReplaceAll(strings.ReplaceAll(e.String(), ".", "_"), "-", "_")
}

var logOptions = []option[*Log]{
	{name: "verbosity", set: func(l *Log, in *input) {
		// The last three are further names that Python's logging knows.
		in.word([]string{"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL", "WARN"}, func(i int) {
			l.Level = [...]Level{Debug, Info, Warning, Error, Error, Error, Warning}[i]
		})
	}},
	{name: "log_ip_addresses", set: func(l *Log, in *input) { in.flag(&l.Addresses) }},
	{name: "log_uuids", set: func(l *Log, in *input) {
		shown := true
		in.flag(&shown)
		l.HideUUIDs = !shown
	}},
	obsolete[*Log]("filename", "the log goes to standard error"),
}

// obsolete is an option that older files have and that means nothing here.
func obsolete[T any](name, why string) option[T] {
	return option[T]{name: name, set: func(_ T, in *input) { in.remark("is obsolete and ignored: " + why) }}
}

func (in *input) count(r *Rate) { number(in, &r.Count, false, 0, 1000000, "") }

func (in *input) window(r *Rate) { in.seconds(&r.Time, true, time.Millisecond, forever) }

// bandwidth goes to 100 Gbit/s.
func (in *input) bandwidth(dst *uint32) { number(in, dst, false, 0, 100000000, " kbit/s") }

func (d *draft) addAddresses(in *input) {
	in.list(maxListed, func(v Value) bool {
		a, ok := parseAddress(v.Text)
		if !ok {
			in.refuse(v, "an IPv4 or IPv6 address of this host, not multicast, not IPv6 link-local, without zone")
			return true
		}
		// A wildcard covers what else there is of its family.
		covered := func(x, by netip.Addr) bool { return x == by || by.IsUnspecified() && x.Is4() == by.Is4() }
		if slices.ContainsFunc(d.Addresses, func(b netip.Addr) bool { return covered(a, b) }) {
			return false
		}
		d.Addresses = slices.DeleteFunc(d.Addresses, func(b netip.Addr) bool { return covered(b, a) })
		d.Addresses = append(d.Addresses, a)
		return true
	})
}

func (d *draft) addPorts(in *input) {
	if d.Ports, d.portLine = in.ports(); d.Ports == nil {
		d.Ports = defaultPorts()
	}
}

// ports reads a list of ports, and on which line each of them is.
func (in *input) ports() (ports []uint16, lines []int) {
	in.list(maxListed, func(v Value) bool {
		p, ok := parsePort(v.Text)
		if !ok {
			in.refuse(v, span(false, 1, 65535))
			return true
		}
		if slices.Contains(ports, p) {
			return false
		}
		ports, lines = append(ports, p), append(lines, v.Line)
		return true
	})
	return ports, lines
}
