package broker

import (
	"container/heap"
	"time"
)

// deadlines orders the tunnels by when they next need attention.
type deadlines []deadline

// deadline has a copy of the tunnel's due time: to put thousands in order by
// looking into each would be a cache miss a time.
type deadline struct {
	due time.Duration
	*tunnel
}

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].due < d[j].due }
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i, j
}

func (d *deadlines) Push(x any) {
	t := x.(*tunnel)
	t.place = len(*d)
	*d = append(*d, deadline{t.due, t})
}

func (d *deadlines) Pop() any {
	old := *d
	t := old[len(old)-1].tunnel
	old[len(old)-1] = deadline{}
	*d = old[:len(old)-1]
	t.place = -1
	return t
}

// schedule puts t at its place for its due time, or takes it out when it has
// nothing to wait for.
func (d *deadlines) schedule(t *tunnel, waits bool) {
	switch {
	case waits && t.place >= 0:
		(*d)[t.place].due = t.due
		heap.Fix(d, t.place)
	case waits:
		heap.Push(d, t)
	case t.place >= 0:
		heap.Remove(d, t.place)
	}
}
