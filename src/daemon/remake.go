package daemon

import (
	"fmt"
	"strings"

	"tunneldigger/src/survive"
)

// remake makes the tunnels again that went with a process which ended without a
// word: as they were, so that their clients notice nothing but a gap. Those that do
// not fit are said and thrown away; their clients are strangers from now on.
func (d *Daemon) remake(left []survive.Left) {
	if len(left) == 0 {
		return
	}
	lost := make(map[uint32]string, len(left)) // why, by ID
	for i := range left {
		lost[left[i].ID] = "of a section that is gone"
		if left[i].Record == nil {
			lost[left[i].ID] = "damaged"
		}
	}
	alive, count := d.store.Alive(), 0
	for _, s := range d.sections {
		var records [][]byte
		why := "not as the section is configured now"
		if d.now-alive >= s.config.TunnelTimeout {
			why = "older than tunnel_timeout"
		}
		for i := range left {
			if l := &left[i]; l.Record != nil && l.Section == s.config.Name {
				records = append(records, l.Record)
				delete(lost, l.ID)
			}
		}
		var ids, unfit []uint32
		ids, unfit, d.effects = s.core.Remake(d.now, alive, records, d.effects[:0])
		count += len(ids)
		for _, id := range unfit {
			lost[id] = why
		}
		d.carryOut(s)
	}
	reasons := make(map[string]int)
	for id, why := range lost {
		d.store.Drop(id)
		reasons[why]++
	}
	args := []any{"tunnels_made_again", count, "tunnels_lost", len(lost)}
	var because []string
	for why, n := range reasons {
		because = append(because, fmt.Sprint(n, " ", why))
	}
	if len(because) > 0 {
		args = append(args, "because", strings.Join(because, ", "))
	}
	d.log.Warn("the broker before this one ended without a word", args...)
	d.store.Tick(d.now, d.lookStored) // hooks have heard of their end from now on
	d.createAll()
}
