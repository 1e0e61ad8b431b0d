package broker

import (
	"slices"
	"time"
)

// idPool hands out the tunnel IDs of a range. The one that has been free for
// the longest goes first, so that the kernel, which removes tunnels in its own
// time, is done with it.
type idPool struct {
	base  uint32
	free  []uint32 // a ring as long as the range
	first int
	count int
	aside []asideID // in order of time
}

type asideID struct {
	id    uint32
	until time.Duration
}

func newIDPool(base uint32, size int) idPool {
	p := idPool{base: base, free: make([]uint32, size), count: size}
	for i := range p.free {
		p.free[i] = base + uint32(i)
	}
	return p
}

// take gives a free ID; false when there is none. Those that are taken by
// something else, if that can be told, keep their place in the ring's end.
func (p *idPool) take(now time.Duration, taken func(uint32) bool) (uint32, bool) {
	for len(p.aside) > 0 && p.aside[0].until <= now {
		p.give(p.aside[0].id)
		p.aside = p.aside[1:]
	}
	for range p.count {
		id := p.free[p.first]
		p.first = (p.first + 1) % len(p.free)
		p.count--
		if taken == nil || !taken(id) {
			return id, true
		}
		p.give(id)
	}
	return 0, false
}

// claim takes one ID out, if it is free and nothing else has it.
func (p *idPool) claim(id uint32, taken func(uint32) bool) bool {
	if taken != nil && taken(id) {
		return false
	}
	for i := range p.count {
		if p.free[(p.first+i)%len(p.free)] != id {
			continue
		}
		for ; i > 0; i-- { // those before it keep their order
			p.free[(p.first+i)%len(p.free)] = p.free[(p.first+i-1)%len(p.free)]
		}
		p.first = (p.first + 1) % len(p.free)
		p.count--
		return true
	}
	return false
}

// give takes an ID back. One that the range has lost meanwhile is forgotten.
func (p *idPool) give(id uint32) {
	if id-p.base < uint32(len(p.free)) {
		p.free[(p.first+p.count)%len(p.free)] = id
		p.count++
	}
}

// resize gives the range another length. used tells which IDs have a tunnel;
// they come by give, and those set aside in their time.
func (p *idPool) resize(size int, used func(uint32) bool) {
	old := *p
	*p = idPool{base: old.base, free: make([]uint32, size), aside: old.aside}
	for i := range old.count {
		p.give(old.free[(old.first+i)%len(old.free)])
	}
	for id := p.base + uint32(len(old.free)); id < p.base+uint32(size); id++ {
		if !used(id) && !slices.ContainsFunc(p.aside, func(a asideID) bool { return a.id == id }) {
			p.give(id)
		}
	}
}

// setAside keeps an ID that the kernel still has out of use for a while.
func (p *idPool) setAside(id uint32, now time.Duration) {
	p.aside = append(p.aside, asideID{id, now + asideTime})
}
