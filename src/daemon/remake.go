package daemon

import "tunneldigger/src/survive"

// remake makes the tunnels again that went with a process which ended without a
// word: as they were, so that their clients notice nothing but a gap. Those that do
// not fit are said and thrown away; their clients are strangers from now on.
func (d *Daemon) remake(left []survive.Left) {
	if len(left) == 0 {
		return
	}
	lost := make(map[uint32]survive.Loss, len(left)) // by ID
	for i := range left {
		lost[left[i].ID] = survive.LostSection
		if left[i].Record == nil {
			lost[left[i].ID] = survive.LostDamaged
		}
	}
	alive, count := d.store.Alive(), 0
	for _, s := range d.sections {
		var records [][]byte
		why := survive.LostMisfit
		if d.now-alive >= s.Config.TunnelTimeout {
			why = survive.LostOld
		}
		for i := range left {
			if l := &left[i]; l.Record != nil && l.Section == s.Config.Name {
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
	for id := range lost {
		d.store.Drop(id)
	}
	d.journal.MadeAgain(count, lost)
	d.store.Tick(d.now, d.lookStored) // hooks have heard of their end from now on
	d.createAll()
}
