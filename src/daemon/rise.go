package daemon

import (
	"time"

	"tunneldigger/src/broker"
)

const (
	lull    = 20 * time.Millisecond // without newcomers, until interfaces' turn
	overdue = time.Second           // that newcomers may keep an interface waiting
)

// rise is an interface that is to be brought up and attached, which takes the
// kernel two to six times as long as tunnel and session. In a storm answers go
// first, as clients repeat what is not answered and go away in the end; nothing
// is gained by having some interfaces up earlier while others wait for an answer.
type rise struct {
	port  *port
	facts broker.Facts
	mtu   int // to set
	since time.Duration
}

// rises are the tunnels that are to be brought up, in order.
type rises struct {
	queue    []*rise
	newcomer time.Duration // when a listener last had a datagram
}

// raiseLater puts a tunnel at the end.
func (d *Daemon) raiseLater(p *port, f *broker.Facts) {
	p.rise = &rise{port: p, facts: *f, mtu: f.MTU, since: d.now}
	d.rises.queue = append(d.rises.queue, p.rise)
}

// raiseNext brings up the tunnel that has waited for the longest, unless
// newcomers go first; it tells whether it did.
func (d *Daemon) raiseNext() bool {
	for len(d.rises.queue) > 0 {
		r := d.rises.queue[0]
		if r.port.rise == r && d.now-d.rises.newcomer < lull && d.now-r.since < overdue {
			return false
		}
		d.rises.queue[0] = nil
		d.rises.queue = d.rises.queue[1:]
		if r.port.rise == r { // it has not been closed meanwhile
			d.raise(r)
			d.settle()
			return true
		}
	}
	return false
}

// raise brings one tunnel up.
func (d *Daemon) raise(r *rise) {
	p, kind := r.port, broker.EventRaised
	p.rise = nil
	if err := d.datapath.raise(d, p, r.mtu); err != nil {
		d.setupFailed(p.section, &r.facts, err)
		kind = broker.EventRaiseFailed
	}
	d.later(p.section, broker.Event{Kind: kind, Tunnel: p.id})
}
