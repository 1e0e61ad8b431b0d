package broker

import "time"

// idPool hands out the tunnel IDs of a range. The one that has been free for
// the longest goes first, so that the kernel, which removes tunnels in its own
// time, is done with it.
type idPool struct {
	free  []uint32 // a ring of fixed length
	first int
	count int
	aside []asideID // in order of time
}

type asideID struct {
	id    uint32
	until time.Duration
}

func newIDPool(base uint32, size int) idPool {
	p := idPool{free: make([]uint32, size), count: size}
	for i := range p.free {
		p.free[i] = base + uint32(i)
	}
	return p
}

// take gives a free ID; false when there is none.
func (p *idPool) take(now time.Duration) (uint32, bool) {
	for len(p.aside) > 0 && p.aside[0].until <= now {
		p.give(p.aside[0].id)
		p.aside = p.aside[1:]
	}
	if p.count == 0 {
		return 0, false
	}
	id := p.free[p.first]
	p.first = (p.first + 1) % len(p.free)
	p.count--
	return id, true
}

func (p *idPool) give(id uint32) {
	p.free[(p.first+p.count)%len(p.free)] = id
	p.count++
}

// setAside keeps an ID that the kernel still has out of use for a while.
func (p *idPool) setAside(id uint32, now time.Duration) {
	p.aside = append(p.aside, asideID{id, now + asideTime})
}
