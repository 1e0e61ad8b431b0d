package web

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

const (
	hour = time.Hour
	// most is how many points an hour has, with one every ten seconds and some to spare.
	most = 400
)

// Point is what a broker did at one time.
type Point struct {
	Time    int64    `json:"time"` // seconds since 1970
	Tunnels int      `json:"tunnels"`
	Waiting int      `json:"waiting"`
	Rx      *float64 `json:"rx"` // bit/s from clients since the point before, null: not known
	Tx      *float64 `json:"tx"` // bit/s to clients
}

// look is what a point takes of a status.
type look struct {
	PID     int `json:"pid"`
	Brokers []struct {
		Queued int `json:"queued"`
	} `json:"brokers"`
	Tunnels []struct {
		ID        uint32 `json:"id"`
		Interface string `json:"interface"`
		Broker    string `json:"broker"`
		Rx        uint64 `json:"rx_bytes"`
		Tx        uint64 `json:"tx_bytes"`
	} `json:"tunnels"`
}

type counters struct{ rx, tx uint64 }

// history keeps the points of the last hour. It is safe for concurrent use.
type history struct {
	mu     sync.Mutex
	points []Point
	pid    int
	at     time.Time // of the look before
	before map[string]counters
}

// add takes in a status, as the broker printed it at a time.
func (h *history) add(at time.Time, status []byte) error {
	var l look
	if err := json.Unmarshal(status, &l); err != nil {
		return fmt.Errorf("the broker's status: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	p := Point{Time: at.Unix(), Tunnels: len(l.Tunnels)}
	for i := range l.Brokers {
		p.Waiting += l.Brokers[i].Queued
	}
	now := make(map[string]counters, len(l.Tunnels))
	var sum counters
	for i := range l.Tunnels {
		t := &l.Tunnels[i]
		name := t.Broker + "\n" + t.Interface
		now[name] = counters{t.Rx, t.Tx}
		if old, ok := h.before[name]; ok && t.Rx >= old.rx && t.Tx >= old.tx { // else it is another tunnel by now
			sum.rx += t.Rx - old.rx
			sum.tx += t.Tx - old.tx
		}
	}
	if span := at.Sub(h.at).Seconds(); h.before != nil && h.pid == l.PID && span > 0 {
		rx, tx := 8*float64(sum.rx)/span, 8*float64(sum.tx)/span
		p.Rx, p.Tx = &rx, &tx
	}
	h.pid, h.at, h.before = l.PID, at, now
	h.points = append(h.points, p)
	for len(h.points) > most || h.points[0].Time < at.Add(-hour).Unix() {
		h.points = h.points[1:]
	}
	return nil
}

// last returns the points, the oldest first; the caller owns them.
func (h *history) last() []Point {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Point{}, h.points...)
}
