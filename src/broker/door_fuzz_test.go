package broker

import (
	"time"

	"tunneldigger/src/admission"
	"tunneldigger/src/config"
)

// guard takes rules about who may come out of the flags of a script.
func guard(flags byte, c *config.Broker, o *Options) {
	c.UUIDPolicy = config.UUIDPolicy(flags >> 5 & 3 % 3)
	if flags&128 != 0 {
		c.PerUUID, o.Keys = config.Rate{Count: 2, Time: 30 * s}, 2
	}
}

// door plays what changes about who may come.
func (a *auditor) door(op, arg byte) {
	switch op {
	case 16: // nobody, a UUID, an address, a site; on either list, or none
		text := []string{"# nobody", "a", "b # but not b2", "192.0.2.20", "192.0.2.0/27", "2001:db8:a::/64", "::/0", "0.0.0.0/0"}[arg>>2&7]
		l, err := admission.ParseList("list", []byte(text))
		if err != nil {
			a.t.Fatal(err)
		}
		allow, deny := []*admission.List{nil, l, nil, l}[arg&3], []*admission.List{nil, nil, l, l}[arg&3]
		a.out = a.SetLists(a.now, allow, deny, a.out[:0])
	case 17:
		c := a.config
		c.UUIDPolicy = config.UUIDPolicy(arg & 3 % 3)
		c.PerUUID = config.Rate{Count: int(arg >> 2 & 3), Time: 30 * s}
		c.PerIP = config.Rate{Count: int(arg >> 4 & 3), Time: 30 * s}
		c.RateInterval = time.Duration(arg>>6) * 3 * s
		a.out = a.Reconfigure(a.now, c, a.options, a.out[:0])
	case 18:
		a.do(Event{Kind: EventKick, Tunnel: 100 + uint32(arg&3)})
		return
	case 19: // a long time
		a.wait(time.Duration(arg&63) * time.Minute)
		return
	}
	a.audit()
}

// auditDoor: nobody has a tunnel, or waits for one, whom the rules keep out.
func (a *auditor) auditDoor() {
	for i := range a.out {
		e := &a.out[i]
		if e.Kind != EffectCreate || a.config.UUIDPolicy == config.UUIDAny {
			continue
		}
		if t := a.tunnels.get(e.Tunnel); t != nil && t.tries > 1 { // let in before, when the policy was another one
			continue
		}
		for _, t := range a.tunnels.slots {
			if t != nil && t.uuid == e.UUID && t.id != e.Tunnel && (t.stands() || t.state == creating) {
				a.t.Fatalf("%s, which has tunnel %d", line(e), t.id)
			}
		}
	}
	for _, t := range a.tunnels.slots {
		if t != nil && (t.stands() || t.state == verifying) && a.Broker.lists.deny(&t.request) {
			a.t.Fatalf("tunnel %d of %s is kept out", t.id, t.uuid)
		}
	}
	waiting := 0
	a.queue.Each(func(p pair, r *request) {
		if waiting++; p != r.pair || a.Broker.lists.deny(r) {
			a.t.Fatalf("%v waits as %+v", p, r)
		}
	})
	if waiting != a.Waiting() {
		a.t.Fatalf("%d wait, %d are counted", waiting, a.Waiting())
	}
	if keys := a.options.keys(); a.perIP.Len() > keys || a.perUUID.Len() > keys {
		a.t.Fatalf("%d and %d keys are remembered", a.perIP.Len(), a.perUUID.Len())
	}
}
