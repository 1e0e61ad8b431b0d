package admission

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

const ms = time.Millisecond

// push puts a newcomer in from a source of its own.
func push[K comparable, V any](q *Queue[K, V], key K, value V) bool {
	var source [16]byte
	copy(source[:], fmt.Sprint(key))
	_, moved, ok := q.Push(key, netip.AddrFrom16(source), value)
	return ok && !moved
}

func TestQueueOff(t *testing.T) {
	q := NewQueue[int, string](0)
	for i := 0; i < 3; i++ {
		if !q.Ready(0) {
			t.Fatal("not ready without an interval")
		}
		q.Served(0)
	}
	if push(q, 1, "a") || q.Room() != 0 {
		t.Error("a queue without an interval has room")
	}
	if _, ok := q.Get(1); ok {
		t.Error("found what is not there")
	}
	if _, ok := q.Pop(time.Hour); ok {
		t.Error("something came out of an empty queue")
	}
	if _, ok := q.Due(); ok {
		t.Error("an empty queue is due")
	}
}

func TestQueueRoom(t *testing.T) {
	for _, test := range []struct {
		interval time.Duration
		want     int
	}{
		{50 * ms, 240}, {200 * ms, 60}, {5 * time.Second, 2}, {12 * time.Second, 1}, {time.Hour, 1},
	} {
		if got := NewQueue[int, int](test.interval).Room(); got != test.want {
			t.Errorf("interval %v: room for %d, want %d", test.interval, got, test.want)
		}
	}
}

// Two newcomers are never served closer to one another than the interval, and
// time that nobody used is not saved up.
// The shortest of intervals makes room for no more than can be counted anywhere.
func TestQueueRoomOfManyBits(t *testing.T) {
	if room := NewQueue[int, string](1).Room(); room != largestRoom {
		t.Errorf("room %d, want %d", room, largestRoom)
	}
}

func TestQueuePacing(t *testing.T) {
	q := NewQueue[int, int](100 * ms)
	for _, step := range []struct {
		at    time.Duration
		ready bool
	}{
		{0, true}, {0, false}, {100*ms - 1, false}, {100 * ms, true}, {150 * ms, false},
		{10000 * ms, true}, {10000 * ms, false}, {10099 * ms, false}, {10120 * ms, true}, {10219 * ms, false}, {10220 * ms, true},
	} {
		if got := q.Ready(step.at); got != step.ready {
			t.Errorf("at %v: ready %v", step.at, got)
		}
		if step.ready {
			q.Served(step.at)
		}
	}
}

func TestQueueOrder(t *testing.T) {
	q := NewQueue[int, int](time.Second)
	q.Served(0)
	for i := 0; i < q.Room(); i++ {
		if q.Ready(0) {
			t.Fatal("ready while others wait")
		}
		if !push(q, i, i) {
			t.Fatalf("no room for %d", i)
		}
	}
	if push(q, 99, 99) {
		t.Error("more pushed than there is room for")
	}
	if q.Len() != q.Room() {
		t.Errorf("%d wait, want %d", q.Len(), q.Room())
	}
	// Around the ring several times: what leaves makes room at the end.
	for i := 0; i < 5*q.Room(); i++ {
		at, ok := q.Due()
		if want := time.Duration(i+1) * time.Second; !ok || at != want {
			t.Fatalf("due at %v, want %v", at, want)
		}
		if _, ok := q.Pop(at - 1); ok {
			t.Fatalf("%d came too early", i)
		}
		if q.Ready(at) {
			t.Fatal("a newcomer may overtake those who wait")
		}
		v, ok := q.Pop(at)
		if !ok || v != i {
			t.Fatalf("got %d, want %d", v, i)
		}
		if _, ok := q.Get(i); ok {
			t.Fatalf("%d is still found", i)
		}
		q.Served(at)
		if !push(q, i+q.Room(), i+q.Room()) {
			t.Fatalf("no room again after %d left", i)
		}
	}
}

func TestQueueGet(t *testing.T) {
	q := NewQueue[string, int](time.Second)
	q.Served(0)
	push(q, "a", 1)
	push(q, "b", 2)
	v, ok := q.Get("a")
	if !ok || *v != 1 {
		t.Fatal("what was pushed is not found")
	}
	*v = 10 // a retry keeps its place
	if got, _ := q.Pop(time.Second); got != 10 {
		t.Errorf("got %d, want the changed value", got)
	}
}

// An entry that the caller finds to be stale costs no turn.
func TestQueueStale(t *testing.T) {
	q := NewQueue[string, int](time.Second)
	q.Served(0)
	push(q, "stale", 1)
	push(q, "next", 2)
	if v, ok := q.Pop(time.Second); !ok || v != 1 {
		t.Fatalf("got %d", v)
	}
	if v, ok := q.Pop(time.Second); !ok || v != 2 {
		t.Fatalf("got %d, want the one behind the stale one at once", v)
	}
	if q.Ready(time.Second) != true {
		t.Error("nobody was served, so a newcomer may be")
	}
}

