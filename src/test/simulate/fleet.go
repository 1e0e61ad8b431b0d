package simulate

import (
	"fmt"
	"net/netip"
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/client"
	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// Times of a fleet's life.
const (
	troubleTime = 300 * s // that everything goes wrong
	settleTime  = 180 * s // after which everybody is connected
	// The longest rest between two rounds of probes, and the round: by then every
	// MTU is known.
	measureTime = 620 * s
)

// Fleet is a random world: some brokers, some clients of all kinds, links and
// kernels of all qualities, and somebody who breaks things.
type Fleet struct {
	*World
	calm bool // the trouble is over
}

// NewFleet makes the fleet of a seed.
func NewFleet(seed uint64) *Fleet {
	f := &Fleet{World: New(seed)}
	for i := 1 + f.Random.IntN(3); i > 0; i-- {
		f.addServer()
	}
	for i := 2 + f.Random.IntN(14); i > 0; i-- {
		f.addNode(i)
	}
	return f
}

func (f *Fleet) pick(n int) bool { return f.Random.IntN(n) == 0 }

func (f *Fleet) addServer() {
	c := config.Broker{
		Name: fmt.Sprint("broker", len(f.servers)), MaxTunnels: []int{3, 8, 16, 64}[f.Random.IntN(4)], TunnelIDBase: 100,
		TunnelTimeout: time.Duration(30+f.Random.IntN(60)) * s,
	}
	o := ServerOptions{Verify: f.pick(4), OldKernel: f.pick(8)}
	if f.pick(4) {
		c.PMTU = 1280 + f.Random.IntN(120)
	}
	if f.pick(2) {
		c.RateInterval = []time.Duration{20 * ms, 500 * ms, 2 * s, 5 * s}[f.Random.IntN(4)]
	}
	if f.pick(4) {
		c.PerIP = config.Rate{Count: 2 + f.Random.IntN(3), Time: 20 * s}
	}
	if f.pick(4) {
		c.BandwidthDownDefault, c.BandwidthDownMax = 1000, 10000
	}
	if f.pick(4) {
		o.MTU = 1492
	}
	f.guard(&c, &o)
	f.AddServer(c, o)
}

func (f *Fleet) addNode(i int) {
	o := NodeOptions{
		Client: client.Options{
			UUID: fmt.Sprint("node", i), TunnelID: uint32(1 + f.Random.IntN(1000)), Features: wire.UniqueSessionID,
			Policy: client.Policy(f.Random.IntN(3)), Hooks: f.pick(2),
		},
		Link: f.link(),
		// Few sites: several clients share an address.
		Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + f.Random.IntN(6))}),
	}
	switch f.Random.IntN(6) {
	case 0:
		o.Client.Features = 0
	case 1:
		o.Client.NoTunnelID = true
	}
	if f.pick(4) {
		o.Addr = netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::%d", 1+f.Random.IntN(4), i))
	}
	if f.pick(3) {
		o.Port = uint16(20000 + i)
	}
	if f.pick(3) {
		o.Client.Limit = uint32(1 + f.Random.IntN(20000))
	}
	n := f.AddNode(o)
	f.After(f.upTo(10*s), n.Start)
}

func (f *Fleet) link() Link {
	up := 0 // the same way as down
	if f.pick(4) {
		up = f.path()
	}
	return Link{
		UpMTU: up, Delay: f.upTo(80 * ms), Jitter: f.upTo(40 * ms), MTU: f.path(), ICMP: f.pick(2),
		Loss: f.Random.Float64() * 0.3, Duplicate: f.Random.Float64() * 0.1, Reorder: f.Random.Float64() * 0.1,
	}
}

func (f *Fleet) path() int {
	return []int{1500, 1500, 1500, 1492, 1480, 1450, 1400, 1340, 1334}[f.Random.IntN(9)]
}

// Play plays the whole life of the fleet. The error is the first rule that was
// broken.
func (f *Fleet) Play() error {
	f.Trouble = Trouble{
		CreateFails: f.Random.Float64() * 0.05, CreateExists: f.Random.Float64() * 0.05, RaiseFails: f.Random.Float64() * 0.1, Refuse: f.Random.Float64() * 0.1,
		Window: f.Random.Float64() * 0.05, ClientFails: f.Random.Float64() * 0.05, Late: f.upTo(20 * ms),
	}
	if f.pick(2) {
		f.Trouble.Kernel = f.upTo(4 * s)
	}
	if f.pick(3) {
		f.Trouble.Hooks = f.upTo(5 * s)
	}
	if f.pick(4) {
		f.Trouble.Stuck = 0.05
	}
	for end := f.Now() + troubleTime; f.Now() < end; {
		if err := f.Run(f.upTo(6 * s)); err != nil {
			return err
		}
		f.disturb()
	}
	f.Calm()
	f.calm = true
	for _, n := range f.nodes {
		if n.Hasty {
			n.Crash()
			f.After(20*s, func() {
				n.Hasty = false
				n.Start()
			})
		}
	}
	for end := f.now + settleTime; f.now < end; f.checkDead() {
		if err := f.Run(s); err != nil {
			return err
		}
	}
	// Where one address has used up its limit, it is held off for a while.
	for i := 0; i < 3 && f.heldOff(); i++ {
		if err := f.Run(settleTime); err != nil {
			return err
		}
	}
	for _, n := range f.nodes {
		n.SetLimit(uint32(f.Random.IntN(20000)))
	}
	if err := f.Run(5 * s); err != nil {
		return err
	}
	if err := f.settled(); err != nil {
		return err
	}
	if f.pick(8) {
		if err := f.Run(measureTime); err != nil {
			return err
		}
		for _, n := range f.nodes {
			if err := n.MTU(); err != nil && n.Connected() == nil {
				f.Fail("long after the trouble: %v", err)
			}
		}
	}
	return f.failure
}

// settled: who has no tunnel now found no room, and nothing else keeps a place.
func (f *Fleet) settled() error {
	tunnels, connected := 0, 0
	for _, sv := range f.servers {
		tunnels += sv.core.Tunnels()
	}
	for _, n := range f.nodes {
		err := n.Connected()
		switch {
		case err == nil:
			connected++
			if err := n.Limited(); err != nil {
				f.Fail("long after the trouble: %v", err)
			}
		case !f.full(n) && !f.twinned(n):
			f.Fail("long after the trouble: %v", err)
		}
	}
	if tunnels != connected && f.failure == nil {
		f.Fail("long after the trouble: %d clients are connected, but there are %d tunnels", connected, tunnels)
	}
	return f.failure
}

// full reports whether no broker has room for the client.
func (f *Fleet) full(n *Node) bool {
	old := n.Client.Features == 0 || n.Client.NoTunnelID
	for _, sv := range f.servers {
		if sv.core.Tunnels() < sv.config.MaxTunnels && !(old && sv.noted[broker.NoteOldSessions] > 0) {
			return false
		}
	}
	return true
}

// heldOff reports whether somebody is without a tunnel for having come too often: a
// limit remembers who has used it up, also between two hold-offs.
func (f *Fleet) heldOff() bool {
	for _, sv := range f.servers {
		if l := sv.core.Limits(f.now); sv.alive && l.Addresses+l.UUIDs > 0 {
			for _, n := range f.nodes {
				if n.Connected() != nil && !f.full(n) && !f.twinned(n) {
					return true
				}
			}
		}
	}
	return false
}
