package poll

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newPoller(t testing.TB) *Poller {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func pair(t testing.TB) (a, b int) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

// wait returns the only event, or the zero one, which a time-out gives.
func wait(t testing.TB, p *Poller, timeout time.Duration) Event {
	t.Helper()
	var events [4]Event
	n, err := p.Wait(timeout, events[:])
	if err != nil || n > 1 {
		t.Fatalf("%d events, %v", n, err)
	}
	if n == 0 {
		return Event{}
	}
	return events[0]
}

// await returns the only event, however long it takes.
func await(t testing.TB, p *Poller) Event {
	t.Helper()
	for {
		if ev := wait(t, p, -1); ev != (Event{}) {
			return ev
		}
	}
}

func TestEvents(t *testing.T) {
	p := newPoller(t)
	a, b := pair(t)
	const token = 0xfedcba9876543210 // every bit comes back
	if err := p.Add(a, token, Read); err != nil {
		t.Fatal(err)
	}
	if err := p.Add(a, token, Read); !errors.Is(err, unix.EEXIST) {
		t.Errorf("twice: %v", err)
	}
	if ev := wait(t, p, 0); ev != (Event{}) {
		t.Errorf("nothing: %+v", ev)
	}
	unix.Write(b, []byte("x"))
	for range 2 { // level-triggered
		if ev := await(t, p); ev != (Event{Token: token, Readable: true}) {
			t.Errorf("readable: %+v", ev)
		}
	}
	var buf [1]byte
	unix.Read(a, buf[:])
	if ev := wait(t, p, 0); ev != (Event{}) {
		t.Errorf("read: %+v", ev)
	}
	if err := errors.Join(p.Remove(a), p.Add(a, 1, Read|Write)); err != nil {
		t.Fatal(err)
	}
	if ev := await(t, p); ev != (Event{Token: 1, Writable: true}) {
		t.Errorf("writable: %+v", ev)
	}
	unix.Shutdown(b, unix.SHUT_RDWR)
	if ev := await(t, p); ev != (Event{Token: 1, Readable: true, Writable: true, Hup: true}) {
		t.Errorf("hang-up: %+v", ev)
	}
	if err := p.Remove(a); err != nil {
		t.Fatal(err)
	}
	if ev := wait(t, p, 0); ev != (Event{}) {
		t.Errorf("removed: %+v", ev)
	}
	if err := p.Remove(a); !errors.Is(err, unix.ENOENT) {
		t.Errorf("removed twice: %v", err)
	}
	if err := p.Add(-1, 0, Read); !errors.Is(err, unix.EBADF) {
		t.Errorf("no descriptor: %v", err)
	}
	if _, err := p.Wait(0, nil); !errors.Is(err, unix.EINVAL) {
		t.Errorf("no room: %v", err)
	}
}

func TestMoreEventsThanRoom(t *testing.T) {
	p := newPoller(t)
	for token := range uint64(3) {
		w, err := NewWake()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		w.Notify()
		if err := p.Add(w.FD(), token, Read); err != nil {
			t.Fatal(err)
		}
	}
	seen := make(map[uint64]bool)
	for range 3 { // the kernel takes turns
		var events [2]Event
		n, err := p.Wait(0, events[:])
		if n != 2 || err != nil {
			t.Fatal(n, err)
		}
		seen[events[0].Token], seen[events[1].Token] = true, true
	}
	if len(seen) != 3 {
		t.Errorf("saw %v", seen)
	}
}

func TestTimeout(t *testing.T) {
	p := newPoller(t)
	if ev := wait(t, p, time.Nanosecond); ev != (Event{}) {
		t.Errorf("%+v", ev)
	}
	for d, want := range map[time.Duration]int{
		-1: -1, math.MinInt64: -1, 0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, time.Hour: 3600_000, math.MaxInt64: math.MaxInt32,
	} {
		if got := milliseconds(d); got != want {
			t.Errorf("%v: %d ms, want %d", d, got, want)
		}
	}
}

// Whatever went before, a Wait takes its time, and not less.
func TestTimeoutAfterTimeout(t *testing.T) {
	p := newPoller(t)
	w, err := NewWake()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := p.Add(w.FD(), 5, Read); err != nil {
		t.Fatal(err)
	}
	for _, timeout := range []time.Duration{3 * time.Millisecond, 3 * time.Millisecond, time.Millisecond, -1, time.Hour, -1, 5 * time.Millisecond} {
		if timeout < 0 || timeout == time.Hour {
			go w.Notify()
			if ev := wait(t, p, timeout); ev.Token != 5 {
				t.Errorf("%v: %+v", timeout, ev)
			}
			w.Drain()
			continue
		}
		start := time.Now()
		if ev := wait(t, p, timeout); ev != (Event{}) {
			t.Errorf("%v: %+v", timeout, ev)
		}
		if took := time.Since(start); took < timeout {
			t.Errorf("%v: took only %v", timeout, took)
		}
	}
	w.Notify()
	if ev := wait(t, p, time.Nanosecond); ev.Token != 5 {
		t.Errorf("ready: %+v", ev)
	}
}

// Two loops wake one another: an event that one of them missed would end it.
func TestNoEventIsMissed(t *testing.T) {
	const rounds = 5000
	var loops [2]*Poller
	var wakes [2]*Wake
	for i := range loops {
		var err error
		if wakes[i], err = NewWake(); err != nil {
			t.Fatal(err)
		}
		defer wakes[i].Close()
		loops[i] = newPoller(t)
		if err := loops[i].Add(wakes[i].FD(), uint64(i), Read); err != nil {
			t.Fatal(err)
		}
	}
	run := func(i int) (err error) {
		var events [4]Event
		for range rounds {
			n, err := loops[i].Wait(2*time.Minute, events[:])
			if n != 1 || err != nil || events[0].Token != uint64(i) {
				return fmt.Errorf("loop %d: %d events, %v", i, n, err)
			}
			wakes[i].Drain()
			wakes[1-i].Notify()
		}
		return nil
	}
	other := make(chan error)
	go func() { other <- run(1) }()
	wakes[0].Notify()
	if err := errors.Join(run(0), <-other); err != nil {
		t.Error(err)
	}
}

func TestSignalsPassUnnoticed(t *testing.T) {
	p := newPoller(t)
	// The runtime interrupts a thread with SIGURG to preempt it; here it gets many.
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				unix.Kill(unix.Getpid(), unix.SIGURG)
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	if ev := wait(t, p, 50*time.Millisecond); ev != (Event{}) {
		t.Errorf("%+v", ev)
	}
}

func TestWake(t *testing.T) {
	p := newPoller(t)
	w, err := NewWake()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := p.Add(w.FD(), 5, Read); err != nil {
		t.Fatal(err)
	}
	w.Drain() // without a notification: does not block
	go w.Notify()
	if ev := await(t, p); ev != (Event{Token: 5, Readable: true}) {
		t.Errorf("%+v", ev)
	}
	w.Notify()
	w.Notify()
	w.Drain()
	if ev := wait(t, p, 0); ev != (Event{}) {
		t.Errorf("drained: %+v", ev)
	}
}

func TestNoAllocation(t *testing.T) {
	p := newPoller(t)
	w, err := NewWake()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := p.Add(w.FD(), 1, Read); err != nil {
		t.Fatal(err)
	}
	events := make([]Event, 8)
	if n := testing.AllocsPerRun(100, func() {
		w.Notify()
		p.Wait(-1, events)
		w.Drain()
		p.Wait(0, events)
		p.Wait(time.Nanosecond, events)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
