package daemon

import (
	"time"

	"tunneldigger/src/broker"
)

const (
	lull    = 20 * time.Millisecond // without newcomers, until interfaces' turn
	overdue = time.Second           // that newcomers may keep an interface waiting
)

// rises are the interfaces that are to be raised, in order, which takes the kernel
// two to six times as long as to make tunnel and session. In a storm answers go
// first, as clients repeat what is not answered and go away in the end; nothing is
// gained by having some interfaces up earlier while others wait for an answer.
type rises struct {
	queue    []*port
	newcomer time.Duration // when a listener last had a datagram
}

// raiseLater puts a tunnel at the end.
func (d *Daemon) raiseLater(p *port) {
	p.raises, p.since = true, d.now
	d.rises.queue = append(d.rises.queue, p)
}

// raiseNext brings up the tunnel that has waited for the longest, unless
// newcomers go first; it reports whether it did.
func (d *Daemon) raiseNext() bool {
	for len(d.rises.queue) > 0 {
		p := d.rises.queue[0]
		if p.raises && d.now-d.rises.newcomer < lull && d.now-p.since < overdue {
			return false
		}
		d.rises.queue[0] = nil
		d.rises.queue = d.rises.queue[1:]
		if p.raises { // it has not been closed meanwhile
			d.raise(p)
			d.settle()
			return true
		}
	}
	return false
}

// raise brings one tunnel up.
func (d *Daemon) raise(p *port) {
	p.raises = false
	kind := broker.EventRaised
	if err := d.links.Raise(d.now, p.id); err != nil {
		info, _ := p.section.core.Next(p.id)
		d.journal.SetupFailed(d.now, p.section.config.Name, &info.Facts, err)
		kind = broker.EventRaiseFailed
	}
	d.later(p.section, broker.Event{Kind: kind, Tunnel: p.id})
}
