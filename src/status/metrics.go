package status

import "tunneldigger/src/broker"

// family is one metric: its samples stand together, below its HELP and TYPE. The
// text format and the rules for names are Prometheus' ("Exposition formats",
// "Metric and label naming").
type family struct {
	name, kind, help string
	samples          func(b []byte, f *family, r *Report) []byte
}

// Families is how many metrics there are beside those of tunnels.
var Families = len(families)

// AppendFamily appends metric i, below Families.
func AppendFamily(b []byte, i int, r *Report) []byte {
	f := &families[i]
	return f.samples(appendFamilyHead(b, f.name, f.kind, f.help), f, r)
}

func appendFamilyHead(b []byte, name, kind, help string) []byte {
	return add(b, "# HELP ", prefix, name, " ", help, "\n# TYPE ", prefix, name, " ", kind, "\n")
}

const (
	prefix    = "tunneldigger_"
	gauge     = "gauge"
	counter   = "counter"
	histogram = "histogram"
)

var families = []family{
	{"build_info", gauge, "The version of the program; the value is always 1.", func(b []byte, f *family, r *Report) []byte {
		return add(f.open(b, "", "version", r.Version), "} 1\n")
	}},
	{"start_time_seconds", gauge, "When the broker began to serve, in seconds since 1970.", process(func(r *Report) uint64 { return r.Started })},
	{"resident_memory_bytes", gauge, "Resident memory of the process.", process(func(r *Report) uint64 { return r.Memory })},
	{"hooks_running", gauge, "Hooks that run.", process(func(r *Report) uint64 { return uint64(r.Hooks.Running) })},
	{"hooks_waiting", gauge, "Hooks that wait for their turn.", process(func(r *Report) uint64 { return uint64(r.Hooks.Waiting) })},
	{"hooks_ended_total", counter, "Hooks that have ended.", process(func(r *Report) uint64 { return r.Hooks.Ended })},
	{"hooks_failed_total", counter, "Hooks that have failed or were killed.", process(func(r *Report) uint64 { return r.Hooks.Failed })},
	{"send_failures_total", counter, "Datagrams that could not be sent.", process(func(r *Report) uint64 { return r.SendFailures })},

	{"frames_dropped_total", counter, "Frames that the broker was to carry itself and has dropped.", func(b []byte, f *family, r *Report) []byte {
		for i := range r.Frames {
			b = count(f.open(b, "", "reason", r.Frames[i].Reason), "} ", r.Frames[i].N, "\n")
		}
		return b
	}},

	{"datapath_info", gauge, "What carries the frames of tunnels; the value is always 1.", each(func(s *Section, sample func(label, value string, n uint64)) {
		sample("datapath", s.Datapath, 1)
	})},
	{"listening", gauge, "Whether the broker listens at an address and port; 0 while it can not.", listenerSamples},
	{"draining", gauge, "Whether the broker is being drained.", section(func(s *Section) uint64 { return one(s.Draining) })},
	{"tunnels", gauge, "Tunnels, those included that are coming or going.", section(func(s *Section) uint64 { return uint64(s.Tunnels) })},
	{"tunnels_limit", gauge, "How many tunnels there may be.", section(func(s *Section) uint64 { return uint64(s.Limit) })},
	{"waiting_clients", gauge, "Clients in the queue.", section(func(s *Section) uint64 { return uint64(s.Queued) })},
	{"unattached", gauge, "Tunnels that no bridge section fits.", section(func(s *Section) uint64 { return uint64(s.Unattached) })},
	{"unattached_total", counter, "Tunnels that no bridge section fitted when they came up or changed.", section(func(s *Section) uint64 { return s.UnattachedTotal })},
	{"hook_failed", gauge, "Tunnels for which a hook has failed.", section(func(s *Section) uint64 { return uint64(s.HookFailed) })},
	{"requests_total", counter, "Requests of a handshake.", each(func(s *Section, sample func(label, value string, n uint64)) {
		sample("kind", "cookie", s.Stats.Cookies)
		sample("kind", "prepare", s.Stats.Prepares)
		sample("kind", "usage", s.Stats.Usages)
	})},
	{"repeated_prepares_total", counter, "Requests for a tunnel that stood already.", section(func(s *Section) uint64 { return s.Stats.Repeats })},
	{"tunnels_opened_total", counter, "Tunnels that came up.", section(func(s *Section) uint64 { return s.Stats.Opened })},
	{"clients_told_total", counter, "Clients that were told that their tunnel is gone.", section(func(s *Section) uint64 { return s.Stats.Told })},
	{"tunnels_closed_total", counter, "Tunnels that were closed.", reasons(false)},
	{"clients_refused_total", counter, "Clients that were refused.", reasons(true)},
	{"datagrams_dropped_total", counter, "Datagrams that were dropped without an answer.", each(func(s *Section, sample func(label, value string, n uint64)) {
		for kind, n := range s.Stats.Drops {
			sample("kind", broker.Drop(kind).Label(), n)
		}
	})},
	{"uuid_twins_total", counter, "UUIDs that two living nodes were seen to have.", section(func(s *Section) uint64 { return s.Stats.Twins })},
	{"held_off", gauge, "Addresses and UUIDs that come too often and are held off.", each(func(s *Section, sample func(label, value string, n uint64)) {
		sample("kind", "address", uint64(s.Limits.HeldAddresses))
		sample("kind", "uuid", uint64(s.Limits.HeldUUIDs))
	})},
	{"setup_duration_seconds", histogram, "From the accepted PREPARE to the TUNNEL answer, the time in the queue included.", setupSamples},
}

