package config

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"tunneldigger/src/phrase"
)

// defaultPorts are those of the reference broker's example and OpenWrt package.
func defaultPorts() []uint16 { return []uint16{53, 123, 8942} }

// answerRate is the default of answer_rate_limit: a storm of thousands of
// clients does not ask as often, and in frames it is 2.5 Mbit/s.
const answerRate = 5000

const verifyCache = time.Minute // the default

// newDraft holds the defaults of a broker section.
func newDraft(classic bool) *draft {
	d := &draft{enabled: true, discovery: true}
	d.MaxTunnels = 1024
	d.TunnelIDBase = 100
	d.TunnelTimeout = 60 * time.Second
	if classic {
		// The reference broker has no such option today and waits 120 s; its
		// file shall go on meaning that.
		d.TunnelTimeout = 120 * time.Second
	}
	d.RateInterval = 200 * time.Millisecond
	d.AnswerRate = answerRate
	d.Ports = defaultPorts()
	return d
}

// builder collects faults and notices. It stops at nothing, so that all faults
// of a file are found at once.
type builder struct {
	src     Source
	faults  Faults
	notices Faults
	names   map[string]bool // of all sections
	brokers []*draft
	bridges []*bridgeDraft
	clients []*clientDraft
	uuids   map[string]int // line of the client section
	ids     map[uint32]int
	single  map[string]int // line of the hooks and the log section
	cfg     Config
}

// Build checks what a reader found and makes the configuration of it. The error is
// of type [Faults] and holds every fault of the file, in file order, those of the
// reader included. Where none of them stops a start the configuration comes with
// it, as a start has it; who is strict takes no notice of that.
func Build(src Source) (*Config, error) {
	b := &builder{
		src: src, faults: slices.Clone(src.Faults), names: map[string]bool{}, single: map[string]int{},
		uuids: map[string]int{}, ids: map[uint32]int{},
		cfg: Config{Hooks: Hooks{Timeout: 30 * time.Second, VerifyCache: verifyCache}, Log: Log{Level: Info}},
	}
	for i := range src.Sections {
		b.names[src.Sections[i].Name] = true
	}
	for i := range src.Sections {
		b.section(&src.Sections[i])
	}
	b.attach()
	b.assign()
	b.overlaps()
	b.served()
	b.faults.sort()
	b.notices.sort()
	for _, n := range b.notices {
		b.cfg.Notices = append(b.cfg.Notices, n.Error())
	}
	b.cfg.Faults = b.faults
	return b.cfg.checked()
}

// checked gives the configuration with its faults as error, and no configuration
// where they stop a start.
func (c *Config) checked() (*Config, error) {
	switch {
	case len(c.Faults) == 0:
		return c, nil
	case c.Faults.Stop():
		return nil, c.Faults
	}
	return c, c.Faults
}

// fault is one that stops a start, bear one that a start can bear.
func (b *builder) fault(line int, format string, args ...any) { b.bear(line, "", format, args...) }

func (b *builder) bear(line int, start, format string, args ...any) {
	b.faults = append(b.faults, Fault{File: b.src.File, Line: line, Text: phrase.Sprintf(format, args...), Start: start})
}

func (b *builder) notice(line int, format string, args ...any) {
	b.notices = append(b.notices, Fault{File: b.src.File, Line: line, Text: phrase.Sprintf(format, args...)})
}

func (b *builder) section(s *Section) {
	switch {
	case s.Type == "broker":
		b.broker(s)
	case s.Type == "bridge" && !b.src.Classic:
		b.bridge(s)
	case s.Type == "client" && !b.src.Classic:
		b.client(s)
	case s.Type == "hooks":
		b.only(s)
		apply(b, s, s.Type, hookOptions, &b.cfg.Hooks)
	case s.Type == "log":
		b.only(s)
		apply(b, s, s.Type, logOptions, &b.cfg.Log)
	default:
		known := []string{"broker", "hooks", "log", "bridge", "client"}
		if b.src.Classic {
			known = known[:3]
		}
		b.bear(s.Line, ignores, "unknown section type %s%s", Quote(s.Type), hint(s.Type, known))
	}
}

// only wants one section of a type.
func (b *builder) only(s *Section) {
	if first, again := b.single[s.Type]; again {
		b.bear(s.Line, "reads both, and of an option in both this one",
			"%s: there is such a section on line %d already: want one", s.Type, first)
		return
	}
	b.single[s.Type] = s.Line
}

// apply gives every option of a section to its entry in the table, and reports
// whether the section is worth nothing without one whose value is wrong.
func apply[T any](b *builder, s *Section, label string, table []option[T], into T) (dropped bool) {
	for i := range s.Options {
		opt := &s.Options[i]
		at := slices.IndexFunc(table, func(o option[T]) bool { return o.spelling(b.src.Classic) == opt.Name })
		if at < 0 && opt.Variable {
			continue
		}
		if at < 0 {
			var known []string
			for j := range table {
				known = append(known, table[j].spelling(b.src.Classic))
			}
			b.bear(opt.Line, ignores, "%s: unknown option %s%s", label, Quote(opt.Name), hint(opt.Name, known))
			continue
		}
		// UCI files had no such section before.
		ours := table[at].ours || s.Type == "hooks" && !b.src.Classic
		in := &input{builder: b, label: label, opt: opt, ours: ours, drop: table[at].drop}
		table[at].set(into, in)
		dropped = dropped || in.dropped
	}
	return dropped
}

