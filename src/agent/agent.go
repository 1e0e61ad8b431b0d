// Package agent is a client at work: it runs the state machine of package client
// over UDP sockets, with a tunnel of the kernel's and the hook script, until it
// is told to stop. One that is broken off is set up again, for ever.
//
// An Agent is one goroutine that does everything; others only wait, for a name
// to resolve or for a datagram, and hand in what they got.
package agent

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"time"

	"tunneldigger/src/client"
	"tunneldigger/src/clock"
	"tunneldigger/src/hook"
	"tunneldigger/src/logline"
	"tunneldigger/src/phrase"
	"tunneldigger/src/resolve"
	"tunneldigger/src/wire"
)

const (
	hookTimeout = 30 * time.Second
	checkEvery  = 5 * time.Second // that the interface is still there
)

// Config says what an Agent is to do.
type Config struct {
	// Brokers are "host:port", "address:port" or "[address]:port".
	Brokers []string
	// Local is the address to send from; the zero Addr leaves it to the kernel.
	Local netip.Addr
	// Device is the network interface to send through; empty leaves it to the kernel.
	Device string
	// Hook is the path of the script for session.up, session.pre-down and
	// session.down, which gets the event and Interface as arguments; empty for
	// none.
	Hook string
	// Interface is the name of the tunnel's network interface; at most 15 bytes.
	Interface string
	// Client is who this is. Brokers, Hooks and Rand are the Agent's to fill in, and
	// Features as well, unless NoFeatures is set.
	Client client.Options
	// NoFeatures makes a client from before feature flags.
	NoFeatures bool
	// Log is told what happens.
	Log *logline.Logger
}

// Datapath makes tunnels. It is called by one goroutine, for one tunnel at a
// time.
type Datapath interface {
	// Create makes a tunnel over the UDP socket fd, which stays the caller's, and
	// brings its interface up. It leaves nothing when it fails.
	Create(t client.Tunnel, fd, mtu int) error
	SetMTU(mtu int) error
	// Delete removes the tunnel with its interface, and returns when both are gone.
	// That they are gone already is no error.
	Delete() error
	// Exists reports whether the interface is there.
	Exists() bool
}

// Reader is a Datapath that reads a tunnel's socket itself.
type Reader interface {
	Datapath
	// Deliver says who gets the control messages of the tunnel that Create makes next,
	// from another goroutine. The data is good until f returns.
	Deliver(f func(data []byte))
}

// Agent is one client at work.
type Agent struct {
	cfg     Config
	log     *logline.Logger
	tunnels Datapath
	machine *client.Machine
	brokers []*broker
	hooks   *hook.Runner

	arrived chan arrival
	over    chan struct{}  // closed when nobody takes arrivals any more
	ended   chan struct{}  // wakes the loop when a hook has ended
	pending []client.Event // what carrying out effects brought about
	effects []client.Effect
	probe   []byte // a datagram of zeros, for PMTUD
	exit    bool
}

// arrival is what other goroutines hand in: the addresses of a broker or the
// error of looking them up, or, with a socket, a datagram from it.
type arrival struct {
	broker *broker
	round  int // of the lookup
	addrs  []netip.Addr
	err    error
	socket *socket
	data   []byte
}