func one(is bool) uint64 {
	if is {
		return 1
	}
	return 0
}

// open appends the sample's name and its first label.
//
//go:noinline
func (f *family) open(b []byte, suffix, label, value string) []byte {
	return appendLabel(add(b, prefix, f.name, suffix, "{"), label, value)
}

// process is a metric with one sample. It and those below are not inlined: each
// use would have a copy of what it returns.
//
//go:noinline
func process(value func(*Report) uint64) func([]byte, *family, *Report) []byte {
	return func(b []byte, f *family, r *Report) []byte {
		return count(add(b, prefix, f.name), " ", value(r), "\n")
	}
}

// section is a metric with one sample for each broker section.
//
//go:noinline
func section(value func(*Section) uint64) func([]byte, *family, *Report) []byte {
	return func(b []byte, f *family, r *Report) []byte {
		for i := range r.Sections {
			s := &r.Sections[i]
			b = count(f.open(b, "", "broker", s.Name), "} ", value(s), "\n")
		}
		return b
	}
}

// each is a metric with several samples for each broker section, which differ by
// one label.
//
//go:noinline
func each(samples func(s *Section, sample func(label, value string, n uint64))) func([]byte, *family, *Report) []byte {
	return func(b []byte, f *family, r *Report) []byte {
		for i := range r.Sections {
			s := &r.Sections[i]
			samples(s, func(label, value string, n uint64) {
				b = appendLabel(add(f.open(b, "", "broker", s.Name), ","), label, value)
				b = count(b, "} ", n, "\n")
			})
		}
		return b
	}
}

//go:noinline
func reasons(refusal bool) func([]byte, *family, *Report) []byte {
	return each(func(s *Section, sample func(label, value string, n uint64)) {
		for i, n := range s.Stats.Reasons {
			if reason := broker.Reason(i); reason != broker.ReasonNone && reason.Refusal() == refusal {
				sample("reason", reason.Label(), n)
			}
		}
	})
}

func listenerSamples(b []byte, f *family, r *Report) []byte {
	for i := range r.Sections {
		s := &r.Sections[i]
		for j := range s.Listeners {
			l := &s.Listeners[j]
			b = appendLabel(add(f.open(b, "", "broker", s.Name), ","), "address", l.At.Addr().String())
			b = count(add(b, `,port="`), "", uint64(l.At.Port()), `"} `)
			b = count(b, "", one(l.Why == ""), "\n")
		}
	}
	return b
}

func setupSamples(b []byte, f *family, r *Report) []byte {
	for i := range r.Sections {
		s := &r.Sections[i]
		setup := &s.Stats.Setup
		total := uint64(0)
		for i, n := range setup.Buckets {
			total += n
			b = add(f.open(b, "_bucket", "broker", s.Name), `,le="`)
			if i < len(setup.Buckets)-1 {
				b = appendSeconds(b, bound(i))
			} else {
				b = add(b, "+Inf")
			}
			b = count(b, `"} `, total, "\n")
		}
		b = add(f.open(b, "_sum", "broker", s.Name), "} ")
		b = add(appendSeconds(b, setup.Sum), "\n")
		b = count(f.open(b, "_count", "broker", s.Name), "} ", total, "\n")
	}
	return b
}
