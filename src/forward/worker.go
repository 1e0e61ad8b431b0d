package forward

import (
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/offload"
	"tunneldigger/src/poll"
)

// worker carries frames on one thread. Everything but what mu guards is its own.
type worker struct {
	engine *Engine
	number int
	load   int // how many TAP devices it has, or will have; the owner's
	poller *poll.Poller
	wake   *poll.Wake

	mu      sync.Mutex
	changes []change
	doing   []change // those that are being done, whose memory is used again

	sockets slots[socket] // those that it reads
	taps    slots[Tunnel] // those whose TAP device it reads
	tunnels map[key]*Tunnel

	in      []byte // what a socket gives
	frame   []byte // what a TAP device gives
	arrival arrival
	train   *offload.Train
	joiner  offload.Joiner[*Tunnel]
	out     message
	outCtl  controls
	bundle  bundle
}

// change is something that the owner wants of a worker.
type change struct {
	tunnel *Tunnel
	socket *socket
	remove bool
	stop   bool
}

// What an epoll token stands for; the low half is an index.
const (
	tokenSocket = iota << 32
	tokenTap
	tokenWake
	tokenKind = ^uint64(1<<32 - 1)
)

const (
	turn = 64 // events that are taken at once
	// Events come thick when so many more have come soon after the one before than have not. Then the next one is held on for.
	thick    = 4
	soon     = 2 * time.Millisecond
	patience = 20 * time.Millisecond
)

func newWorker(e *Engine) (_ *worker, err error) {
	w := &worker{engine: e, number: len(e.workers), tunnels: make(map[key]*Tunnel)}
	if w.poller, err = poll.New(); err != nil {
		return nil, err
	}
	if w.wake, err = poll.NewWake(); err == nil {
		err = w.poller.Add(w.wake.FD(), tokenWake, poll.Read)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	w.in = make([]byte, 65536)
	w.frame = make([]byte, offload.MaxFrame)
	w.train = offload.NewTrain()
	w.joiner.Emit = w.write
	return w, nil
}

func (w *worker) close() {
	_ = w.poller.Close()
	if w.wake != nil {
		_ = w.wake.Close()
	}
}

// do has a change made between two turns.
func (w *worker) do(c change) {
	w.mu.Lock()
	w.changes = append(w.changes, c)
	w.mu.Unlock()
	w.wake.Notify()
}

// run is the worker's life. It keeps its thread, so that events that come thick are had without the runtime's help.
func (w *worker) run() {
	defer w.engine.running.Done()
	runtime.LockOSThread()
	events := make([]poll.Event, turn)
	for hurry := 0; ; {
		var n int
		var err error
		began := time.Now()
		if hurry < thick {
			n, err = w.poller.Wait(-1, events)
		} else {
			n, err = w.poller.Hold(patience, events)
		}
		if err != nil {
			panic("forward: " + err.Error()) // a fault of this program
		}
		switch gap := time.Since(began); {
		case gap < soon:
			hurry = min(hurry+1, 2*thick)
		case n == 0 && gap >= patience:
			hurry = 0
		case hurry > 0:
			hurry--
		}
		for i := range events[:n] {
			ev := &events[i]
			switch index := int(uint32(ev.Token)); ev.Token & tokenKind {
			case tokenSocket:
				if s := w.sockets.list[index]; s != nil {
					w.receive(s, ev.Error)
				}
			case tokenTap:
				if t := w.taps.list[index]; t != nil {
					w.transmit(t)
				}
			case tokenWake:
				if w.change() {
					return
				}
			}
		}
	}
}

// change does what is wanted; it reports whether that is to stop.
func (w *worker) change() (stop bool) {
	w.wake.Drain()
	w.mu.Lock()
	w.doing, w.changes = w.changes, w.doing[:0]
	w.mu.Unlock()
	for _, c := range w.doing {
		switch {
		case c.stop:
			w.end()
			return true
		case c.socket != nil && c.remove:
			if c.socket.worker == w.number {
				c.socket.shut()
				_ = w.poller.Remove(c.socket.fd)
				for w.receive(c.socket, false) {
				}
				w.sockets.remove(c.socket.slot)
			}
			c.socket.release()
		case c.socket != nil:
			c.socket.slot = w.sockets.add(c.socket)
			_ = w.poller.Add(c.socket.fd, tokenSocket|uint64(c.socket.slot), poll.Read)
		case c.remove:
			if w.tunnels[c.tunnel.key] == c.tunnel { // and not the next one of its addresses
				delete(w.tunnels, c.tunnel.key)
			}
			if c.tunnel.worker == w.number {
				_ = w.poller.Remove(c.tunnel.fd)
				w.taps.remove(c.tunnel.slot)
			}
			c.tunnel.release()
		default:
			w.tunnels[c.tunnel.key] = c.tunnel
			if c.tunnel.worker == w.number {
				c.tunnel.slot = w.taps.add(c.tunnel)
				_ = w.poller.Add(c.tunnel.fd, tokenTap|uint64(c.tunnel.slot), poll.Read)
			}
		}
	}
	clear(w.doing)
	return false
}

// slots are things by a small number, which epoll's tokens have.
type slots[T any] struct {
	list []*T // nil: free
	free []int
}

func (s *slots[T]) add(x *T) int {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		s.list[i] = x
		return i
	}
	s.list = append(s.list, x)
	return len(s.list) - 1
}

func (s *slots[T]) remove(i int) {
	s.list[i] = nil
	s.free = append(s.free, i)
}

// end lets go of everything.
func (w *worker) end() {
	for _, s := range w.sockets.list {
		if s != nil {
			_ = unix.Close(s.fd)
		}
	}
	for _, t := range w.tunnels {
		t.release()
	}
	w.close()
}

func (w *worker) drop(d Drop, n int) { w.engine.drops[d].Add(uint64(n)) }
