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
)

// strangers paces what clients without a tunnel are told. A token bucket, as in
// shedder: its second half is for those who were heard a while before, too, as real
// clients are every 5 s, and of whose source few were told. So a flood from forged
// addresses, or from one, leaves room for everybody else.
type strangers struct {
	full  time.Duration // when the bucket is full again
	told  []stranger    // those told of late, in order
	index map[pair]time.Duration
	seen  seen
}

// stranger is one that was told.
type stranger struct {
	pair
	at time.Duration
}

// stranger takes in a message of an established tunnel, or a frame, from a
// conversation without a tunnel: the client is told that its tunnel is gone, if it can
// have another one now.
func (b *Broker) stranger(now time.Duration, ev *Event, kind wire.Type) {
	from := pair{ev.Peer, ev.Local}
	if !clientSends(kind) || len(ev.Data) < wire.MinSize || !b.mayTell(now, from) {
		b.stats.Drops[DropStranger]++
		return
	}
	b.stats.Told++
	e := b.reply(from, ev.Listener)
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

// mayTell reports whether a stranger may be told now, and counts it if so.
func (b *Broker) mayTell(now time.Duration, from pair) bool {
	s, step := &b.strangers, b.tellStep()
	if step == 0 || b.lists.bars(from.peer.Addr()) {
		return false
	}
	s.forget(now)
	if at, told := s.index[from]; told && now-at < tellAgain {
		return false
	}
	// Where a UUID may have one tunnel only, that of a client whose NAT gave it another
	// port is silent for long enough when it comes back.
	burst, full, patient := max(tellBurst, 2*step), max(s.full, now)+step, b.config.UUIDPolicy == config.UUIDReplace
	if full-now > burst/2 || patient {
		first := s.seen.note(now, from.peer, b.options.Jar)
		if full-now > burst || !first {
			return false
		}
	}
	if !b.hasRoom(now, from.peer.Addr()) {
		return false
	}
	s.full = full
	s.told = append(s.told, stranger{from, now})
	if s.index == nil {
		s.index = make(map[pair]time.Duration)
	}
	s.index[from] = now
	s.seen.count(from.peer.Addr(), b.options.Jar)
	return true
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
