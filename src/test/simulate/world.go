package simulate

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
)

const (
	ms = time.Millisecond
	s  = time.Second
)

// boot is the time at which a world begins, since zero is too special.
const boot = 1000 * s

// pair is both ends of a UDP conversation, the client's as the broker sees it.
type pair struct{ client, server netip.AddrPort }

// Trouble is what goes wrong on the hosts, as chances from 0 to 1; links have
// their own, see [Link]. The zero value is a world without trouble.
type Trouble struct {
	CreateFails  float64       // a broker's kernel makes no tunnel
	CreateExists float64       // it says that it has one of that ID
	RaiseFails   float64       // it does not bring an interface up
	Refuse       float64       // the session.verify hook says no
	Stuck        float64       // the kernel takes longer than the broker waits to remove an interface
	Window       float64       // a datagram ends up at the wrong one of a broker's sockets
	ClientFails  float64       // a client's host or kernel fails
	Kernel       time.Duration // how long a kernel takes at most, beside the usual
	Hooks        time.Duration // how long a hook takes at most, beside the usual
	Late         time.Duration // how late a timer is at most
}

// World is a network of brokers and clients. Make one with New, add to it, and
// let it run. It is not safe for concurrent use.
type World struct {
	// Random is where all chance in this world comes from.
	Random *rand.Rand
	// Trouble may be changed at any time.
	Trouble Trouble
	// Trace, if not nil, is told everything that happens.
	Trace func(line string)

	now      time.Duration
	agenda   agenda
	servers  []*Server
	nodes    []*Node
	at       map[netip.AddrPort]*Server
	sockets  map[pair]*socket       // of clients
	released map[pair]time.Duration // when a NAT released a port
	steps    int
	rebound  uint16 // how many ports NATs have replaced
	failure  error
	tape     []recorded // what was sent to brokers last
	taped    int
}

// New makes an empty world.
func New(seed uint64) *World {
	return &World{
		Random: rand.New(rand.NewPCG(seed, 0x7464)), now: boot,
		at: make(map[netip.AddrPort]*Server), sockets: make(map[pair]*socket), released: make(map[pair]time.Duration),
	}
}

// Now is the time, since boot.
func (w *World) Now() time.Duration { return w.now }

// After plans something for later.
func (w *World) After(d time.Duration, do func()) { w.agenda.plan(w.now+max(d, 0), do) }

// Run lets time pass. The error is the first rule that was broken, and the world
// stands still from then on.
func (w *World) Run(d time.Duration) error {
	for end := w.now + d; w.failure == nil; {
		e, ok := w.agenda.next(end)
		if !ok {
			w.now = end
			break
		}
		w.now = e.at
		e.do()
		// In a large world not everybody is looked at after every step.
		if w.steps++; len(w.nodes) < 64 && w.steps%(1+len(w.nodes)/8) == 0 || w.steps%(1+len(w.nodes)) == 0 {
			w.checkNodes()
		}
	}
	return w.failure
}

// Fail ends the run: a rule is broken.
func (w *World) Fail(format string, args ...any) {
	if w.failure == nil {
		w.failure = fmt.Errorf("at %v: %s", w.now-boot, fmt.Sprintf(format, args...))
		w.trace("FAILURE: %v", w.failure)
	}
}

func (w *World) trace(format string, args ...any) {
	if w.Trace != nil {
		w.Trace(fmt.Sprintf("%10.4f ", (w.now-boot).Seconds()) + fmt.Sprintf(format, args...))
	}
}

// chance is true with the probability p.
func (w *World) chance(p float64) bool { return p > 0 && w.Random.Float64() < p }

// upTo gives a time in [0, d).
func (w *World) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(w.Random.Int64N(int64(d)))
}

// Calm ends all trouble: hosts and links work from now on. Paths keep their MTU.
func (w *World) Calm() {
	w.Trouble = Trouble{}
	for _, n := range w.nodes {
		n.Link.Loss, n.Link.Duplicate, n.Link.Reorder = 0, 0, 0
	}
}
