package broker

import (
	"encoding/binary"

	"tunneldigger/src/tlv"
)

// The fields of a Broker's state. Numbers are never used again for anything
// else; see package tlv.
const (
	tagSerial tlv.Tag = iota + 1
	tagStopping
	tagNoOld
	tagStats
	tagFree     // IDs, packed, in the order in which they will be given out
	tagAside    // record, repeated
	tagPerIP    // record, repeated
	tagHooked   // record, repeated
	tagNextTurn // of the queue
	tagQueued   // record of a request, repeated
	tagTunnel   // record, repeated
	tagDrain    // record, while draining
	tagRemoved  // the section was taken out of the configuration
	tagPerUUID  // record, repeated
	tagCareful
	tagRecent // record, repeated: a node's last ID
)

// The fields of a tunnel's record, and of a request's. A request's stand below
// tagID.
const (
	tagPeer tlv.Tag = iota + 1
	tagLocal
	tagListener
	tagPeerTunnel
	tagFeatures
	tagUUID
	tagHeard
	tagSince
)

const (
	tagID tlv.Tag = iota + 32
	tagTunnelSerial
	tagState
	tagTries
	tagOpened
	tagDue
	tagKeepalive
	tagSequence
	tagMTU
	tagNotified
	tagTold
	tagTelling
	tagProber
	tagBandwidth
	tagLimitSeq
	tagLimitKnown
	tagSuccessor
	tagWanted
	tagAsked
	tagRivalry
	tagSpent
	tagBehind
	tagFresh
	tagSilent
	tagRemade
	tagMourning
	tagFixed
)

// stateNumbers are the states as programs hand them to one another. Version 1.0
// did not know answered, see NeverUp, and takes no state that has it.
var stateNumbers = [...]uint8{verifying: 0, creating: 1, up: 2, closing: 3, destroying: 4, down: 5, answered: 6}

// The fields of a pair of a key and a time; of a limited key there are more.
const (
	tagKey tlv.Tag = iota + 1
	tagTime
	tagUntil
	tagLevel
	tagAgain
	tagRecentID
)

// The fields of the counters.
const (
	tagCookies tlv.Tag = iota + 1
	tagUsages
	tagPrepares
	tagRepeats
	tagOpenedCount
	tagDrops   // numbers, packed
	tagReasons // numbers, packed
	tagSetup   // numbers, packed
	tagSetupSum
	tagTwins
	tagToldStrangers
)

// The fields of draining.
const (
	tagRate tlv.Tag = iota + 1
	tagRelease
)

// AppendState appends all that a Broker of the same configuration needs to go on
// exactly as this one would: see Restore. Times are kept as they are, so they
// hold until the next boot.
func (b *Broker) AppendState(dst []byte) []byte {
	dst = tlv.AppendUint(dst, tagSerial, b.serial)
	dst = tlv.AppendBool(dst, tagStopping, b.stopping)
	dst = tlv.AppendBool(dst, tagRemoved, b.why == ClosedRemoved)
	dst = tlv.AppendBool(dst, tagNoOld, b.noOld)
	dst = tlv.AppendBool(dst, tagCareful, b.careful)
	dst, mark := tlv.Begin(dst, tagStats)
	dst = tlv.End(b.stats.append(dst), mark)
	dst, mark = tlv.Begin(dst, tagFree)
	for i := 0; i < b.ids.count; i++ {
		dst = binary.AppendUvarint(dst, uint64(b.ids.free[(b.ids.first+i)%len(b.ids.free)]))
	}
	dst = tlv.End(dst, mark)
	if b.drain.on {
		dst, mark = tlv.Begin(dst, tagDrain)
		dst = tlv.End(b.drain.append(dst), mark)
	}
	for _, a := range b.ids.aside {
		dst, mark = tlv.Begin(dst, tagAside)
		dst = tlv.AppendUint(dst, tagKey, uint64(a.id))
		dst = tlv.End(tlv.AppendTime(dst, tagTime, a.until), mark)
	}
	dst = appendLimiter(dst, tagPerIP, b.perIP, tlv.AppendAddr)
	dst = appendLimiter(dst, tagPerUUID, b.perUUID, tlv.AppendString)
	dst = appendLimiter(dst, tagHooked, b.hooked, tlv.AppendAddr)
	next, _ := b.queue.Due()
	dst = tlv.AppendTime(dst, tagNextTurn, next)
	b.queue.Each(func(_ pair, r *request) {
		dst, mark = tlv.Begin(dst, tagQueued)
		dst = tlv.End(r.append(dst), mark)
	})
	b.tunnels.each(func(t *tunnel) {
		dst, mark = tlv.Begin(dst, tagTunnel)
		dst = tlv.End(t.append(dst), mark)
	})
	b.recent.each(func(uuid string, id uint32) {
		dst, mark = tlv.Begin(dst, tagRecent)
		dst = tlv.AppendString(dst, tagKey, uuid)
		dst = tlv.End(tlv.AppendUint(dst, tagRecentID, uint64(id)), mark)
	})
	return dst
}

