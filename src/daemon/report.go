package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/config"
	"tunneldigger/src/control"
	"tunneldigger/src/forward"
	"tunneldigger/src/hook"
	"tunneldigger/src/status"
)

const (
	sliceTunnels = 64       // that a turn of the loop writes about
	sliceBytes   = 12 << 10 // after which it stops before that
	devicePage   = 4 << 10  // that is read of deviceFile at once; the kernel gives no more
)

var deviceFile = "/proc/net/dev" // another one in tests

// hookCounts count the runs of hooks.
type hookCounts struct{ ended, failed uint64 }

func (d *Daemon) countHook(r *hook.Result) {
	if r.Err == nil && r.Duration == 0 { // there was nothing to run
		return
	}
	d.hooksRun.ended++
	if r.Status < 0 || r.Status > 0 && r.Event != config.EventVerify.String() { // that of session.verify is its answer
		d.hooksRun.failed++
	}
}

// reporter writes one status, in stages, each of which is gone through in as
// many turns of the loop as it needs. Between two of them tunnels come and go.
type reporter struct {
	d        *Daemon
	report   status.Report
	stages   []stage
	section  int // where the stage that goes through the tunnels is
	next     uint32
	first    bool // no tunnel has been written yet
	table    status.Table
	counters int // descriptor of /proc/net/dev, -1: none
	rest     []byte
}

// stage appends its next piece and tells whether there is more to come.
type stage func(b []byte) ([]byte, bool)

// commandStatus is status, status json, or status prometheus [tunnels].
func (d *Daemon) commandStatus(c *control.Conn, args []string) {
	r := &reporter{d: d, report: d.report(), counters: -1, first: true}
	switch what := fmt.Sprint(args); what {
	case "[]":
		r.stages = r.forPeople()
	case "[json]":
		r.stages = r.asJSON()
	case "[prometheus]", "[prometheus tunnels]":
		r.stages = r.asMetrics(len(args) == 2)
	default:
		c.Finish("", errors.New("want status, status json, status prometheus, or status prometheus tunnels"))
		return
	}
	c.Stream(r.write, r.close)
}

// write is what the caller's connection asks for piece by piece.
func (r *reporter) write(b []byte) ([]byte, bool) {
	b, more := r.stages[0](b)
	if !more {
		r.stages = r.stages[1:]
		r.section, r.next = 0, 0
	}
	return b, len(r.stages) > 0
}

func (r *reporter) close() {
	if r.counters >= 0 {
		_ = unix.Close(r.counters)
	}
}

// once is a stage of one piece.
func once(f func(b []byte) []byte) stage {
	return func(b []byte) ([]byte, bool) { return f(b), false }
}

// sections is a stage that goes through the sections.
func (r *reporter) sections(f func(b []byte, s *status.Section) []byte) stage {
	return func(b []byte) ([]byte, bool) {
		for r.section < len(r.report.Sections) && len(b) < sliceBytes {
			b = f(b, &r.report.Sections[r.section])
			r.section++
		}
		return b, r.section < len(r.report.Sections)
	}
}

// tunnels is a stage that goes through the tunnels as they are now.
func (r *reporter) tunnels(f func(b []byte, t *status.Tunnel) []byte) stage {
	return func(b []byte) ([]byte, bool) {
		var t status.Tunnel
		for n := 0; n < sliceTunnels && len(b) < sliceBytes; n++ {
			if !r.tunnel(&t) {
				return b, false
			}
			b = f(b, &t)
		}
		return b, true
	}
}

// tunnel gives the next tunnel; false: there is none.
func (r *reporter) tunnel(t *status.Tunnel) bool {
	d := r.d
	for ; r.section < len(d.sections); r.section, r.next = r.section+1, 0 {
		s := d.sections[r.section]
		if s == nil {
			continue
		}
		info, ok := s.core.Next(r.next)
		if !ok {
			continue
		}
		r.next = info.Tunnel + 1
		*t = status.Tunnel{TunnelInfo: info, Now: d.now, Section: s.config.Name, Hidden: !d.config.Log.Addresses}
		t.UUID = d.uuid(t.UUID)
		if p := d.ports.get(info.Tunnel); p != nil && p.section == s {
			st := d.links.State(p.id)
			t.Master, t.Traffic = st.Attached, p.traffic
			if st.Waits != "" && info.State == "up" {
				t.Unattached = strings.TrimSuffix("waits for "+st.Waits+": "+st.Failed, ": ")
			}
		}
		m := d.marks.get(&info.Facts)
		if m.loose {
			t.Unattached = m.unattached(&info.Facts)
		}
		t.HookFailed = m.hook
		return true
	}
	return false
}

func (r *reporter) forPeople() []stage {
	return []stage{
		r.count,
		r.tunnels(func(b []byte, t *status.Tunnel) []byte { r.table.Measure(t); return b }),
		once(r.table.AppendHead),
		r.tunnels(r.table.AppendTunnel),
		once(func(b []byte) []byte { return status.AppendSummary(append(b, '\n'), &r.report) }),
		r.sections(status.AppendSection),
	}
}

