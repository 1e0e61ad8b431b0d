package broker

import "container/heap"

// deadlines orders the tunnels by when they next need attention.
type deadlines []*tunnel

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].due < d[j].due }
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i, j
}

func (d *deadlines) Push(x any) {
	t := x.(*tunnel)
	t.place = len(*d)
	*d = append(*d, t)
}

func (d *deadlines) Pop() any {
	old := *d
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	t.place = -1
	return t
}

// schedule puts t at its place for its due time, or takes it out when it has
// nothing to wait for.
func (d *deadlines) schedule(t *tunnel, waits bool) {
	switch {
	case waits && t.place >= 0:
		heap.Fix(d, t.place)
	case waits:
		heap.Push(d, t)
	case t.place >= 0:
		heap.Remove(d, t.place)
	}
}
