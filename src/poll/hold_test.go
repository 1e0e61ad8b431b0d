package poll

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Whichever way it waits, and whichever way it did before, it hears of what comes meanwhile.
func TestHold(t *testing.T) {
	p := newPoller(t)
	a, b := pair(t)
	if err := p.Add(a, 7, Read); err != nil {
		t.Fatal(err)
	}
	var events [2]Event
	if n, err := p.Hold(time.Millisecond, events[:]); n != 0 || err != nil {
		t.Errorf("nothing: %d, %v", n, err)
	}
	if _, err := p.Hold(time.Millisecond, nil); !errors.Is(err, unix.EINVAL) {
		t.Errorf("no room: %v", err)
	}
	waiting, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for range waiting {
			unix.Write(b, []byte("x"))
		}
	}()
	for i := range 400 {
		waiting <- struct{}{}
		n, err := 0, error(nil)
		for n == 0 && err == nil { // until it has come
			if i/3%2 == 0 { // three times the one, three times the other
				n, err = p.Hold(20*time.Millisecond, events[:])
			} else {
				n, err = p.Wait(-1, events[:])
			}
		}
		if n != 1 || err != nil || events[0] != (Event{Token: 7, Readable: true}) {
			t.Fatalf("%d: %d, %v, %+v", i, n, err, events)
		}
		var buf [1]byte
		unix.Read(a, buf[:])
	}
	close(waiting)
	<-ended
	// What came while it held is there for one that waits.
	unix.Write(b, []byte("x"))
	if _, err := p.Hold(time.Second, events[:]); err != nil {
		t.Error(err)
	}
	if ev := await(t, p); ev != (Event{Token: 7, Readable: true}) {
		t.Errorf("after it: %+v", ev)
	}
}
