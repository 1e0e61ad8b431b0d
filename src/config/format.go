package config

import (
	"strconv"
	"strings"
)

// FormatUCI writes a configuration as a UCI file. Read back it gives the same
// configuration; only the notices, which speak of the file, differ.
func FormatUCI(c *Config) string {
	var w uciWriter
	for i := range c.Brokers {
		w.broker(&c.Brokers[i])
	}
	for i := range c.Bridges {
		w.bridge(&c.Bridges[i])
	}
	for i := range c.Clients {
		k := &c.Clients[i]
		w.section("client", k.Name)
		w.option("uuid", k.UUID)
		w.number("tunnel_id", uint64(k.TunnelID))
		w.number("bandwidth_down", uint64(k.BandwidthDown))
		w.option("bridge", k.Bridge)
	}
	w.section("hooks", "")
	w.option("directory", c.Hooks.Directory)
	w.option("timeout", formatSeconds(c.Hooks.Timeout))
	w.number("parallel", uint64(c.Hooks.Parallel))
	for e, program := range c.Hooks.Program {
		w.option(Event(e).option(), program)
	}
	w.flag("verify_timeout_accept", c.Hooks.VerifyTimeoutAccept)
	if c.Hooks.VerifyCache != verifyCache {
		w.option("verify_cache", formatSeconds(c.Hooks.VerifyCache))
	}
	w.flag("least_privilege", c.Hooks.LeastPrivilege)
	w.section("log", "")
	w.option("verbosity", c.Log.Level.String())
	w.flag("log_ip_addresses", c.Log.Addresses)
	if c.Log.HideUUIDs {
		w.option("log_uuids", "0")
	}
	return w.String()
}

// FormatBridge writes one bridge section as [FormatUCI] does.
func FormatBridge(b *Bridge) string {
	var w uciWriter
	w.bridge(b)
	return w.String()
}

func (w *uciWriter) bridge(b *Bridge) {
	w.section("bridge", b.Name)
	w.number("mtu", uint64(b.MTU))
	w.option("interface", b.Interface)
	w.flag("isolate", b.Isolate)
	w.option("broker", b.Broker)
	w.ports(b.Ports)
	w.made(b)
}

// made writes what the broker does about a bridge of its own.
func (w *uciWriter) made(b *Bridge) {
	w.flag("create", b.Create)
	for _, a := range b.Addresses {
		w.line("list", "address", a.String())
	}
	w.option("table", b.Table)
	if b.Table != "" && b.Priority != priority {
		w.number("priority", uint64(b.Priority))
	}
}

func (w *uciWriter) broker(b *Broker) {
	w.section("broker", b.Name)
	w.option("interface", b.Interface)
	for _, a := range b.Addresses {
		w.line("list", "address", a.String())
	}
	for _, name := range b.Names {
		w.line("list", "address", name)
	}
	w.ports(b.Ports)
	w.number("max_tunnels", uint64(b.MaxTunnels))
	w.number("tunnel_id_base", uint64(b.TunnelIDBase))
	w.option("tunnel_timeout", formatSeconds(b.TunnelTimeout))
	w.number("pmtu", uint64(b.PMTU))
	w.option("connection_rate_limit", formatSeconds(b.RateInterval))
	w.rate("connection_rate_limit_per_ip", b.PerIP)
	w.rate("connection_rate_limit_per_uuid", b.PerUUID)
	if b.UUIDPolicy != UUIDAny {
		w.option("uuid_policy", b.UUIDPolicy.String())
	}
	w.option("allow_list", b.AllowList)
	w.option("deny_list", b.DenyList)
	w.number("bandwidth_down_max", uint64(b.BandwidthDownMax))
	w.number("bandwidth_down_default", uint64(b.BandwidthDownDefault))
	if b.AnswerRate != answerRate {
		w.option("answer_rate_limit", strconv.Itoa(b.AnswerRate))
	}
	if b.Datapath != DatapathAuto {
		w.option("datapath", b.Datapath.String())
	}
}

// uciWriter leaves out what is empty or 0: that is the default of every option
// for which it can be either, connection_rate_limit apart.
type uciWriter struct{ strings.Builder }

func (w *uciWriter) section(typ, name string) {
	if w.Len() > 0 {
		w.WriteByte('\n')
	}
	w.WriteString("config " + typ)
	if name != "" {
		w.WriteString(" " + quoteUCI(name))
	}
	w.WriteByte('\n')
}

func (w *uciWriter) line(kind, name, value string) {
	w.WriteString("\t" + kind + " " + name + " " + quoteUCI(value) + "\n")
}

func (w *uciWriter) option(name, value string) {
	if value != "" {
		w.line("option", name, value)
	}
}

func (w *uciWriter) number(name string, n uint64) {
	if n != 0 {
		w.option(name, strconv.FormatUint(n, 10))
	}
}

func (w *uciWriter) ports(ports []uint16) {
	for _, p := range ports {
		w.line("list", "port", strconv.Itoa(int(p)))
	}
}

func (w *uciWriter) flag(name string, on bool) {
	if on {
		w.option(name, "1")
	}
}

func (w *uciWriter) rate(prefix string, r Rate) {
	if r.Count != 0 {
		w.number(prefix+"_count", uint64(r.Count))
		w.option(prefix+"_time", formatSeconds(r.Time))
	}
}

// quoteUCI quotes as libuci writes: a single quote ends the quotes, stands
// escaped and opens them again.
func quoteUCI(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
