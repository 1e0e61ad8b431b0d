package daemon

import (
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
)

const (
	lull    = 20 * time.Millisecond // without newcomers, until interfaces' turn
	overdue = time.Second           // that newcomers may keep an interface waiting
)

// rise is what is left to do for a tunnel whose client has its answer: bring the
// interface up and attach it, which takes the kernel two to six times as long
// as tunnel and session, and run the hooks. In a storm answers go first, as
// clients repeat what is not answered and go away in the end; nothing is gained
// by having some interfaces up earlier while others wait for an answer.
type rise struct {
	port  *port
	facts broker.Facts
	mtu   int // to set
	since time.Duration
	held  []broker.Effect // hooks, which are promised an interface that is up
}

// rises are the tunnels that are to be brought up, in order.
type rises struct {
	queue    []*rise
	newcomer time.Duration // when a listener last had a datagram
}

// raiseLater puts a new port at the end.
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

// raise brings one tunnel up, or has it closed.
func (d *Daemon) raise(r *rise) {
	p := r.port
	if err := d.datapath.raise(d, p, r.mtu); err != nil {
		p.section.careful = true
		d.setupFailed(p.section, &r.facts, err)
		d.later(p.section, broker.Event{Kind: broker.EventLost, Tunnel: p.id, Fault: broker.FaultAttach})
		return // it never was up, and hooks will not hear of it
	}
	p.rise = nil
	d.keep(p.id)
	for i := range r.held {
		d.runHook(p.section, &r.held[i])
	}
}

// hold keeps a hook of a tunnel that is not up yet. Of one that ends before,
// hooks hear nothing at all.
func (d *Daemon) hold(p *port, e *broker.Effect) {
	switch e.Hook {
	case config.EventSessionPreDown:
		p.rise = nil
		d.unborn[p.section.hookKey(e.Serial)] = struct{}{}
		d.hookEnded(p.section, e.Tunnel, e.Serial, e.Hook, false)
	case config.EventMTUChanged:
		// session.up will tell the MTU that is in force then.
		for i := range p.rise.held {
			p.rise.held[i].MTU = e.MTU
		}
		d.hookEnded(p.section, e.Tunnel, e.Serial, e.Hook, false)
	default:
		p.rise.held = append(p.rise.held, *e)
	}
}