// AppendTunnel appends the record of one tunnel, for Adopt and Remake; nothing
// unless hooks are to hear of its end, or it is being made again.
func (b *Broker) AppendTunnel(dst []byte, id uint32) []byte {
	t := b.tunnels.get(id)
	switch {
	case t == nil || t.state == down:
	case t.again && t.state < up, !t.silent && t.state >= up:
		return t.append(dst)
	}
	return dst
}

func (r *request) append(dst []byte) []byte {
	dst = tlv.AppendAddrPort(dst, tagPeer, r.peer)
	dst = tlv.AppendAddrPort(dst, tagLocal, r.local)
	dst = tlv.AppendUint(dst, tagListener, uint64(r.listener))
	dst = tlv.AppendUint(dst, tagPeerTunnel, uint64(r.peerTunnel))
	dst = tlv.AppendUint(dst, tagFeatures, uint64(r.features))
	dst = tlv.AppendString(dst, tagUUID, r.uuid)
	dst = tlv.AppendTime(dst, tagHeard, r.heard)
	return tlv.AppendTime(dst, tagSince, r.since)
}

func (t *tunnel) append(dst []byte) []byte {
	dst = t.request.append(dst)
	dst = tlv.AppendUint(dst, tagID, uint64(t.id))
	dst = tlv.AppendUint(dst, tagTunnelSerial, t.serial)
	dst = tlv.AppendUint(dst, tagState, uint64(stateNumbers[t.state]))
	dst = tlv.AppendUint(dst, tagTries, uint64(t.tries))
	dst = tlv.AppendTime(dst, tagOpened, t.opened)
	dst = tlv.AppendTime(dst, tagDue, t.due)
	dst = tlv.AppendTime(dst, tagKeepalive, t.keepalive)
	dst = tlv.AppendUint(dst, tagSequence, uint64(t.sequence))
	dst = tlv.AppendInt(dst, tagMTU, int64(t.mtu))
	dst = tlv.AppendInt(dst, tagNotified, int64(t.notified))
	dst = tlv.AppendInt(dst, tagTold, int64(t.told))
	dst = tlv.AppendBool(dst, tagTelling, t.telling)
	dst, mark := tlv.Begin(dst, tagProber)
	dst = tlv.End(t.prober.AppendState(dst), mark)
	dst = tlv.AppendUint(dst, tagBandwidth, uint64(t.bandwidth))
	dst = tlv.AppendUint(dst, tagLimitSeq, uint64(t.limitSeq))
	dst = tlv.AppendBool(dst, tagLimitKnown, t.limitKnown)
	dst = tlv.AppendUint(dst, tagWanted, uint64(t.wanted))
	dst = tlv.AppendBool(dst, tagAsked, t.asked)
	if t.successor != nil {
		dst, mark = tlv.Begin(dst, tagSuccessor)
		dst = tlv.End(t.successor.append(dst), mark)
	}
	dst = tlv.AppendTime(dst, tagSpent, t.spent)
	dst = tlv.AppendBool(dst, tagBehind, t.behind)
	dst = tlv.AppendBool(dst, tagFresh, t.fresh)
	dst = tlv.AppendBool(dst, tagSilent, t.silent)
	dst = tlv.AppendBool(dst, tagRemade, t.again)
	dst = tlv.AppendBool(dst, tagMourning, t.mourning)
	dst = tlv.AppendBool(dst, tagFixed, t.fixed)
	if t.rivalry != nil {
		dst, mark = tlv.Begin(dst, tagRivalry)
		dst = tlv.End(t.rivalry.append(dst), mark)
	}
	return dst
}

func (s *Stats) append(dst []byte) []byte {
	dst = tlv.AppendUint(dst, tagCookies, s.Cookies)
	dst = tlv.AppendUint(dst, tagUsages, s.Usages)
	dst = tlv.AppendUint(dst, tagPrepares, s.Prepares)
	dst = tlv.AppendUint(dst, tagRepeats, s.Repeats)
	dst = tlv.AppendUint(dst, tagOpenedCount, s.Opened)
	dst = tlv.AppendUint(dst, tagTwins, s.Twins)
	dst = tlv.AppendUint(dst, tagToldStrangers, s.Told)
	dst = appendCounts(dst, tagDrops, s.Drops[:])
	dst = appendCounts(dst, tagReasons, s.Reasons[:])
	dst = appendCounts(dst, tagSetup, s.Setup.Buckets[:])
	return tlv.AppendTime(dst, tagSetupSum, s.Setup.Sum)
}

func appendCounts(dst []byte, tag tlv.Tag, counts []uint64) []byte {
	dst, mark := tlv.Begin(dst, tag)
	for _, n := range counts {
		dst = binary.AppendUvarint(dst, n)
	}
	return tlv.End(dst, mark)
}