// New checks cfg and makes an Agent that has done nothing yet. The error names
// everything that is wrong with cfg.
func New(cfg Config) (*Agent, error) {
	a := &Agent{
		cfg: cfg, log: cfg.Log,
		arrived: make(chan arrival), over: make(chan struct{}), ended: make(chan struct{}, 1),
	}
	var faults []error
	for i, text := range cfg.Brokers {
		host, port, err := resolve.HostPort(text, 0)
		if err == nil && port == 0 {
			err = phrase.Errorf("%q: want host:port", text)
		}
		if err != nil {
			faults = append(faults, phrase.Errorf("broker %w", err))
		}
		a.brokers = append(a.brokers, &broker{index: i, name: text, host: host, port: port})
	}
	if len(cfg.Brokers) == 0 {
		faults = append(faults, errors.New("no broker: want one at least"))
	}
	if !wire.ValidUUID([]byte(cfg.Client.UUID)) {
		faults = append(faults, phrase.Errorf("UUID %q: want 1 to %d printable characters without spaces, quotes or any of \\ $ ` ; & | < > /, "+
			"and no - in front", cfg.Client.UUID, wire.MaxValidUUID))
	}
	if !validName(cfg.Interface) {
		faults = append(faults, phrase.Errorf("interface %q: want 1 to 15 characters without spaces, : or /", cfg.Interface))
	}
	if len(faults) != 0 {
		return nil, errors.Join(faults...)
	}
	opt := cfg.Client
	opt.Brokers, opt.Hooks, opt.Rand = len(a.brokers), cfg.Hook != "", rand.IntN
	if !cfg.NoFeatures {
		opt.Features |= wire.UniqueSessionID
	}
	a.machine = client.New(opt)
	a.hooks = hook.New(1, a.log, func() {
		select {
		case a.ended <- struct{}{}:
		default:
		}
	})
	return a, nil
}

// validName is the kernel's rule for names of interfaces (dev_valid_name), but
// for names that a shell would not like.
func validName(name string) bool {
	if name == "" || len(name) > 15 || name == "." || name == ".." {
		return false
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || c == '/' || c == ':' {
			return false
		}
	}
	return true
}

// Run works until stop is closed; then it tells the broker, runs the hooks, removes
// the interface and returns the counters. It may be called once.
func (a *Agent) Run(stop <-chan struct{}, tunnels Datapath) client.Stats {
	a.tunnels = tunnels
	a.handle(client.Event{Kind: client.Start})
	due := make(chan struct{}, 1) // not a time.Timer's channel, whose kind of a Time costs a router 50 kB of flash
	timer := time.AfterFunc(0, func() {
		select {
		case due <- struct{}{}:
		default:
		}
	})
	defer timer.Stop()
	for !a.exit {
		timer.Reset(a.wait())
		select {
		case in := <-a.arrived:
			a.take(in)
		case <-a.ended:
			a.hooksEnded()
		case <-due:
			a.check()
			a.handle(client.Event{})
		case <-stop:
			stop = nil
			a.handle(client.Event{Kind: client.Stop})
		}
	}
	close(a.over)
	for a.hooks.Done(); !a.hooks.Idle(); a.hooks.Done() {
		<-a.ended
	}
	return a.machine.Stats()
}

// wait is how long the loop may sleep.
func (a *Agent) wait() time.Duration {
	due := a.machine.Due()
	if _, _, _, standing := a.machine.Tunnel(); standing {
		due = min(due, clock.Now()+checkEvery)
	}
	return max(due-clock.Now(), 0)
}

// check notices that somebody else removed the interface.
func (a *Agent) check() {
	if _, _, _, standing := a.machine.Tunnel(); standing && !a.tunnels.Exists() {
		a.log.Warn("the interface is gone", "interface", a.cfg.Interface)
		a.handle(client.Event{Kind: client.TunnelLost})
	}
}

func (a *Agent) hooksEnded() {
	for _, r := range a.hooks.Done() {
		a.handle(client.Event{Kind: client.HookDone, Hook: client.Hook(r.Tag)})
	}
}

func (a *Agent) take(in arrival) {
	switch {
	case in.socket == nil:
		if in.round == in.broker.round {
			a.handle(a.connect(in.broker, in.addrs, in.err))
		}
	case in.socket == in.broker.socket:
		in.broker.heard = true
		a.handle(client.Event{Kind: client.Datagram, Broker: in.broker.index, Data: in.data})
		select {
		case in.socket.taken <- struct{}{}:
		case <-in.socket.closed:
		}
	}
}

// handle gives ev to the machine, carries out what comes of it, and does the
// same with what that brings about.
func (a *Agent) handle(ev client.Event) {
	a.pending = append(a.pending[:0], ev)
	for len(a.pending) > 0 && !a.exit {
		ev := a.pending[0]
		a.pending = a.pending[1:]
		a.effects = a.machine.Handle(clock.Now(), ev, a.effects[:0])
		for i := range a.effects {
			a.carryOut(&a.effects[i])
		}
	}
}
