package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"tunneldigger/src/wire"
)

// Ranges that more than one place needs.
const (
	// Below 1280 no tunnel goes (protocol.md; the least that IPv6 needs). 8946
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
	ours    bool   // the Python broker had none of that name, see input
	drop    bool   // see input
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
	enabled   bool
	left      bool   // out, as without something in it it is worth nothing
	faults    [2]int // its own: from, to
	section   *Section
	label     string
	portLine  []int // of each port
	discovery bool  // of the MTU, by an option of old files
}

var brokerOptions = []option[*draft]{
	{name: "enabled", ours: true, set: func(d *draft, in *input) { in.flag(&d.enabled) }},
	{name: "interface", drop: true, set: func(d *draft, in *input) { in.device(&d.Interface, maxInterface) }},
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
	{name: "connection_rate_limit_per_uuid_count", ours: true, set: func(d *draft, in *input) { in.count(&d.PerUUID) }},
	{name: "connection_rate_limit_per_uuid_time", ours: true, set: func(d *draft, in *input) { in.window(&d.PerUUID) }},
	{name: "uuid_policy", ours: true, set: func(d *draft, in *input) {
		in.word([]string{"any", "replace", "refuse"}, func(i int) { d.UUIDPolicy = UUIDPolicy(i) })
	}},
	{name: "allow_list", ours: true, set: func(d *draft, in *input) { in.path(&d.AllowList) }},
	{name: "deny_list", ours: true, set: func(d *draft, in *input) { in.path(&d.DenyList) }},
	{name: "bandwidth_down_max", ours: true, set: func(d *draft, in *input) { in.bandwidth(&d.BandwidthDownMax) }},
	{name: "bandwidth_down_default", ours: true, set: func(d *draft, in *input) { in.bandwidth(&d.BandwidthDownDefault) }},
	{name: "answer_rate_limit", ours: true, set: func(d *draft, in *input) { number(in, &d.AnswerRate, false, 0, 1000000, " a second") }},
	{name: "datapath", ours: true, set: func(d *draft, in *input) {
		in.word([]string{"auto", "kernel", "user"}, func(i int) { d.Datapath = Datapath(i) })
	}},
	obsolete[*draft]("max_cookies", "cookies take no memory"),
	obsolete[*draft]("port_base", "every tunnel uses the broker's own port"),
	obsolete[*draft]("namespace", "several brokers are several sections"),
	obsolete[*draft]("check_modules", "the kernel is asked at start"),
	older("pmtu_discovery", func(d *draft, in *input) { in.flag(&d.discovery) }),
}

// bridgeDraft is a bridge section while it is checked.
type bridgeDraft struct {
	Bridge
	label      string
	line       int  // of the section, 0 where it is wrong
	left       bool // out, for another one or as it is worth nothing
	brokerLine int
	portLine   []int // of each port
}

var bridgeOptions = []option[*bridgeDraft]{
	{name: "mtu", drop: true, set: func(d *bridgeDraft, in *input) { number(in, &d.MTU, true, minMTU, maxMTU, "") }},
	{name: "interface", drop: true, set: func(d *bridgeDraft, in *input) { in.bridge(&d.Interface) }},
	{name: "isolate", set: func(d *bridgeDraft, in *input) { in.flag(&d.Isolate) }},
	{name: "broker", ours: true, set: func(d *bridgeDraft, in *input) {
		if v, ok := in.one(); ok {
			d.Broker, d.brokerLine = v.Text, v.Line
		}
	}},
	{name: "port", ours: true, set: func(d *bridgeDraft, in *input) { d.Ports, d.portLine = in.ports() }},
	{name: "create", ours: true, set: func(d *bridgeDraft, in *input) { in.flag(&d.Create) }},
	{name: "address", ours: true, set: (*bridgeDraft).addAddresses},
	{name: "table", ours: true, set: func(d *bridgeDraft, in *input) { in.table(&d.Table) }},
	{name: "priority", ours: true, set: func(d *bridgeDraft, in *input) { number(in, &d.Priority, false, 1, maxPriority, "") }},
}

// clientDraft is a client section while it is checked.
type clientDraft struct {
	Client
	label      string
	bridgeLine int
}

var clientOptions = []option[*clientDraft]{
	{name: "uuid", ours: true, set: func(d *clientDraft, in *input) {
		if v, ok := in.one(); ok {
			if fault := wire.UUIDFault([]byte(v.Text)); fault != "" {
				in.refuse(v, "a UUID that clients can have: "+fault, "")
				return
			}
			d.UUID = v.Text
		}
	}},
	{name: "tunnel_id", ours: true, set: func(d *clientDraft, in *input) { number(in, &d.TunnelID, false, 1, maxTunnelID, "") }},
	{name: "bandwidth_down", ours: true, set: func(d *clientDraft, in *input) { in.bandwidth(&d.BandwidthDown) }},
	{name: "bridge", ours: true, set: func(d *clientDraft, in *input) {
		if v, ok := in.one(); ok {
			d.Bridge, d.bridgeLine = v.Text, v.Line
		}
	}},
}

