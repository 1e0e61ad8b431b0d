// Package survey fills in what a status says of a broker, from what its parts say of
// themselves. It changes nothing.
package survey

import (
	"os"
	"strings"
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/datapath"
	"tunneldigger/src/datapath/carriers"
	"tunneldigger/src/forward"
	"tunneldigger/src/hook/events"
	"tunneldigger/src/journal"
	"tunneldigger/src/link"
	"tunneldigger/src/listen"
	"tunneldigger/src/resources"
	"tunneldigger/src/status"
	"tunneldigger/src/tunnels"
)

// DeviceFile is where interfaces' counters are; another one in tests.
var DeviceFile = link.DeviceFile

// Broker is what a status is about. Its parts belong to the caller, who may go on with them
// between two pieces of a status.
type Broker struct {
	Version  string
	Started  time.Duration
	Unsent   uint64               // datagrams
	Now      func() time.Duration // of the turn
	Sections []Section
	Marks    *status.Marks
	Journal  *journal.Journal
	Hooks    *events.Hooks
	Tunnels  *tunnels.Table
	Links    *datapath.Interfaces
	Carriers *carriers.Carriers
}

// Section is one broker section, in the order of numbers.
type Section struct {
	_ [0]func() // not to be compared: that would be code for nothing
	*tunnels.Section
	Core     *broker.Broker
	Listen   *listen.Set
	Refusals *status.Refusals
	Leaving  bool   // it was taken out of the configuration
	Loosened uint64 // tunnels that no bridge section fitted, so far
}

// Writer writes a status in the form that words ask for. close is to be called once it has ended. The
// error says what is understood.
func (b *Broker) Writer(words []string) (w *status.Writer, close func(), err error) {
	var counters *link.Counters // nil: not begun
	w, err = status.NewWriter(words, b.report(), status.Source{
		Tunnel: b.Tunnel,
		Count: func() bool {
			if counters == nil && b.Links.Count() > 0 {
				counters, _ = link.OpenCounters(DeviceFile)
			}
			return counters != nil && counters.Next(b.Tunnels.Count)
		},
	})
	return w, func() {
		if counters != nil {
			counters.Close()
		}
	}, err
}

// Tunnel gives the next tunnel from a place on, as status shows it; false: there is none.
func (b *Broker) Tunnel(t *status.Tunnel, at status.Place) (next status.Place, ok bool) {
	for i := range b.Sections {
		s := &b.Sections[i]
		if s.Number > at.Section {
			at = status.Place{Section: s.Number}
		}
		info, ok := s.Core.Next(at.ID)
		if !ok || s.Number < at.Section {
			continue
		}
		*t = status.Tunnel{TunnelInfo: info, Now: b.Now(), Section: s.Config.Name, Hidden: !b.Journal.Addresses()}
		t.UUID = b.Journal.UUID(t.UUID)
		if end := b.Tunnels.Get(info.Tunnel); end != nil && end.Section == s.Section {
			st := b.Links.State(end.ID)
			t.Master, t.Traffic = st.Attached, status.Traffic(end.Traffic)
			if st.Waits != "" && info.State == "up" {
				t.Unattached = strings.TrimSuffix("waits for "+st.Waits+": "+st.Failed, ": ")
			}
		}
		b.Marks.Show(s.Number, t)
		at.ID = info.Tunnel + 1
		return at, true
	}
	return at, false
}

// report is what is known without going through the tunnels.
func (b *Broker) report() status.Report {
	now := b.Now()
	uptime, h := now-b.Started, b.Hooks
	r := status.Report{
		Version: b.Version, PID: os.Getpid(), Started: uint64(max(0, time.Now().Add(-uptime).Unix())), Uptime: uptime, Memory: resources.Resident(),
		Hooks:        status.Hooks{Running: h.Running(), Waiting: h.Waiting(), Ended: h.Counts.Ended, Failed: h.Counts.Failed},
		SendFailures: b.Unsent,
	}
	for i := range b.Sections {
		s := &b.Sections[i]
		if carriers.IsUser(s.Path) && r.Frames == nil {
			for i := range forward.Drop(forward.Drops) {
				r.Frames = append(r.Frames, status.Count{Reason: i.String(), N: b.Carriers.User.Dropped(i)})
			}
		}
		on, rate := s.Core.Draining()
		section := status.Section{
			Name: s.Config.Name, Interface: strings.TrimPrefix(s.Config.Interface, config.NoDevice), Datapath: carriers.Word(s.Path), WaitsFor: s.Listen.Missing(),
			Tunnels: s.Core.Tunnels(), Limit: s.Core.Limit(), Queued: s.Core.Waiting(), Draining: on, CloseRate: rate, Stats: s.Core.Stats(),
			Limits: s.Core.Limits(now), UnattachedTotal: s.Loosened,
		}
		if !s.Leaving {
			section.Listeners = s.Listen.Report()
		}
		section.Unattached, section.HookFailed = b.Marks.Count(s.Number)
		section.Refusals = s.Refusals.Shown(now, b.Journal.UUID, b.Journal.Addresses())
		r.Sections = append(r.Sections, section)
	}
	return r
}