// name gives a section its name and its label in messages. n counts the
// sections of its type before it.
func (b *builder) name(s *Section, n int) (name, label string) {
	if b.src.Classic {
		return s.Type, s.Type
	}
	name = s.Name
	if name == "" {
		for name = s.Type + strconv.Itoa(n); b.names[name]; name += "_" {
		}
		b.names[name] = true
	}
	return name, s.Type + " " + Quote(name)
}

func (b *builder) broker(s *Section) {
	d := newDraft(b.src.Classic)
	d.section = s
	d.Name, d.label = b.name(s, len(b.brokers))
	b.brokers = append(b.brokers, d)
	if len(b.brokers) == maxBrokers+1 {
		b.fault(s.Line, "%s: want at most %d broker sections", d.label, maxBrokers)
	}
	before := len(b.faults)
	if apply(b, s, d.label, brokerOptions, d) {
		d.left = true
	}
	b.rate(d, &d.PerIP, "connection_rate_limit_per_ip")
	b.rate(d, &d.PerUUID, "connection_rate_limit_per_uuid")
	b.discovery(d)
	b.patience(d)
	if last := uint64(d.TunnelIDBase) + uint64(d.MaxTunnels) - 1; last > maxTunnelID {
		most := maxTunnelID + 1 - int(d.TunnelIDBase)
		b.bear(s.line("tunnel_id_base", "max_tunnels"), phrase.Sprintf("takes max_tunnels %d", most),
			"%s: tunnel_id_base %d with max_tunnels %d ends at %d: want %d at most", d.label, d.TunnelIDBase, d.MaxTunnels, last, maxTunnelID)
		d.MaxTunnels = most
	}
	wrong := b.faults[before:]
	if !d.enabled {
		for i := range wrong {
			wrong[i].Start = leavesAll + ", as it is not enabled"
		}
	}
	d.faults = [2]int{before, len(b.faults)}
	// What is wrong in itself is not compared with others.
	d.enabled = d.enabled && !d.left && !wrong.Stop()
}

// discovery gives a file that switches discovery off the old way what that was: the
// MTU of a broker that never discovers.
func (b *builder) discovery(d *draft) {
	switch at := d.section.line("pmtu_discovery"); {
	case d.section.has("pmtu_discovery") && d.section.has("pmtu"):
		b.notice(at, "%s: pmtu_discovery is obsolete and ignored: pmtu says it", d.label)
	case !d.discovery:
		d.PMTU = oldMTU
		b.notice(at, "%s: pmtu_discovery is obsolete: switched off it means pmtu '%d', which is what to write", d.label, oldMTU)
	case d.section.has("pmtu_discovery"):
		b.notice(at, "%s: pmtu_discovery is obsolete and ignored: the MTU is discovered where pmtu is 0", d.label)
	}
}

// oldMTU is what tunnels of the reference broker have as long as nothing else is
// discovered: 1500 without the headers of IPv4, UDP, L2TPv3 and Ethernet.
const oldMTU = 1446

// patience says how long a full broker's clients wait after a restart, where that
// is more than a few minutes.
func (b *builder) patience(d *draft) {
	const few = 5 * time.Minute
	if whole := d.RateInterval * time.Duration(d.MaxTunnels); d.enabled && whole > few {
		b.notice(d.section.line("connection_rate_limit", "max_tunnels"),
			"%s: connection_rate_limit lets one tunnel in every %s s: after a restart %d nodes, as many as max_tunnels allows, "+
				"take %s to come back; with %s it is five minutes", d.label, formatSeconds(d.RateInterval), d.MaxTunnels, spoken(whole),
			formatSeconds((few / time.Duration(d.MaxTunnels)).Truncate(time.Millisecond)))
	}
}

// spoken gives a time of minutes to days in two units at most.
func spoken(d time.Duration) string {
	minutes := int(d.Round(time.Minute) / time.Minute)
	days, hours, minutes := minutes/1440, minutes/60%24, minutes%60
	switch {
	case days > 0:
		return phrase.Sprintf("%d days %d hours", days, hours)
	case hours > 0:
		return phrase.Sprintf("%d hours %d minutes", hours, minutes)
	}
	return phrase.Sprintf("%d minutes", minutes)
}

// rate switches a limit off of which one half is missing, as the reference
// broker does, and says so.
func (b *builder) rate(d *draft, r *Rate, prefix string) {
	if (r.Count == 0) != (r.Time == 0) {
		b.notice(d.section.line(prefix+"_count", prefix+"_time"),
			"%s: the limit is off, it needs %s_count and %s_time", d.label, prefix, prefix)
		*r = Rate{}
	}
}

// line gives where the first of these options is that the section has, else
// where the section begins.
func (s *Section) line(options ...string) int {
	for _, name := range options {
		for i := range s.Options {
			if o := &s.Options[i]; o.Name == name && len(o.Values) > 0 {
				return o.Values[len(o.Values)-1].Line
			}
		}
	}
	return s.Line
}

// has reports whether the section has a value for an option.
func (s *Section) has(option string) bool {
	return slices.ContainsFunc(s.Options, func(o Option) bool {
		return o.Name == option && slices.ContainsFunc(o.Values, func(v Value) bool { return strings.TrimSpace(v.Text) != "" })
	})
}
