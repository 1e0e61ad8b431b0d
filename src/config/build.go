package config

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// defaultPorts are those of the reference broker's example and OpenWrt package.
func defaultPorts() []uint16 { return []uint16{53, 123, 8942} }

// answerRate is the default of answer_rate_limit: a storm of thousands of
// clients does not ask as often, and in frames it is 2.5 Mbit/s.
const answerRate = 5000

const verifyCache = time.Minute // the default

// newDraft holds the defaults of a broker section.
func newDraft(classic bool) *draft {
	d := &draft{enabled: true}
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
	single  map[string]int // line of the hooks and the log section
	cfg     Config
}

// Build checks what a reader found and makes the configuration of it. The
// error is of type [Faults] and holds every fault of the file, in file order,
// those of the reader included.
func Build(src Source) (*Config, error) {
	b := &builder{
		src: src, faults: slices.Clone(src.Faults),
		names: map[string]bool{}, single: map[string]int{},
		cfg: Config{Hooks: Hooks{Timeout: 30 * time.Second, VerifyCache: verifyCache}, Log: Log{Level: Info}},
	}
	for i := range src.Sections {
		b.names[src.Sections[i].Name] = true
	}
	for i := range src.Sections {
		b.section(&src.Sections[i])
	}
	b.attach()
	b.overlaps()
	if len(b.faults) > 0 {
		b.faults.sort()
		return nil, b.faults
	}
	b.notices.sort()
	for _, n := range b.notices {
		b.cfg.Notices = append(b.cfg.Notices, n.Error())
	}
	return &b.cfg, nil
}

func (b *builder) fault(line int, format string, args ...any) {
	b.faults = append(b.faults, Fault{b.src.File, line, fmt.Sprintf(format, args...)})
}

func (b *builder) notice(line int, format string, args ...any) {
	b.notices = append(b.notices, Fault{b.src.File, line, fmt.Sprintf(format, args...)})
}

func (b *builder) section(s *Section) {
	switch {
	case s.Type == "broker":
		b.broker(s)
	case s.Type == "bridge" && !b.src.Classic:
		b.bridge(s)
	case s.Type == "hooks":
		b.only(s)
		apply(b, s, s.Type, hookOptions, &b.cfg.Hooks)
	case s.Type == "log":
		b.only(s)
		apply(b, s, s.Type, logOptions, &b.cfg.Log)
	default:
		known := []string{"broker", "hooks", "log", "bridge"}
		if b.src.Classic {
			known = known[:3]
		}
		b.fault(s.Line, "unknown section type %s%s", Quote(s.Type), hint(s.Type, known))
	}
}

// only allows one section of a type.
func (b *builder) only(s *Section) {
	if first, again := b.single[s.Type]; again {
		b.fault(s.Line, "%s: there is such a section on line %d already: want one", s.Type, first)
		return
	}
	b.single[s.Type] = s.Line
}

// apply gives every option of a section to its entry in the table.
func apply[T any](b *builder, s *Section, label string, table []option[T], into T) {
	for i := range s.Options {
		opt := &s.Options[i]
		at := slices.IndexFunc(table, func(o option[T]) bool { return o.spelling(b.src.Classic) == opt.Name })
		if at < 0 {
			var known []string
			for j := range table {
				known = append(known, table[j].spelling(b.src.Classic))
			}
			b.fault(opt.Line, "%s: unknown option %s%s", label, Quote(opt.Name), hint(opt.Name, known))
			continue
		}
		table[at].set(into, &input{b, label, opt})
	}
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
	apply(b, s, d.label, brokerOptions, d)
	b.rate(d, &d.PerIP, "connection_rate_limit_per_ip")
	b.rate(d, &d.PerUUID, "connection_rate_limit_per_uuid")
	if last := uint64(d.TunnelIDBase) + uint64(d.MaxTunnels) - 1; last > maxTunnelID {
		b.fault(s.line("tunnel_id_base", "max_tunnels"), "%s: tunnel_id_base %d with max_tunnels %d ends at %d: want %d at most",
			d.label, d.TunnelIDBase, d.MaxTunnels, last, maxTunnelID)
	}
	// What is wrong in itself is not compared with others.
	d.enabled = d.enabled && len(b.faults) == before
}

// rate switches a limit off of which one half is missing, as the reference
// broker does, and says so.
func (b *builder) rate(d *draft, r *Rate, prefix string) {
	if (r.Count == 0) != (r.Time == 0) {
		b.notice(d.section.line(prefix+"_count", prefix+"_time"),
			"%s: the limit is off, it needs %s_count and %[2]s_time", d.label, prefix)
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
