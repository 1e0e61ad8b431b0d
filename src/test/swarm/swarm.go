// Package swarm is a load of Tunneldigger clients for tests and benchmarks: many machines of package client, each behind
// a UDP socket of its own, in one loop. They speak the protocol as clients in the field do, with the same times and
// repetitions, but make no kernel tunnels: whatever the broker agrees to counts as made.
//
// Sockets are made by Run, in the network namespace of the thread that calls it. A Swarm shares its processors with the
// broker it loads: once all clients are there, nothing is allocated, and timers are served some milliseconds late, many at
// a time. It is not safe for concurrent use.
package swarm

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"tunneldigger/src/client"
	"tunneldigger/src/clock"
	"tunneldigger/src/poll"
	"tunneldigger/src/sock"
	"tunneldigger/src/wire"
)

const (
	batch = 256                   // epoll events a turn
	slack = 10 * time.Millisecond // by which a timer may be late
)

// Options say what the clients are like.
type Options struct {
	Broker   netip.AddrPort
	Clients  int
	Parallel int // how many may be without their first tunnel at once; 0: all
	// Client says who client i is; its Brokers is overwritten. With a long Timers.Keepalive it is silent once it
	// has its tunnel. Nil: clients that know every feature.
	Client func(i int) client.Options
	Deaf   bool // the broker's PMTU probes are not answered
	Leave  bool // a client takes its tunnel down as soon as it has one, and is over
}

// Result is how one client has fared.
type Result struct {
	Connected bool          // it has a tunnel now
	Tunnel    client.Tunnel // its last one: the client's IDs, and as peer the broker's
	Took      time.Duration // from its first datagram to its first tunnel; 0 without one
	Closed    int           // tunnels that the broker closed by ERROR
	Reason    wire.Reason   // that it gave last for closing one, or for refusing
	Over      bool          // it has left for good
	Stats     client.Stats
}

// Swarm is a number of clients.
type Swarm struct {
	options Options
	peer    sock.Peer
	poller  *poll.Poller
	members []member
	due     []time.Duration // of each member, together: they are searched often
	next    time.Duration   // no member is due before
	now     time.Duration
	started int
	waiting int // started, and without a first tunnel
	total   Totals
	slowest time.Duration
	quiet   time.Duration // see Quiet
	events  [batch]poll.Event
	effects []client.Effect
	buffer  [2048]byte
}

// Totals are counts of all clients, kept up to date.
type Totals struct {
	Connected int // have a tunnel now
	Refusals  int // ERRORs instead of a tunnel
	Closed    int // ERRORs that closed a tunnel
	Over      int // have left for good
	Unsent    int // datagrams that the socket did not take
	Asked     int // USAGE, COOKIE and PREPARE that were sent
	Answered  int // answers to them that came, however late
}

// New makes clients that begin with Run.
func New(o Options) (*Swarm, error) {
	if o.Client == nil {
		o.Client = Client
	}
	if o.Parallel <= 0 {
		o.Parallel = o.Clients
	}
	p, err := poll.New()
	if err != nil {
		return nil, fmt.Errorf("swarm: %w", err)
	}
	s := &Swarm{
		options: o, peer: sock.NewPeer(o.Broker), poller: p,
		members: make([]member, o.Clients), due: make([]time.Duration, o.Clients), next: client.Never,
	}
	for i := range s.members {
		c := o.Client(i)
		c.Brokers = 1
		s.members[i] = member{machine: client.New(c), fd: -1}
		s.due[i] = client.Never
	}
	return s, nil
}

// Client is client i as it is by default: of today, with a UUID and a tunnel ID of its own, which is not that of any
// other client and not 1.
func Client(i int) client.Options {
	return client.Options{UUID: fmt.Sprintf("client-%d", i), TunnelID: uint32(10000 + i), Features: wire.UniqueSessionID}
}