var hookOptions = func() []option[*Hooks] {
	table := []option[*Hooks]{
		{name: "directory", ours: true, set: func(h *Hooks, in *input) { in.path(&h.Directory) }},
		{name: "timeout", ours: true, set: func(h *Hooks, in *input) { in.seconds(&h.Timeout, false, time.Second, time.Hour) }},
		{name: "parallel", ours: true, set: func(h *Hooks, in *input) { number(in, &h.Parallel, false, 1, maxParallel, "") }},
		{name: "verify_timeout_accept", ours: true, set: func(h *Hooks, in *input) { in.flag(&h.VerifyTimeoutAccept) }},
		{name: "verify_cache", ours: true, set: func(h *Hooks, in *input) { in.seconds(&h.VerifyCache, true, time.Second, forever) }},
		{name: "least_privilege", ours: true, set: func(h *Hooks, in *input) { in.flag(&h.LeastPrivilege) }},
	}
	for e := Event(0); e < EventCount; e++ {
		table = append(table, option[*Hooks]{name: e.option(), classic: e.String(), ours: e == EventVerify,
			set: func(h *Hooks, in *input) { in.program(&h.Program[e]) }})
	}
	// What broker.connection-rate-limit was called before a release had it.
	return append(table, option[*Hooks]{name: "broker_tunnel_connection_threshold", classic: "broker.tunnel-connection-threshold",
		set: func(h *Hooks, in *input) {
			in.remark("is the old name of broker.connection-rate-limit")
			if h.Program[EventRateLimit] == "" {
				in.program(&h.Program[EventRateLimit])
			}
		}})
}()

// option is the name of the event's option in UCI, where names have neither
// dots nor hyphens.
func (e Event) option() string {
	return strings.ReplaceAll(strings.ReplaceAll(e.String(), ".", "_"), "-", "_")
}

var logOptions = []option[*Log]{
	{name: "verbosity", set: func(l *Log, in *input) {
		// The last four are further names that Python's logging knows. The last one
		// left the level to the root logger.
		in.word([]string{"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL", "WARN", "NOTSET"}, func(i int) {
			l.Level = [...]Level{Debug, Info, Warning, Error, Error, Error, Warning, Warning}[i]
		})
	}},
	{name: "log_ip_addresses", set: func(l *Log, in *input) { in.flag(&l.Addresses) }},
	{name: "log_uuids", ours: true, set: func(l *Log, in *input) {
		shown := true
		in.flag(&shown)
		l.HideUUIDs = !shown
	}},
	obsolete[*Log]("filename", "the log goes to standard error"),
	obsolete[*Log]("script_log", "what hooks print is in the log"),
}

// obsolete is an option that older files have and that means nothing here.
func obsolete[T any](name, why string) option[T] {
	return older(name, func(_ T, in *input) { in.remark("is obsolete and ignored: " + why) })
}

// older is an option that older files have and nobody should write any more.
func older[T any](name string, set func(T, *input)) option[T] {
	return option[T]{name: name, set: set}
}

func (in *input) count(r *Rate) { number(in, &r.Count, false, 0, 1000000, "") }

func (in *input) window(r *Rate) { in.seconds(&r.Time, true, time.Millisecond, forever) }

// bandwidth goes to 100 Gbit/s.
func (in *input) bandwidth(dst *uint32) { number(in, dst, false, 0, 100000000, " kbit/s") }

func (d *draft) addAddresses(in *input) {
	found, before := 0, len(in.faults)
	in.list(maxListed, func(v Value) bool {
		if hostName(v.Text) {
			found++
			if slices.Contains(d.Names, v.Text) {
				return false
			}
			d.Names = append(d.Names, v.Text)
			return true
		}
		a, ok := parseAddress(v.Text)
		if !ok {
			in.refuse(v, "an IPv4 or IPv6 address of this host, not multicast, not IPv6 link-local, without zone; or its name", leavesOut)
			return true
		}
		found++
		return d.Listen(a)
	})
	in.none(found, before, &d.left)
}

// Listen adds an address, and reports whether it was not among those there are. A
// wildcard covers what else there is of its family.
func (b *Broker) Listen(a netip.Addr) bool {
	covered := func(x, by netip.Addr) bool { return x == by || by.IsUnspecified() && x.Is4() == by.Is4() }
	if slices.ContainsFunc(b.Addresses, func(by netip.Addr) bool { return covered(a, by) }) {
		return false
	}
	b.Addresses = slices.DeleteFunc(b.Addresses, func(x netip.Addr) bool { return covered(x, a) })
	b.Addresses = append(b.Addresses, a)
	return true
}

func (d *draft) addPorts(in *input) {
	before := len(in.faults)
	d.Ports, d.portLine = in.ports()
	in.none(len(d.Ports), before, &d.left)
	if d.Ports == nil {
		d.Ports = defaultPorts()
	}
}

// none leaves a section out of whose list nothing was right. before is how many
// faults there were before the list.
func (in *input) none(right, before int, left *bool) {
	wrong := in.faults[before:]
	if right > 0 || len(wrong) == 0 {
		return
	}
	*left = true
	for i := range wrong {
		wrong[i].Start = leavesAll
	}
}

// ports reads a list of ports, and on which line each of them is.
func (in *input) ports() (ports []uint16, lines []int) {
	in.list(maxListed, func(v Value) bool {
		p, ok := parsePort(v.Text)
		if !ok {
			in.refuse(v, span(false, 1, 65535), leavesOut)
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
