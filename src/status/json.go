package status

import (
	"net/netip"
	"strconv"
	"time"

	"tunneldigger/src/broker"
)

// The parts of the status in JSON, one object in all: AppendJSON, then
// AppendJSONSection for each section, then AppendJSONTunnels, AppendJSONTunnel for
// each tunnel, AppendJSONEnd. The file testdata/status.schema.json says what is in it;
// names are never changed, only added.

// AppendJSON begins the object with what is about the process.
func AppendJSON(b []byte, r *Report) []byte {
	b = add(b, "{")
	b = text(b, "version", r.Version)
	b = number(b, "pid", uint64(r.PID))
	b = number(b, "started", r.Started)
	b = seconds(b, "uptime_seconds", r.Uptime)
	b = number(b, "memory_resident_bytes", r.Memory)
	b = number(b, "send_failures", r.SendFailures)
	b = open(b, "frames_dropped", "{")
	for i := range r.Frames {
		b = number(b, r.Frames[i].Reason, r.Frames[i].N)
	}
	b = open(add(b, "}"), "hooks", "{")
	b = number(b, "running", uint64(r.Hooks.Running))
	b = number(b, "waiting", uint64(r.Hooks.Waiting))
	b = number(b, "ended", r.Hooks.Ended)
	b = number(b, "failed", r.Hooks.Failed)
	b = add(b, "}")
	return open(b, "brokers", "[")
}

// AppendJSONSection appends one broker section; the first one has no comma before
// it.
func AppendJSONSection(b []byte, s *Section, first bool) []byte {
	if !first {
		b = add(b, ",")
	}
	b = add(b, "{")
	b = text(b, "name", s.Name)
	b = orNull(b, "interface", s.Interface)
	b = text(b, "datapath", s.Datapath)
	b = open(b, "listening", "[")
	for i := range s.Listeners {
		if l := &s.Listeners[i]; l.Why == "" {
			b = appendAddress(element(b), l.At)
		}
	}
	b = open(add(b, "]"), "listeners", "[")
	for i := range s.Listeners {
		l := &s.Listeners[i]
		b = text(add(element(b), "{"), "address", l.At.Addr().String())
		b = number(b, "port", uint64(l.At.Port()))
		b = strconv.AppendBool(key(b, "listening"), l.Why == "")
		b = add(orNull(b, "why", l.Why), "}")
	}
	b = add(b, "]")
	b = orNull(b, "waiting_for", s.WaitsFor)
	b = number(b, "tunnels", uint64(s.Tunnels))
	b = number(b, "limit", uint64(s.Limit))
	b = number(b, "queued", uint64(s.Queued))
	b = number(b, "unattached", uint64(s.Unattached))
	b = number(b, "unattached_total", s.UnattachedTotal)
	b = number(b, "hook_failed", uint64(s.HookFailed))
	b = strconv.AppendBool(key(b, "draining"), s.Draining)
	b = number(b, "close_rate", uint64(s.CloseRate))
	b = number(b, "cookies", s.Stats.Cookies)
	b = number(b, "usages", s.Stats.Usages)
	b = number(b, "prepares", s.Stats.Prepares)
	b = number(b, "repeats", s.Stats.Repeats)
	b = number(b, "opened", s.Stats.Opened)
	b = number(b, "told", s.Stats.Told)
	b = number(b, "uuid_twins", s.Stats.Twins)
	b = number(open(b, "held_off", "{"), "address", uint64(s.Limits.HeldAddresses))
	b = add(number(b, "uuid", uint64(s.Limits.HeldUUIDs)), "}")
	for _, group := range []struct {
		name    string
		refusal bool
	}{{"closed", false}, {"refused", true}} {
		b = open(b, group.name, "{")
		for r, n := range s.Stats.Reasons {
			if reason := broker.Reason(r); reason != broker.ReasonNone && reason.Refusal() == group.refusal {
				b = number(b, reason.Label(), n)
			}
		}
		b = add(b, "}")
	}
	b = open(b, "last_refused", "[")
	for i := range s.Refusals {
		r := &s.Refusals[i]
		b = text(add(element(b), "{"), "uuid", r.UUID)
		if b = key(b, "endpoint"); r.Peer.IsValid() {
			b = appendAddress(b, r.Peer)
		} else {
			b = add(b, "null")
		}
		b = text(b, "reason", r.Reason.Label())
		b = orNull(b, "detail", r.Detail)
		b = seconds(b, "seconds_ago", r.Ago)
		b = add(number(b, "count", r.Count), "}")
	}
	b = add(b, "]")
	b = open(b, "dropped", "{")
	for kind, n := range s.Stats.Drops {
		b = number(b, broker.Drop(kind).Label(), n)
	}
	b = add(b, "}")
	b = appendSetup(open(b, "setup", "{"), &s.Stats.Setup)
	return add(b, "}}")
}

