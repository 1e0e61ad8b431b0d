package forward

import (
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"tunneldigger/src/offload"
	"tunneldigger/src/phrase"
)

// Engine is workers with their sockets and tunnels. Its methods are for one goroutine, its owner.
type Engine struct {
	workers   []*worker
	running   sync.WaitGroup
	wake      func()
	members   box
	strangers box
	mail      [letterSize]byte
	drops     [drops]atomic.Uint64
}

// Drop is why a frame was not passed on.
type Drop int

// The reasons.
const (
	DropRunt      Drop = iota // shorter than the headers
	DropOversize              // longer than any tunnel's MTU
	DropHeader                // flags, version or reserved bits are wrong
	DropSublayer              // the L2-specific sublayer is not zero
	DropSession               // not the tunnel's session ID
	DropStranger              // data from an address that has no tunnel
	DropMail                  // the owner's loop is slow
	DropInterface             // the TAP device did not take it
	DropSocket                // the socket had no room
	DropTooBig                // larger than the device's MTU
	DropSend                  // sending failed in another way
	DropFrame                 // the kernel gave a frame that can't be cut
	drops
)

var dropNames = [drops]string{"runt", "oversize", "header", "sublayer", "session", "stranger", "mail", "interface", "socket", "too_big", "send", "frame"}

// Drops is how many reasons there are.
const Drops = int(drops)

// String is the reason in a word.
func (d Drop) String() string { return dropNames[d] }

// Options says how an Engine runs.
type Options struct {
	// Workers is how many there are, 0: one for each processor.
	Workers int
	// Wake is called when there is mail, from any goroutine; it does not block. One call may stand for many letters.
	Wake func()
}

// Start makes an Engine, whose workers wait.
func Start(o Options) (*Engine, error) {
	if o.Workers == 0 {
		o.Workers = runtime.NumCPU()
	}
	e := &Engine{wake: o.Wake}
	for range o.Workers {
		w, err := newWorker(e)
		if err != nil {
			e.Stop()
			return nil, phrase.Errorf("forward: %w", err)
		}
		e.workers = append(e.workers, w)
		e.running.Add(1)
		go w.run()
	}
	// The owner's goroutine is to get a processor while all workers are in system calls, which the Go runtime takes for work.
	if n := o.Workers + 2; runtime.GOMAXPROCS(0) < n {
		runtime.GOMAXPROCS(n)
	}
	return e, nil
}

// Stop ends the workers and closes all sockets and TAP devices.
func (e *Engine) Stop() {
	for _, w := range e.workers {
		w.do(change{stop: true})
	}
	e.running.Wait()
}

// Dropped is how many frames were dropped for a reason.
func (e *Engine) Dropped(d Drop) uint64 { return e.drops[d].Load() }

// Tunnel is where a peer's frames go.
type Tunnel struct {
	_ [0]func() // not to be compared: that would be code for nothing
	// ID and Tag are the owner's.
	ID  uint32
	Tag any

	key     key
	session uint32
	header  offload.Header
	fd      int // of the TAP device
	segs    bool
	worker  int // that reads the TAP device
	slot    int // there
	holders atomic.Int32
	route   atomic.Pointer[route]
}

// route is how a tunnel's datagrams go out.
type route struct {
	listener *Listener
	address  address
}

// Config is what a tunnel is made of.
type Config struct {
	ID          uint32
	Tag         any
	Listener    *Listener // by which it sends
	Peer, Local netip.AddrPort
	Session     uint32 // that the peer's frames have
	PeerSession uint32
	// FD is a TAP device, as package tap makes it; it is the Engine's from then on. Segments says that it takes UDP to be cut.
	FD       int
	Segments bool
}

// Add has a tunnel's frames carried. An error leaves the TAP device to the caller.
func (e *Engine) Add(c Config) (*Tunnel, error) {
	k, err := newKey(c.Peer, c.Local)
	if err != nil {
		return nil, err
	}
	t := &Tunnel{ID: c.ID, Tag: c.Tag, key: k, session: c.Session, header: offload.NewHeader(c.PeerSession), fd: c.FD, segs: c.Segments}
	if err := t.Via(c.Listener, c.Local.Addr(), c.Peer); err != nil {
		return nil, err
	}
	t.worker = e.idlest(c.Listener)
	e.workers[t.worker].load++
	t.holders.Store(int32(len(e.workers)))
	for _, w := range e.workers {
		w.do(change{tunnel: t})
	}
	return t, nil
}

// idlest is the worker with the fewest TAP devices. Where a listener's one socket keeps one worker busy, it is another one.
func (e *Engine) idlest(l *Listener) int {
	least := len(e.workers) - 1
	for i, w := range e.workers {
		if w.load < e.workers[least].load && (len(l.sockets) > 1 || l.sockets[0].worker != i) {
			least = i
		}
	}
	return least
}

// Via has the tunnel send by another listener.
func (t *Tunnel) Via(l *Listener, local netip.Addr, peer netip.AddrPort) error {
	r := &route{listener: l}
	if err := r.address.set(l.wildcard, local, peer); err != nil {
		return err
	}
	t.route.Store(r)
	return nil
}

// FD is the TAP device's, to hand over; it stays the Engine's.
func (t *Tunnel) FD() int { return t.fd }

// Send sends a control message to the peer. The error is a bare errno: EMSGSIZE when it does not fit the device's MTU.
func (t *Tunnel) Send(data []byte) error {
	r := t.route.Load()
	return r.listener.send(&r.address, data)
}

// Remove ends a tunnel. The TAP device is closed soon after, when no worker has it in hand any more; mail of the tunnel may still be there.
func (e *Engine) Remove(t *Tunnel) {
	e.workers[t.worker].load--
	for _, w := range e.workers {
		w.do(change{tunnel: t, remove: true})
	}
}

// release is called by each worker that has let go of the tunnel; the last one closes the TAP device.
func (t *Tunnel) release() {
	if t.holders.Add(-1) == 0 {
		_ = unix.Close(t.fd)
	}
}
