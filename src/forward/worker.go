package forward

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunneldigger/src/offload"
)

// worker carries frames on one thread. Everything but what mu guards is its own.
type worker struct {
	engine *Engine
	number int
	load   int // how many TAP devices it has, or will have; the owner's
	epoll  int
	event  int // an eventfd

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
	tokenSocket = iota
	tokenTap
	tokenEvent
)

// turn is how many events are taken at once.
const turn = 64

func newWorker(e *Engine) (_ *worker, err error) {
	w := &worker{engine: e, number: len(e.workers), epoll: -1, event: -1, tunnels: make(map[key]*Tunnel)}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	if w.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	if err = w.watch(w.event, tokenEvent, 0); err != nil {
		return nil, err
	}
	w.in = make([]byte, 65536)
	w.frame = make([]byte, offload.MaxFrame)
	w.train = offload.NewTrain()
	w.joiner.Emit = w.write
	return w, nil
}

func (w *worker) close() {
	for _, fd := range []int{w.epoll, w.event} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

func (w *worker) watch(fd int, kind, index int) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(index), Pad: int32(kind)}
	if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// do has a change made between two turns.
func (w *worker) do(c change) {
	w.mu.Lock()
	w.changes = append(w.changes, c)
	w.mu.Unlock()
	one := uint64(1)
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, uintptr(w.event), uintptr(unsafe.Pointer(&one)), 8)
}

// run is the worker's life. It keeps its thread, which spends nearly all of its time in the kernel.
func (w *worker) run() {
	defer w.engine.running.Done()
	runtime.LockOSThread()
	var events [turn]unix.EpollEvent
	for {
		n, err := unix.EpollWait(w.epoll, events[:], -1)
		if err != nil && err != unix.EINTR {
			panic("forward: epoll_wait: " + err.Error()) // a fault of this program
		}
		for i := range events[:max(n, 0)] {
			ev := &events[i]
			switch index := int(ev.Fd); ev.Pad {
			case tokenSocket:
				if s := w.sockets.list[index]; s != nil {
					w.receive(s, ev.Events)
				}
			case tokenTap:
				if t := w.taps.list[index]; t != nil {
					w.transmit(t)
				}
			case tokenEvent:
				if w.change() {
					return
				}
			}
		}
	}
}

// change does what is wanted; it reports whether that is to stop.
func (w *worker) change() (stop bool) {
	var count uint64
	_, _, _ = unix.RawSyscall(unix.SYS_READ, uintptr(w.event), uintptr(unsafe.Pointer(&count)), 8)
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
				_ = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_DEL, c.socket.fd, nil)
				for w.receive(c.socket, 0) {
				}
				w.sockets.remove(c.socket.slot)
			}
			c.socket.release()
		case c.socket != nil:
			c.socket.slot = w.sockets.add(c.socket)
			_ = w.watch(c.socket.fd, tokenSocket, c.socket.slot)
		case c.remove:
			if w.tunnels[c.tunnel.key] == c.tunnel { // and not the next one of its addresses
				delete(w.tunnels, c.tunnel.key)
			}
			if c.tunnel.worker == w.number {
				_ = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_DEL, c.tunnel.fd, nil)
				w.taps.remove(c.tunnel.slot)
			}
			c.tunnel.release()
		default:
			w.tunnels[c.tunnel.key] = c.tunnel
			if c.tunnel.worker == w.number {
				c.tunnel.slot = w.taps.add(c.tunnel)
				_ = w.watch(c.tunnel.fd, tokenTap, c.tunnel.slot)
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