func appendSetup(b []byte, s *broker.Setup) []byte {
	b = number(b, "count", setups(s))
	b = seconds(b, "sum_seconds", s.Sum)
	b = seconds(b, "p50_seconds", quantile(s, 50))
	b = seconds(b, "p95_seconds", quantile(s, 95))
	b = seconds(b, "p99_seconds", quantile(s, 99))
	b = open(b, "buckets", "[")
	for i, n := range s.Buckets {
		b = add(element(b), "{")
		if i < len(s.Buckets)-1 {
			b = seconds(b, "up_to_seconds", bound(i))
		} else {
			b = open(b, "up_to_seconds", "null")
		}
		b = add(number(b, "count", n), "}")
	}
	return add(b, "]")
}

// AppendJSONTunnels ends the sections and begins the tunnels.
func AppendJSONTunnels(b []byte) []byte { return open(add(b, "]"), "tunnels", "[") }

// AppendJSONTunnel appends one tunnel, on a line of its own; the first one has no
// comma before it.
func AppendJSONTunnel(b []byte, t *Tunnel, first bool) []byte {
	if !first {
		b = add(b, ",")
	}
	b = add(b, "\n{")
	b = number(b, "id", uint64(t.Tunnel))
	b = number(b, "session", uint64(t.Session))
	b = text(b, "uuid", t.UUID)
	b = key(b, "endpoint")
	if t.Hidden {
		b = add(b, "null")
	} else {
		b = appendAddress(b, t.Peer)
	}
	b = text(b, "interface", t.Interface())
	b = orNull(b, "bridge", t.Master)
	b = orNull(b, "unattached", t.Unattached)
	b = orNull(b, "hook_failed", t.HookFailed)
	b = text(b, "broker", t.Section)
	b = text(b, "state", t.State)
	b = number(b, "mtu", uint64(t.MTU))
	b = seconds(b, "age_seconds", t.age())
	b = seconds(b, "heard_seconds", t.silence())
	b = number(b, "rx_bytes", t.RxBytes)
	b = number(b, "rx_packets", t.RxPackets)
	b = number(b, "tx_bytes", t.TxBytes)
	b = number(b, "tx_packets", t.TxPackets)
	b = number(b, "limit_kbit", uint64(t.Bandwidth))
	b = number(b, "features", uint64(t.Features))
	return add(b, "}")
}

// AppendJSONEnd ends the object.
func AppendJSONEnd(b []byte) []byte { return add(b, "]}\n") }

// element puts a comma before the next element, unless it is the first one. A
// string never ends where this looks: it has a quote there.
func element(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] != '[' && b[n-1] != '{' {
		b = add(b, ",")
	}
	return b
}

//go:noinline
func key(b []byte, name string) []byte { return add(element(b), `"`, name, `":`) }

//go:noinline
func text(b []byte, name, value string) []byte { return appendQuoted(key(b, name), value) }

//go:noinline
func orNull(b []byte, name, value string) []byte {
	if value == "" {
		return add(key(b, name), "null")
	}
	return text(b, name, value)
}

//go:noinline
func number(b []byte, name string, n uint64) []byte { return strconv.AppendUint(key(b, name), n, 10) }

//go:noinline
func open(b []byte, name, bracket string) []byte { return add(key(b, name), bracket) }

//go:noinline
func seconds(b []byte, name string, d time.Duration) []byte { return appendSeconds(key(b, name), d) }

func appendAddress(b []byte, at netip.AddrPort) []byte {
	return add(at.AppendTo(add(b, `"`)), `"`)
}
