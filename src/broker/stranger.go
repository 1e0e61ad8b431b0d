package broker

import (
	"net/netip"
	"time"

	"tunneldigger/src/admission"
	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// A client whose tunnel this broker does not know (any more) goes on sending into
// it until it has heard nothing for a minute. ERROR brings it back at once, and
// does not make it avoid this broker (protocol.md, "While the tunnel stands").

const (
	// tellGap is the least time between two strangers that are told: without a rate
	// limit nothing else says how fast newcomers may come.
	tellGap = 5 * time.Millisecond
	// tellBurst is how much telling may be saved up, at least that for two.
	tellBurst = time.Second
	// tellAgain is how long a stranger is left alone after it was told. It says
	// something every 5 s, so that it is told again if the first word was lost. One that
	// is setting up its next tunnel must not be told: it would take it for a refusal.
	tellAgain = 4 * time.Second
	// returning is how long a client may take to come back: it asks all the brokers it
	// knows, and waits for answers for up to 10 s.
	returning = 12 * time.Second
	// tellShare is how many of one source (IPv6: a /64) go ahead of others in a period
	// of seen.
	tellShare = 4
	// rowTime is what the row takes in, in the time that it takes to tell them, and rowMost
	// in number. Of sources of which many are told, half as much: until they speak again.
	rowTime = 10 * time.Second
	rowMost = 1000
)

// strangers paces what clients without a tunnel are told. A token bucket, as in
// shedder: its second half is for those who were heard a while before, too, as real
// clients are every 5 s, and of whose source few were told. So a flood from forged
// addresses, or from one, leaves room for everybody else.
//
// Clients that came at once speak at once, every 5 s. Those heard a while before wait in
// a row for the next token, or most tokens would come when nobody speaks.
type strangers struct {
	full  time.Duration // when the bucket is full again
	told  []stranger    // those told of late, in order
	index map[pair]time.Duration
	seen  seen
	row   []waiter
	waits map[pair]bool // those in the row that still wait
}

// waiter is one that is told when there is a token.
type waiter struct {
	pair
	listener int
}

// stranger is one that was told.
type stranger struct {
	pair
	at time.Duration
}

// stranger takes in a message of an established tunnel, or a frame, from a
// conversation without a tunnel: the client is told that its tunnel is gone, if it can
// have another one now, or soon.
func (b *Broker) stranger(now time.Duration, ev *Event, kind wire.Type) {
	from := pair{ev.Peer, ev.Local}
	if !clientSends(kind) || len(ev.Data) < wire.MinSize || !b.mayTell(now, from, ev.Listener) {
		b.stats.Drops[DropStranger]++
		return
	}
	b.tell(now, from, ev.Listener)
}

// tell tells a stranger that its tunnel is gone.
func (b *Broker) tell(now time.Duration, to pair, listener int) {
	s := &b.strangers
	s.full = max(s.full, now) + b.tellStep()
	s.told = append(s.told, stranger{to, now})
	if s.index == nil {
		s.index = make(map[pair]time.Duration)
	}
	s.index[to] = now
	delete(s.waits, to)
	b.stats.Told++
	e := b.reply(to, listener)
	e.length = uint8(len(wire.AppendErrorReason(e.message[:0], wire.ReasonBrokerTimeout)))
}

// clientSends reports whether clients send messages of this kind into a standing tunnel, 0
// for frames. ERROR is not among them: answered by ERROR, two ends would go on for ever.
func clientSends(kind wire.Type) bool {
	switch kind {
	case 0, wire.TypeKeepalive, wire.TypePMTUD, wire.TypePMTUDAck, wire.TypePMTUNtfy, wire.TypeLimit:
		return true
	}
	return false
}

// mayTell reports whether a stranger may be told now. One that may be told soon is put
// into the row.
func (b *Broker) mayTell(now time.Duration, from pair, listener int) bool {
	s, step := &b.strangers, b.tellStep()
	if step == 0 || !b.mayReturn(now, from) {
		return false
	}
	// Where a UUID may have one tunnel only, that of a client whose NAT gave it another
	// port is silent for long enough when it comes back.
	burst, ahead, patient := tellBurstOf(step), max(s.full, now)+step-now, b.config.UUIDPolicy == config.UUIDReplace
	if ahead > burst/2 || patient {
		before, fair := s.seen.note(now, from.peer, b.options.Jar)
		if !before {
			return false
		}
		if ahead > burst || !fair {
			most := min(int(rowTime/step), rowMost)
			if !fair {
				most /= 2
			}
			s.queue(from, listener, most)
			return false
		}
	}
	s.seen.count(from.peer.Addr(), b.options.Jar)
	return true
}

// tellBurstOf is how much telling may be saved up.
func tellBurstOf(step time.Duration) time.Duration { return max(tellBurst, 2*step) }

// mayReturn reports whether a stranger could have another tunnel now. One that was told
// of late is left alone.
func (b *Broker) mayReturn(now time.Duration, from pair) bool {
	b.strangers.forget(now)
	at, told := b.strangers.index[from]
	return !(told && now-at < tellAgain) && !b.lists.bars(from.peer.Addr()) && b.hasRoom(now, from.peer.Addr())
}

// queue puts a stranger into the row, unless it waits already or most do.
func (s *strangers) queue(from pair, listener, most int) {
	if len(s.row) >= most || s.waits[from] {
		return
	}
	if s.waits == nil {
		s.waits = make(map[pair]bool)
	}
	s.waits[from] = true
	s.row = append(s.row, waiter{from, listener})
}

// comes is called when somebody begins to set up a tunnel: it would take ERROR for a
// refusal now.
func (s *strangers) comes(from pair) { delete(s.waits, from) }

// due is when the first of the row is to be told; false: nobody waits.
func (s *strangers) due(step time.Duration) (time.Duration, bool) {
	return s.full + step - tellBurstOf(step), len(s.row) > 0
}

// tellRow tells those of the row whose turn it is.
func (b *Broker) tellRow(now time.Duration) {
	s, n := &b.strangers, 0
	for ; n < len(s.row); n++ {
		step := b.tellStep()
		if at, _ := s.due(step); step > 0 && at > now {
			break
		}
		w := s.row[n]
		if step > 0 && s.waits[w.pair] && b.pairs[w.pair] == nil && b.mayReturn(now, w.pair) {
			b.tell(now, w.pair, w.listener)
		}
		delete(s.waits, w.pair)
	}
	if n > 0 {
		s.row = append(s.row[:0], s.row[n:]...)
	}
}

// tellStep is the time between two strangers that are told, in the long run: what the
// door lets in, or what draining closes; 0 while none is told.
func (b *Broker) tellStep() time.Duration {
	switch {
	case b.stopping:
		return 0
	case b.drain.on:
		return b.drain.gap
	}
	return max(b.config.RateInterval, tellGap)
}

// hasRoom reports whether a stranger from addr that comes back would be let in,
// those included who were told before and are on their way.
func (b *Broker) hasRoom(now time.Duration, addr netip.Addr) bool {
	if b.drain.on { // it goes elsewhere
		return true
	}
	if b.tunnels.count+b.queue.Len()+len(b.strangers.told) >= b.limit || b.queue.Len() > b.queue.Room()/2 {
		return false
	}
	source, coming := admission.AddrKey(addr), 0
	if b.config.PerIP.Count > 0 {
		for i := range b.strangers.told {
			if admission.AddrKey(b.strangers.told[i].peer.Addr()) == source {
				coming++
			}
		}
	}
	return b.perIP.Spare(source, coming, now)
}

// forget drops those who have come back by now, or went elsewhere.
func (s *strangers) forget(now time.Duration) {
	n := 0
	for n < len(s.told) && now-s.told[n].at >= returning {
		if s.index[s.told[n].pair] == s.told[n].at {
			delete(s.index, s.told[n].pair)
		}
		n++
	}
	if n > 0 {
		s.told = append(s.told[:0], s.told[n:]...)
	}
}
