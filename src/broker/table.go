package broker

import "slices"

const maxID = 65535 // the largest tunnel ID

// table finds tunnels by ID, most of one range. Every datagram of a
// tunnel passes through it: with a map it would cost a third more here.
type table struct {
	base  uint32
	slots []*tunnel // nil: no tunnel of this ID
	apart []*tunnel // those whose IDs are the nodes' own, outside of the range, in order of ID
	count int
	uuids map[string]*tunnel  // the last one added of each UUID
	older map[*tunnel]*tunnel // the one of its UUID before it, if there is one
}

func newTable(base uint32, size int) table {
	return table{base: base, slots: make([]*tunnel, size), uuids: make(map[string]*tunnel), older: make(map[*tunnel]*tunnel)}
}

// get gives nil for an ID without a tunnel.
func (t *table) get(id uint32) *tunnel {
	if i := id - t.base; uint64(i) < uint64(len(t.slots)) {
		return t.slots[i]
	}
	if i := t.apartFrom(id); i < len(t.apart) && t.apart[i].id == id {
		return t.apart[i]
	}
	return nil
}

// apartFrom is the place of the first tunnel outside of the range from an ID on.
func (t *table) apartFrom(id uint32) int {
	low, high := 0, len(t.apart)
	for low < high {
		if middle := (low + high) / 2; t.apart[middle].id < id {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// set puts a tunnel, or nil for none, where its ID is looked for.
func (t *table) set(id uint32, tun *tunnel) {
	if i := id - t.base; uint64(i) < uint64(len(t.slots)) {
		t.slots[i] = tun
		return
	}
	i := t.apartFrom(id)
	rest := t.apart[i:]
	if tun == nil {
		rest = rest[1:]
		t.apart = append(t.apart[:i], rest...)
		return
	}
	t.apart = append(t.apart, nil)
	copy(t.apart[i+1:], rest)
	t.apart[i] = tun
}

// each calls f for the tunnels, in order of ID within the range, and then outside
// of it. f may remove them.
func (t *table) each(f func(*tunnel)) {
	for _, tun := range t.slots {
		if tun != nil {
			f(tun)
		}
	}
	for _, tun := range slices.Clone(t.apart) {
		f(tun)
	}
}

// add takes in a tunnel whose ID is not taken.
func (t *table) add(tun *tunnel) {
	t.set(tun.id, tun)
	t.count++
	if last := t.uuids[tun.uuid]; last != nil {
		t.older[tun] = last
	}
	t.uuids[tun.uuid] = tun
}

// resize makes room for IDs of a range of another size. Tunnels above a smaller
// one stay until they end.
func (t *table) resize(size int) {
	for i := len(t.slots); i > size; i-- {
		if t.slots[i-1] != nil {
			size = i
			break
		}
	}
	slots := make([]*tunnel, size)
	copy(slots, t.slots)
	t.slots = slots
	apart := t.apart
	t.apart = nil
	for _, tun := range apart { // the range may have come to them
		t.set(tun.id, tun)
	}
}

// remove takes out a tunnel that is there.
func (t *table) remove(tun *tunnel) {
	t.set(tun.id, nil)
	t.count--
	next, at := t.older[tun], t.uuids[tun.uuid]
	delete(t.older, tun)
	if at == tun {
		if next == nil {
			delete(t.uuids, tun.uuid)
		} else {
			t.uuids[tun.uuid] = next
		}
		return
	}
	for t.older[at] != tun {
		at = t.older[at]
	}
	if next == nil {
		delete(t.older, at)
	} else {
		t.older[at] = next
	}
}