func (r *reporter) asJSON() []stage {
	return []stage{
		r.count,
		once(func(b []byte) []byte { return status.AppendJSON(b, &r.report) }),
		r.sections(func(b []byte, s *status.Section) []byte { return status.AppendJSONSection(b, s, r.section == 0) }),
		once(status.AppendJSONTunnels),
		r.tunnels(func(b []byte, t *status.Tunnel) []byte {
			b = status.AppendJSONTunnel(b, t, r.first)
			r.first = false
			return b
		}),
		once(status.AppendJSONEnd),
	}
}

func (r *reporter) asMetrics(tunnels bool) []stage {
	var all []stage
	for i := range status.Families {
		all = append(all, once(func(b []byte) []byte { return status.AppendFamily(b, i, &r.report) }))
	}
	if !tunnels {
		return all
	}
	all = append(all, r.count)
	for i := range status.TunnelFamilies {
		all = append(all, once(func(b []byte) []byte { return status.AppendTunnelFamily(b, i) }),
			r.tunnels(func(b []byte, t *status.Tunnel) []byte { return status.AppendTunnelSample(b, i, t) }))
	}
	return all
}

// count is a stage that reads what passed the tunnels' interfaces, from
// /proc/net/dev: it takes no lock that a set-up waits for, and can be read in
// pieces.
func (r *reporter) count(b []byte) ([]byte, bool) {
	d := r.d
	if r.counters < 0 {
		if d.links.Count() == 0 {
			return b, false
		}
		fd, err := unix.Open(deviceFile, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return b, false
		}
		r.counters = fd
	}
	for range 4 { // about 130 interfaces
		kept := copy(d.buffer[:], r.rest)
		n, err := unix.Read(r.counters, d.buffer[kept:kept+devicePage])
		if err != nil || n <= 0 {
			return b, false
		}
		text := d.buffer[:kept+n]
		for {
			line, rest, whole := bytes.Cut(text, []byte{'\n'})
			if !whole {
				break
			}
			d.counted(line)
			text = rest
		}
		r.rest = append(r.rest[:0], text[:min(len(text), devicePage)]...)
	}
	return b, true
}

// counted takes in a line of /proc/net/dev.
func (d *Daemon) counted(line []byte) {
	name, traffic, ok := status.ParseDevice(line)
	rest, ours := bytes.CutPrefix(name, []byte("l2tp"))
	if !ok || !ours {
		return
	}
	id := 0
	for _, c := range rest {
		if c < '0' || c > '9' || id > 1<<20 {
			break
		}
		id = id*10 + int(c-'0')
	}
	if p := d.ports.get(uint32(id)); p != nil && p.name == string(name) {
		p.traffic = traffic
	}
}

// report is what is known without going through the tunnels.
func (d *Daemon) report() status.Report {
	uptime := d.now - d.started
	r := status.Report{
		Version: d.version, PID: os.Getpid(), Started: time.Now().Add(-uptime), Uptime: uptime, Memory: resident(),
		Hooks:        status.Hooks{Running: d.hooks.Running(), Waiting: d.hooks.Waiting(), Ended: d.hooksRun.ended, Failed: d.hooksRun.failed},
		SendFailures: d.failures.count,
	}
	for _, s := range d.sections {
		if s != nil && s.user() && r.Frames == nil {
			for i := range forward.Drop(forward.Drops) {
				r.Frames = append(r.Frames, status.Count{Reason: i.String(), N: d.user.Dropped(i)})
			}
		}
	}
	for _, s := range d.sections {
		if s == nil {
			continue
		}
		on, rate := s.core.Draining()
		section := status.Section{
			Name: s.config.Name, Interface: strings.TrimPrefix(s.config.Interface, config.NoDevice), Datapath: s.datapath(), WaitsFor: s.waitsFor,
			Tunnels: s.core.Tunnels(), Limit: s.core.Limit(), Queued: s.core.Waiting(), Draining: on, CloseRate: rate, Stats: s.core.Stats(),
			Limits: s.core.Limits(d.now),
		}
		section.Listeners = s.report()
		section.Unattached, section.HookFailed = d.counts(s)
		section.UnattachedTotal = s.loosened
		section.Refusals = d.lastRefusals(s)
		r.Sections = append(r.Sections, section)
	}
	return r
}

// resident is how much of the process is in memory, in bytes; 0: unknown.
func resident() uint64 {
	text, err := os.ReadFile("/proc/self/statm") // proc(5): size and resident, in pages
	_, text, _ = bytes.Cut(text, []byte{' '})
	text, _, found := bytes.Cut(text, []byte{' '})
	pages, fault := strconv.ParseUint(string(text), 10, 64)
	if err != nil || fault != nil || !found {
		return 0
	}
	return pages * uint64(unix.Getpagesize())
}
