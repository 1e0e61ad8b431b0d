package broker

import (
	"time"

	"tunneldigger/src/tlv"
)

// drain is how a Broker goes out of service without a tunnel being cut.
type drain struct {
	on  bool
	gap time.Duration // between two tunnels that are closed, 0: they all stay
	at  time.Duration // when the next one is
}

// Drain switches draining on or off. While it is on, USAGE says that the Broker
// is full, and newcomers and those who wait are refused, so that they go
// elsewhere; standing tunnels stay. With a rate above 0, which is at most 65535,
// so many of them are closed a minute, by Tick. Effects are appended to out.
func (b *Broker) Drain(now time.Duration, on bool, rate int, out []Effect) []Effect {
	b.out = out
	b.drain.on, b.drain.gap = on, 0
	if on {
		if rate > 0 {
			b.drain.gap, b.drain.at = perMinute(rate), now
		}
		b.turnAway(RefusedDraining)
	}
	out, b.out = b.out, nil
	return out
}

// Draining reports whether the Broker is being drained, and how many tunnels it
// closes a minute.
func (b *Broker) Draining() (on bool, rate int) { return b.drain.on, b.drain.rate() }

func perMinute(rate int) time.Duration { return time.Minute / time.Duration(rate) }

func (d *drain) rate() int {
	if d.gap == 0 {
		return 0
	}
	return int(time.Minute / d.gap)
}

func (d *drain) append(dst []byte) []byte {
	dst = tlv.AppendUint(dst, tagRate, uint64(d.rate()))
	return tlv.AppendTime(dst, tagRelease, d.at)
}

func (d *drain) restore(record []byte) error {
	d.on = true
	f := tlv.Read(record)
	for f.Next() {
		switch f.Tag() {
		case tagRate:
			if rate := f.Uint16(); rate > 0 {
				d.gap = perMinute(int(rate))
			}
		case tagRelease:
			d.at = f.Time()
		}
	}
	return f.Err()
}

// turnAway empties the queue.
func (b *Broker) turnAway(why Reason) {
	for {
		r, ok := b.queue.Pop(1<<63 - 1)
		if !ok {
			return
		}
		b.refuse(r, why)
	}
}

// release closes what is to be closed by now. A loop that was late catches up
// on a second of it at most.
func (b *Broker) release(now time.Duration) {
	d := &b.drain
	for d.gap > 0 && d.at <= now && b.tunnels.count > 0 {
		d.at = max(d.at, now-time.Second) + d.gap
		t := b.tunnels.next(0)
		for t != nil && !t.stands() {
			t = b.tunnels.next(t.id + 1)
		}
		if t == nil { // the last ones are on their way
			d.at = now + time.Second
			return
		}
		b.close(now, t, ClosedDrained)
	}
}
