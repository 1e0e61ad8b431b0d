package admission

import (
	"net/netip"
	"time"
)

// Patience is how long a newcomer may wait in the queue. A client repeats
// PREPARE for 15 s before it gives up on a broker (protocol.md, "Set-up"); what
// is served within 12 s still finds it there.
const Patience = 12 * time.Second

// Queue holds newcomers in the order in which they came, each key once. It is
// paced: one entry leaves per interval. A Queue with interval 0 has no room
// and is never needed: Ready is always true.
//
// It is shared out fairly between sources. One source may have all of it while
// nobody else wants any; when it is full, a newcomer of a source that has less
// takes the place of the last one of the source that has the most. So who waits
// is served in time, or told at once that it will not be.
type Queue[K comparable, V any] struct {
	interval time.Duration
	next     time.Duration // when the next one may go
	index    map[K]int32   // into places
	sources  map[netip.Addr]int
	places   []place[K, V] // the first is the ring's hinge: before the first, after the last
	free     int32         // the first free place, linked by after; 0: none but new ones
	room     int
}

type place[K comparable, V any] struct {
	_             [0]func() // not to be compared: that would be code for nothing
	before, after int32
	key           K
	source        netip.Addr
	value         V
}

// largestRoom is more than there can be tunnels, and an int of 32 bits holds it.
const largestRoom = 1 << 17

// NewQueue makes a queue that lets one newcomer through per interval and has
// room for those who can be served within Patience, at least one.
func NewQueue[K comparable, V any](interval time.Duration) *Queue[K, V] {
	q := &Queue[K, V]{interval: interval}
	if interval > 0 {
		q.room = max(1, int(min(Patience/interval, largestRoom)))
		q.index, q.sources = make(map[K]int32), make(map[netip.Addr]int)
		q.places = make([]place[K, V], 1)
	}
	return q
}

// Ready reports whether a newcomer may be served at now without waiting.
func (q *Queue[K, V]) Ready(now time.Duration) bool {
	return q.interval == 0 || len(q.index) == 0 && now >= q.next
}

// Served notes that a newcomer was served at now: the next one may follow an
// interval later. Time that nobody used is not saved up: two tunnels are never
// closer than the interval, as connection_rate_limit promises.
func (q *Queue[K, V]) Served(now time.Duration) { q.next = now + q.interval }

// Get finds the entry of key; the pointer is good until the next Push.
func (q *Queue[K, V]) Get(key K) (*V, bool) {
	i, ok := q.index[key]
	if !ok {
		return nil, false
	}
	return &q.places[i].value, true
}

// Push puts a newcomer from a source at the end; false when there is no room for
// it. The key must not be in the queue. gone is who had to leave for it, if moved
// says so.
func (q *Queue[K, V]) Push(key K, source netip.Addr, value V) (gone V, moved, ok bool) {
	if len(q.index) >= q.room {
		last := q.richest(q.sources[source])
		if last == 0 {
			return gone, false, false
		}
		gone, moved = q.remove(last), true
	}
	i := q.free
	if i == 0 {
		i = int32(len(q.places))
		q.places = append(q.places, place[K, V]{})
	} else {
		q.free = q.places[i].after
	}
	before := q.places[0].before
	q.places[i] = place[K, V]{before: before, key: key, source: source, value: value}
	q.places[before].after, q.places[0].before = i, i
	q.index[key] = i
	q.sources[source]++
	return gone, moved, true
}

// richest finds the last newcomer of the source that has the most; 0 if none has
// two more than has, so that nothing would be fairer without it.
func (q *Queue[K, V]) richest(has int) (last int32) {
	if len(q.sources) == len(q.index) { // each has one
		return 0
	}
	most := has + 1
	for i := q.places[0].before; i != 0; i = q.places[i].before {
		if n := q.sources[q.places[i].source]; n > most {
			last, most = i, n
		}
	}
	return last
}

// Pop takes the first newcomer if one may be served at now. The caller says by
// Served whether it made use of the turn; a stale entry costs none.
func (q *Queue[K, V]) Pop(now time.Duration) (value V, ok bool) {
	if len(q.index) == 0 || now < q.next {
		return value, false
	}
	return q.remove(q.places[0].after), true
}

// Remove takes out, in order, all those that out says true of, and hands each to
// gone. Both are not to touch the queue.
func (q *Queue[K, V]) Remove(out func(*V) bool, gone func(*V)) {
	if len(q.index) == 0 {
		return
	}
	for i := q.places[0].after; i != 0; {
		after := q.places[i].after
		if out(&q.places[i].value) {
			value := q.remove(i)
			gone(&value)
		}
		i = after
	}
}

func (q *Queue[K, V]) remove(i int32) V {
	p := q.places[i]
	q.places[p.before].after, q.places[p.after].before = p.after, p.before
	delete(q.index, p.key)
	if q.sources[p.source]--; q.sources[p.source] == 0 {
		delete(q.sources, p.source)
	}
	q.places[i] = place[K, V]{after: q.free}
	q.free = i
	return p.value
}

// Each calls f for every newcomer that waits, in order.
func (q *Queue[K, V]) Each(f func(key K, value *V)) {
	if len(q.index) == 0 {
		return
	}
	for i := q.places[0].after; i != 0; i = q.places[i].after {
		f(q.places[i].key, &q.places[i].value)
	}
}

// Due is when Pop has something to give; ok is false while the queue is empty.
func (q *Queue[K, V]) Due() (at time.Duration, ok bool) { return q.next, len(q.index) > 0 }

// Resume has the next newcomer go at the time that Due of another Queue gave.
func (q *Queue[K, V]) Resume(next time.Duration) { q.next = next }

// Len is the number of newcomers that wait.
func (q *Queue[K, V]) Len() int { return len(q.index) }

// Room is how many can wait at most.
func (q *Queue[K, V]) Room() int { return q.room }
