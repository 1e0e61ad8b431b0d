package admission

import "time"

// Patience is how long a newcomer may wait in the queue. A client repeats
// PREPARE for 15 s before it gives up on a broker (PROTOCOL.md, "Set-up"); what
// is served within 12 s still finds it there.
const Patience = 12 * time.Second

// Queue holds newcomers in the order in which they came, each key once. It is
// paced: one entry leaves per interval. A Queue with interval 0 has no room
// and is never needed: Ready is always true.
type Queue[K comparable, V any] struct {
	interval time.Duration
	next     time.Duration // when the next one may go
	values   map[K]*V
	order    []K // a ring of fixed length
	first    int
	length   int
}

// NewQueue makes a queue that lets one newcomer through per interval and has
// room for those who can be served within Patience, at least one.
func NewQueue[K comparable, V any](interval time.Duration) *Queue[K, V] {
	q := &Queue[K, V]{interval: interval}
	if interval > 0 {
		q.order = make([]K, max(1, int(Patience/interval)))
		q.values = make(map[K]*V)
	}
	return q
}

// Ready tells whether a newcomer may be served at now without waiting.
func (q *Queue[K, V]) Ready(now time.Duration) bool {
	return q.interval == 0 || q.length == 0 && now >= q.next
}

// Served notes that a newcomer was served at now: the next one may follow an
// interval later. Time that nobody used is not saved up: two tunnels are never
// closer than the interval, as connection_rate_limit promises.
func (q *Queue[K, V]) Served(now time.Duration) { q.next = now + q.interval }

// Get finds the entry of key; the pointer is good until the entry leaves.
func (q *Queue[K, V]) Get(key K) (*V, bool) {
	v, ok := q.values[key]
	return v, ok
}

// Push puts a newcomer at the end; false when there is no room. The key must
// not be in the queue.
func (q *Queue[K, V]) Push(key K, value V) bool {
	if q.length == len(q.order) {
		return false
	}
	q.order[(q.first+q.length)%len(q.order)] = key
	q.length++
	q.values[key] = &value
	return true
}

// Pop takes the first newcomer if one may be served at now. The caller says by
// Served whether it made use of the turn; a stale entry costs none.
func (q *Queue[K, V]) Pop(now time.Duration) (value V, ok bool) {
	if q.length == 0 || now < q.next {
		return value, false
	}
	var none K
	key := q.order[q.first]
	q.order[q.first] = none
	q.first = (q.first + 1) % len(q.order)
	q.length--
	value = *q.values[key]
	delete(q.values, key)
	return value, true
}

// Remove takes out, in order, all those that out says true of, and hands each to
// gone. Both are not to touch the queue.
func (q *Queue[K, V]) Remove(out func(*V) bool, gone func(*V)) {
	kept := 0
	for i := 0; i < q.length; i++ {
		key := q.order[(q.first+i)%len(q.order)]
		v := q.values[key]
		if out(v) {
			delete(q.values, key)
			gone(v)
			continue
		}
		q.order[(q.first+kept)%len(q.order)] = key
		kept++
	}
	q.length = kept
}

// Due is when Pop has something to give; ok is false while the queue is empty.
func (q *Queue[K, V]) Due() (at time.Duration, ok bool) { return q.next, q.length > 0 }

// Len is the number of newcomers that wait.
func (q *Queue[K, V]) Len() int { return q.length }

// Room is how many can wait at most.
func (q *Queue[K, V]) Room() int { return len(q.order) }

// Each calls f for every newcomer that waits, in order.
func (q *Queue[K, V]) Each(f func(key K, value *V)) {
	for n := 0; n < q.length; n++ {
		key := q.order[(q.first+n)%len(q.order)]
		f(key, q.values[key])
	}
}

// Resume has the next newcomer go at the time that Due of another Queue gave.
func (q *Queue[K, V]) Resume(next time.Duration) { q.next = next }
