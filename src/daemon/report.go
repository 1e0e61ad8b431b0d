package daemon

import (
	"os"
	"strings"
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/control"
	"tunneldigger/src/datapath/carriers"
	"tunneldigger/src/forward"
	"tunneldigger/src/link"
	"tunneldigger/src/resources"
	"tunneldigger/src/status"
)

var deviceFile = link.DeviceFile // another one in tests

// commandStatus is status, status json, or status prometheus [tunnels].
func (d *Daemon) commandStatus(c *control.Conn, args []string) {
	var counters *link.Counters // nil: not begun
	w, err := status.NewWriter(args, d.report(), status.Source{
		Tunnel: d.shown,
		Count: func() bool {
			if counters == nil && d.links.Count() > 0 {
				counters, _ = link.OpenCounters(deviceFile)
			}
			return counters != nil && counters.Next(d.tunnels.Count)
		},
	})
	if err != nil {
		c.Finish("", err)
		return
	}
	c.Stream(w.Write, func() {
		if counters != nil {
			counters.Close()
		}
	})
}

// shown gives the next tunnel as status shows it; false: there is none.
func (d *Daemon) shown(t *status.Tunnel, at status.Place) (next status.Place, ok bool) {
	for _, s := range d.sections {
		if s.Number > at.Section {
			at = status.Place{Section: s.Number}
		}
		info, ok := s.core.Next(at.ID)
		if !ok || s.Number < at.Section {
			continue
		}
		*t = status.Tunnel{TunnelInfo: info, Now: d.now, Section: s.Config.Name, Hidden: !d.config.Log.Addresses}
		t.UUID = d.journal.UUID(t.UUID)
		if p := d.tunnels.Get(info.Tunnel); p != nil && p.Section == &s.Section {
			st := d.links.State(p.ID)
			t.Master, t.Traffic = st.Attached, status.Traffic(p.Traffic)
			if st.Waits != "" && info.State == "up" {
				t.Unattached = strings.TrimSuffix("waits for "+st.Waits+": "+st.Failed, ": ")
			}
		}
		d.marks.Show(s.Number, t)
		at.ID = info.Tunnel + 1
		return at, true
	}
	return at, false
}

// report is what is known without going through the tunnels.
func (d *Daemon) report() status.Report {
	uptime := d.now - d.started
	r := status.Report{
		Version: d.version, PID: os.Getpid(), Started: time.Now().Add(-uptime), Uptime: uptime, Memory: resources.Resident(),
		Hooks:        status.Hooks{Running: d.hooks.Running(), Waiting: d.hooks.Waiting(), Ended: d.hooks.Counts.Ended, Failed: d.hooks.Counts.Failed},
		SendFailures: d.unsent,
	}
	for _, s := range d.sections {
		if s.user() && r.Frames == nil {
			for i := range forward.Drop(forward.Drops) {
				r.Frames = append(r.Frames, status.Count{Reason: i.String(), N: d.carriers.User.Dropped(i)})
			}
		}
	}
	for _, s := range d.sections {
		on, rate := s.core.Draining()
		section := status.Section{
			Name: s.Config.Name, Interface: strings.TrimPrefix(s.Config.Interface, config.NoDevice), Datapath: carriers.Word(s.Path), WaitsFor: s.listen.Missing(),
			Tunnels: s.core.Tunnels(), Limit: s.core.Limit(), Queued: s.core.Waiting(), Draining: on, CloseRate: rate, Stats: s.core.Stats(),
			Limits: s.core.Limits(d.now),
		}
		if !s.leaving {
			section.Listeners = s.listen.Report()
		}
		section.Unattached, section.HookFailed = d.marks.Count(s.Number)
		section.UnattachedTotal = s.loosened
		section.Refusals = s.refusals.Shown(d.now, d.journal.UUID, d.config.Log.Addresses)
		r.Sections = append(r.Sections, section)
	}
	return r
}