// Run lets the clients live until done holds, which is looked at after every turn of the loop, or the limit is over, and reports whether
// it was done. Between two Runs time passes and what arrives is kept in the sockets. Errors are faults of the machine that it runs on, such as
// too few descriptors, and not of the broker.
func (s *Swarm) Run(limit time.Duration, done func(Totals) bool) (bool, error) {
	s.now = clock.SinceBoot()
	for end := s.now + limit; ; {
		if err := s.begin(); err != nil {
			return false, fmt.Errorf("swarm: %w", err)
		}
		if done(s.total) {
			return true, nil
		}
		if s.now >= end {
			return false, nil
		}
		wait := min(s.next, end) - s.now
		if wait > 0 {
			wait += slack
		}
		n, err := s.poller.Wait(max(0, wait), s.events[:])
		if err != nil {
			return false, fmt.Errorf("swarm: %w", err)
		}
		s.now = clock.SinceBoot()
		for i := range s.events[:n] {
			if err := s.receive(int(s.events[i].Token)); err != nil {
				return false, fmt.Errorf("swarm: %w", err)
			}
		}
		if s.now >= s.next {
			if err := s.tick(); err != nil {
				return false, fmt.Errorf("swarm: %w", err)
			}
		}
	}
}

// Stop has every client take its tunnel down, telling the broker, and leave for good.
func (s *Swarm) Stop() error {
	s.now, s.started = clock.SinceBoot(), len(s.members)
	for i := range s.members {
		if err := s.handle(i, client.Event{Kind: client.Stop}); err != nil {
			return fmt.Errorf("swarm: %w", err)
		}
	}
	return nil
}

// Close ends the clients without a word to the broker.
func (s *Swarm) Close() error {
	for i := range s.members {
		s.members[i].close()
	}
	return s.poller.Close()
}

// Clients is how many there are.
func (s *Swarm) Clients() int { return len(s.members) }

// Totals returns the counts.
func (s *Swarm) Totals() Totals { return s.total }

// Result tells how client i has fared.
func (s *Swarm) Result(i int) Result {
	r := s.members[i].Result
	r.Stats = s.members[i].machine.Stats()
	return r
}

// Repeats is how many messages of a set-up all the clients together had to send again.
func (s *Swarm) Repeats() (usage, cookie, prepare uint64) {
	for i := range s.members {
		stats := s.members[i].machine.Stats()
		usage += stats.UsageRepeats
		cookie += stats.CookieRepeats
		prepare += stats.PrepareRepeats
	}
	return usage, cookie, prepare
}

// Times are the clients' times from the first datagram to the first tunnel, in ascending order.
func (s *Swarm) Times() []time.Duration {
	var all []time.Duration
	for i := range s.members {
		if took := s.members[i].Took; took > 0 {
			all = append(all, took)
		}
	}
	slices.Sort(all)
	return all
}

// Slowest is the longest time that a client without a tunnel waited for an answer; at 2 s it asks again.
func (s *Swarm) Slowest() time.Duration { return s.slowest }

// Kept tells how many of those that have a tunnel have heard that many KEEPALIVEs since Quiet was asked for.
func (s *Swarm) Kept(keepalives int) int {
	n := 0
	for i := range s.members {
		if m := &s.members[i]; m.Connected && m.keeps >= keepalives {
			n++
		}
	}
	return n
}

// Quiet is the longest time that one of them waited for the next KEEPALIVE, up to the last turn of Run, since it was asked for
// the last time.
func (s *Swarm) Quiet() time.Duration {
	longest := s.quiet
	for i := range s.members {
		if m := &s.members[i]; m.Connected && m.kept != 0 {
			longest = max(longest, s.now-m.kept)
		}
		s.members[i].keeps = 0
	}
	s.quiet = 0
	return longest
}

// begin lets more clients begin, as far as Parallel allows.
func (s *Swarm) begin() error {
	for s.started < len(s.members) && s.waiting < s.options.Parallel {
		i := s.started
		s.started++
		s.waiting++
		s.members[i].began = s.now
		if err := s.handle(i, client.Event{Kind: client.Start}); err != nil {
			return err
		}
	}
	return nil
}

// tick serves the clients that are due.
func (s *Swarm) tick() error {
	s.next = client.Never
	for i := range s.due {
		if s.due[i] <= s.now {
			if err := s.handle(i, client.Event{Kind: client.Tick}); err != nil {
				return err
			}
		}
		s.next = min(s.next, s.due[i])
	}
	return nil
}
