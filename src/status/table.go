package status

import (
	"strconv"
	"time"
	"unicode/utf8"

	"tunneldigger/src/broker"
)

// Table writes tunnels for people. Its columns are as wide as what it has been
// shown with Measure needs.
type Table struct{ uuid, endpoint, master, section int }

// The columns; those with width 0 are as wide as they have to be.
var columns = [...]struct {
	name  string
	width int
	right bool
}{
	{"TUNNEL", 6, true}, {"UUID", 0, false}, {"ENDPOINT", 0, false}, {"INTERFACE", 15, false}, {"BRIDGE", 0, false}, {"MTU", 4, true},
	{"AGE", 10, true}, {"HEARD", 5, true}, {"RX", 6, true}, {"PACKETS", 7, true}, {"TX", 6, true}, {"PACKETS", 7, true},
	{"KBIT/S", 6, true}, {"BROKER", 0, false},
}

// Measure makes the columns wide enough for a tunnel.
func (t *Table) Measure(tun *Tunnel) {
	width := func(column *int, text []byte) { *column = max(*column, utf8.RuneCount(text)) }
	var room [192]byte
	width(&t.uuid, appendPlain(room[:0], tun.UUID))
	width(&t.endpoint, endpoint(room[:0], tun))
	width(&t.master, appendPlain(room[:0], tun.Master))
	width(&t.section, appendPlain(room[:0], tun.Section))
}

// AppendHead appends the line with the columns' names.
func (t *Table) AppendHead(b []byte) []byte {
	for i := range columns {
		b = t.cell(b, i, []byte(columns[i].name))
	}
	return b
}

// AppendTunnel appends a tunnel's line.
func (t *Table) AppendTunnel(b []byte, tun *Tunnel) []byte {
	var room [192]byte
	cell := func(i int, text []byte) { b = t.cell(b, i, text) }
	cell(0, count(room[:0], "", uint64(tun.Tunnel), ""))
	cell(1, appendPlain(room[:0], tun.UUID))
	cell(2, endpoint(room[:0], tun))
	cell(3, add(room[:0], tun.Interface()))
	cell(4, orDash(room[:0], tun.Master))
	cell(5, count(room[:0], "", uint64(tun.MTU), ""))
	if tun.State == "up" {
		cell(6, appendSpan(room[:0], tun.age()))
	} else {
		cell(6, add(room[:0], tun.State))
	}
	cell(7, appendSpan(room[:0], tun.silence()))
	cell(8, appendCount(room[:0], tun.RxBytes))
	cell(9, appendCount(room[:0], tun.RxPackets))
	cell(10, appendCount(room[:0], tun.TxBytes))
	cell(11, appendCount(room[:0], tun.TxPackets))
	if tun.Bandwidth == 0 {
		cell(12, add(room[:0], "-"))
	} else {
		cell(12, count(room[:0], "", uint64(tun.Bandwidth), ""))
	}
	b = appendPlain(b, tun.Section)
	for _, what := range []string{tun.Unattached, tun.HookFailed} {
		if what != "" {
			b = appendText(add(b, "  ! "), what)
		}
	}
	return add(b, "\n")
}

// cell appends one column's text, and the end of the line after the last.
func (t *Table) cell(b []byte, i int, text []byte) []byte {
	width := columns[i].width
	switch columns[i].name {
	case "UUID":
		width = t.uuid
	case "ENDPOINT":
		width = t.endpoint
	case "BRIDGE":
		width = t.master
	case "BROKER":
		return add(b, string(text), "\n")
	}
	space := max(width, len(columns[i].name)) - utf8.RuneCount(text)
	pad := func() {
		for ; space > 0; space-- {
			b = add(b, " ")
		}
	}
	if columns[i].right {
		pad()
	}
	b = append(b, text...)
	pad()
	return add(b, "  ")
}

func endpoint(b []byte, t *Tunnel) []byte {
	if t.Hidden {
		return add(b, "-")
	}
	return t.Peer.AppendTo(b)
}

func orDash(b []byte, s string) []byte {
	if s == "" {
		return add(b, "-")
	}
	return appendPlain(b, s)
}

// appendCount appends a number in at most four digits: 999, 1.2k, 45M.
func appendCount(b []byte, n uint64) []byte {
	if n < 1000 {
		return count(b, "", n, "")
	}
	units := "kMGTPE"
	for ; n >= 1_000_000; n /= 1000 {
		units = units[1:]
	}
	if b = count(b, "", n/1000, ""); n < 10_000 {
		b = count(b, ".", n/100%10, "")
	}
	return add(b, units[:1])
}

// appendSpan appends a time in its two largest units: 5s, 3m05s, 2h10m, 4d07h.
func appendSpan(b []byte, d time.Duration) []byte {
	s := uint64(max(0, d) / time.Second)
	high, low, units := s/86400, s/3600%24, "dh"
	switch {
	case s < 60:
		return count(b, "", s, "s")
	case s < 3600:
		high, low, units = s/60, s%60, "ms"
	case s < 86400:
		high, low, units = s/3600, s/60%60, "hm"
	}
	if b = count(b, "", high, units[:1]); low < 10 {
		b = add(b, "0")
	}
	return count(b, "", low, units[1:])
}