func TestQueueRemove(t *testing.T) {
	q := NewQueue[int, int](time.Second) // room for 12
	q.Served(0)
	for i := 0; i < 5; i++ {
		push(q, 100+i, 0)
		q.Pop(time.Second)
	}
	for i := 0; i < 12; i++ { // across the end of the ring
		push(q, i, i)
	}
	var gone []int
	q.Remove(func(v *int) bool { return *v%3 == 0 }, func(v *int) { gone = append(gone, *v) })
	if !slices.Equal(gone, []int{0, 3, 6, 9}) || q.Len() != 8 {
		t.Errorf("%v are gone, %d wait", gone, q.Len())
	}
	if _, ok := q.Get(3); ok {
		t.Error("what is gone is found")
	}
	push(q, 12, 12)
	for _, want := range []int{1, 2, 4, 5, 7, 8, 10, 11, 12} {
		if v, ok := q.Pop(time.Hour); !ok || v != want {
			t.Errorf("got %d, want %d", v, want)
		}
	}
	if q.Len() != 0 || len(q.sources) != 0 {
		t.Errorf("%d and %d left", q.Len(), len(q.sources))
	}
}

func site(n byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, n}) }

// One source may fill the queue while nobody else comes, and gives way then: its
// last ones first, until nobody has two more than another.
func TestQueueIsFair(t *testing.T) {
	q := NewQueue[int, int](time.Second) // room for 12
	q.Served(0)
	for i := 0; i < 12; i++ {
		if _, moved, ok := q.Push(i, site(1), i); moved || !ok {
			t.Fatalf("no room for %d", i)
		}
	}
	if _, _, ok := q.Push(12, site(1), 12); ok {
		t.Error("a source took from itself")
	}
	var gone []int
	for i := 100; i < 106; i++ {
		v, moved, ok := q.Push(i, site(2), i)
		if !moved || !ok {
			t.Fatalf("no room for %d", i)
		}
		gone = append(gone, v)
	}
	if _, _, ok := q.Push(106, site(2), 106); ok {
		t.Error("a source took what is another's share")
	}
	for i := 200; i < 204; i++ { // of two that have the same, who came last
		v, moved, ok := q.Push(i, site(3), i)
		if !moved || !ok {
			t.Fatalf("no room for %d", i)
		}
		gone = append(gone, v)
	}
	if want := []int{11, 10, 9, 8, 7, 6, 105, 5, 104, 4}; !slices.Equal(gone, want) {
		t.Errorf("had to go: %v, want %v", gone, want)
	}
	var order []int
	q.Each(func(_ int, v *int) { order = append(order, *v) })
	if want := []int{0, 1, 2, 3, 100, 101, 102, 103, 200, 201, 202, 203}; !slices.Equal(order, want) {
		t.Errorf("in order: %v, want %v", order, want)
	}
}

// Its books stay right whatever happens, and a source alone is never more than
// one above the others when somebody was turned away.
func TestQueueBooks(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	q := NewQueue[int, int](time.Second)
	now := time.Duration(0)
	waits := map[int]byte{}
	for i := 0; i < 20000; i++ {
		switch random.IntN(4) {
		case 0:
			now += 700 * ms
			if v, ok := q.Pop(now); ok {
				q.Served(now)
				delete(waits, v)
			}
		case 1:
			if random.IntN(20) == 0 {
				q.Remove(func(v *int) bool { return *v%2 == 0 }, func(v *int) { delete(waits, *v) })
			}
		default:
			from := byte(random.IntN(1 + i/1000))
			v, moved, ok := q.Push(i, site(from), i)
			if moved {
				delete(waits, v)
			}
			if ok {
				waits[i] = from
				break
			}
			if q.Len() < q.Room() {
				t.Fatal("turned away although there is room")
			}
			count := map[byte]int{}
			for _, s := range waits {
				count[s]++
			}
			for s, n := range count {
				if n > count[from]+1 {
					t.Fatalf("source %d has %d, %d has %d and was turned away", s, n, from, count[from])
				}
			}
		}
		last, n := -1, 0
		q.Each(func(key int, v *int) {
			if got, ok := q.Get(key); key != *v || !ok || got != v || key <= last {
				t.Fatalf("%d after %d: %d", key, last, *v)
			}
			if _, ok := waits[key]; !ok {
				t.Fatalf("%d waits", key)
			}
			last = key
			n++
		})
		if n != len(waits) || n != q.Len() || n > q.Room() || len(q.places) > 1+q.Room() {
			t.Fatalf("%d wait, %d are counted, want %d; %d places", n, q.Len(), len(waits), len(q.places))
		}
	}
}
