package simulate

import "time"

// agenda is what is going to happen, by time and then in the order in which it
// was planned.
type agenda struct {
	entries []entry
	planned uint64
}

type entry struct {
	at    time.Duration
	order uint64
	do    func()
}

func (e *entry) before(o *entry) bool {
	return e.at < o.at || e.at == o.at && e.order < o.order
}

func (a *agenda) plan(at time.Duration, do func()) {
	a.planned++
	a.entries = append(a.entries, entry{at, a.planned, do})
	for i := len(a.entries) - 1; i > 0; {
		parent := (i - 1) / 2
		if !a.entries[i].before(&a.entries[parent]) {
			break
		}
		a.entries[i], a.entries[parent] = a.entries[parent], a.entries[i]
		i = parent
	}
}

// next takes out the first entry that is not after end.
func (a *agenda) next(end time.Duration) (entry, bool) {
	if len(a.entries) == 0 || a.entries[0].at > end {
		return entry{}, false
	}
	first, last := a.entries[0], len(a.entries)-1
	a.entries[0], a.entries[last] = a.entries[last], entry{}
	a.entries = a.entries[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && a.entries[child+1].before(&a.entries[child]) {
			child++
		}
		if !a.entries[child].before(&a.entries[i]) {
			break
		}
		a.entries[i], a.entries[child] = a.entries[child], a.entries[i]
		i = child
	}
	return first, true
}
