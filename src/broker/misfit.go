package broker

import "time"

// A frame comes up to a tunnel's socket when the kernel does not know its session
// (protocol.md, "Sockets"): both ends keep the tunnel alive by messages and mean different
// sessions, so that nothing passes. It takes a lost ERROR and a late PREPARE.

const (
	// misfitTime is for how long nothing else may come before the tunnel is closed.
	misfitTime = 3 * time.Second
	// misfitGap is how far apart such frames may be, and still be the same fault.
	misfitGap = 15 * time.Second
	// countGap is the least time between two looks at the interface's counter.
	countGap = time.Second
)

// misfit is what is known of frames that do not fit.
type misfit struct {
	since   time.Duration // of the first one after the last that fitted, 0: none
	last    time.Duration // of the last one
	asked   time.Duration // when the interface's frames were last to be counted
	frames  uint64        // how many there were then
	counted bool          // frames is known
}

// frame takes in a data packet that came to a socket, where a kernel that knows the
// session takes it first.
func (b *Broker) frame(now time.Duration, ev *Event, t *tunnel, session uint32) {
	if t == nil {
		t = b.pairs[pair{ev.Peer, ev.Local}]
	}
	switch {
	case t == nil:
		b.stranger(now, ev, 0)
		return
	case !t.stands() || session == t.session():
		// It came while the tunnel was not in the kernel yet, or to another socket.
		b.stats.Drops[DropFrame]++
		return
	}
	b.stats.Drops[DropMisfit]++
	if t.misfit == nil || now-t.misfit.last > misfitGap {
		t.misfit = &misfit{since: now}
	}
	m := t.misfit
	if m.last = now; m.asked == 0 || now-m.asked >= countGap {
		m.asked = now
		b.effect(EffectCount).Facts = t.facts()
	}
}

// counted takes in how many frames have come by a tunnel's interface.
func (b *Broker) counted(now time.Duration, t *tunnel, frames uint64) {
	m := t.misfit
	switch {
	case m == nil:
	case !m.counted || m.frames != frames:
		m.frames, m.counted, m.since = frames, true, now
	case now-m.since >= misfitTime:
		t.misfit = nil
		b.close(now, t, ClosedMisfit)
	}
}