// AppendSummary appends the lines about the process.
func AppendSummary(b []byte, r *Report) []byte {
	b = add(b, "tunneldigger-broker ", r.Version, ", up for ")
	b = appendSpan(b, r.Uptime)
	b = appendDate(add(b, " since "), r.Started)
	b = count(b, ", process ", uint64(r.PID), ", ")
	b = add(appendCount(b, r.Memory), "B resident\n")
	b = count(b, "hooks: ", uint64(r.Hooks.Running), " running, ")
	b = count(b, "", uint64(r.Hooks.Waiting), " waiting, ")
	b = count(b, "", r.Hooks.Ended, " ended, ")
	b = count(b, "", r.Hooks.Failed, " of them failed\n")
	if r.SendFailures > 0 {
		b = count(b, "datagrams that could not be sent: ", r.SendFailures, "\n")
	}
	for i := range r.Frames {
		b = total(b, "frames dropped: ", r.Frames[i].N, r.Frames[i].Reason)
	}
	return b
}

// AppendSection appends the lines about a broker section.
func AppendSection(b []byte, s *Section) []byte {
	b = add(appendPlain(add(b, "broker "), s.Name), ": ")
	listens := false
	for i := range s.Listeners {
		if l := &s.Listeners[i]; l.Why == "" {
			if !listens {
				b = add(b, "listening on")
			}
			b, listens = l.At.AppendTo(add(b, " ")), true
		}
	}
	if listens {
		if s.Interface != "" {
			b = appendPlain(add(b, " of "), s.Interface)
		}
	} else {
		b = add(b, "not listening")
	}
	if s.WaitsFor != "" {
		b = add(b, ", waits: ", strconv.Quote(s.WaitsFor))
	}
	if s.Draining {
		b = add(b, ", draining")
	}
	if s.CloseRate > 0 {
		b = count(b, ", closes ", uint64(s.CloseRate), " tunnels a minute")
	}
	for i := range s.Listeners {
		if l := &s.Listeners[i]; l.Why != "" && l.Why != s.WaitsFor {
			b = l.At.AppendTo(add(b, "\n  not listening on "))
			b = appendText(add(b, ": "), l.Why)
		}
	}
	b = add(b, "\n  datapath: ", s.Datapath)
	b = count(b, "\n  tunnels: ", uint64(s.Tunnels), "")
	b = count(b, " of ", uint64(s.Limit), ", ")
	b = count(b, "", uint64(s.Queued), " clients wait, ")
	b = count(b, "", s.Stats.Opened, " came up so far\n")
	b = total(b, "  not attached: ", uint64(s.Unattached), "tunnels that no bridge section fits")
	b = total(b, "  hooks failed: ", uint64(s.HookFailed), "tunnels")
	b = count(b, "  requests: ", s.Stats.Cookies, " for cookies, ")
	b = count(b, "", s.Stats.Usages, " for usage, ")
	b = count(b, "", s.Stats.Prepares, " for tunnels, ")
	b = count(b, "", s.Stats.Repeats, " of these for one that stood already\n")
	if setup := &s.Stats.Setup; setups(setup) > 0 {
		for i, percent := range []uint64{50, 95, 99} {
			b = count(b, []string{"  set-up time: ", ", ", ", "}[i], percent, " % within ")
			b = add(appendSeconds(b, quantile(setup, percent)), " s")
		}
		b = add(b, "\n")
	}
	b = total(b, "  held off: ", uint64(s.Limits.HeldAddresses), "addresses that came too often")
	b = total(b, "  held off: ", uint64(s.Limits.HeldUUIDs), "UUIDs that came too often")
	b = total(b, "  told: ", s.Stats.Told, "clients that their tunnel is gone")
	b = total(b, "  seen: ", s.Stats.Twins, "UUIDs that two nodes have")
	for r, n := range s.Stats.Reasons {
		what := "  closed: "
		if broker.Reason(r).Refusal() {
			what = "  refused: "
		}
		b = total(b, what, n, broker.Reason(r).String())
	}
	for i := range s.Refusals {
		r := &s.Refusals[i]
		b = appendPlain(add(b, "  refused lately: "), r.UUID)
		if r.Peer.IsValid() {
			b = r.Peer.AppendTo(add(b, " at "))
		}
		b = add(b, ": ", r.Reason.String())
		if r.Detail != "" {
			b = add(b, ", ", r.Detail)
		}
		if r.Count > 1 {
			b = count(b, ", ", r.Count, " times")
		}
		b = add(appendSpan(add(b, ", "), r.Ago), " ago\n")
	}
	for kind, n := range s.Stats.Drops {
		b = total(b, "  dropped datagrams: ", n, broker.Drop(kind).String())
	}
	return b
}

// total appends a line about what has happened, if it has.
func total(b []byte, what string, n uint64, why string) []byte {
	if n == 0 {
		return b
	}
	return add(count(b, what, n, ": "), why, "\n")
}
