package broker

import (
	"encoding/binary"

	"tunneldigger/src/handoff"
)

// The fields of a carried Broker. Numbers are never used again for anything
// else; see package handoff.
const (
	tagSerial handoff.Tag = iota + 1
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
)

// The fields of a tunnel's record, and of a request's. A request's stand below
// tagID.
const (
	tagPeer handoff.Tag = iota + 1
	tagLocal
	tagListener
	tagPeerTunnel
	tagFeatures
	tagUUID
	tagHeard
	tagSince
)

const (
	tagID handoff.Tag = iota + 32
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
)

// stateNumbers are the states as programs hand them to one another. Version 1.0
// did not know answered, see NeverUp, and takes no state that has it.
var stateNumbers = [...]uint8{verifying: 0, creating: 1, up: 2, closing: 3, destroying: 4, down: 5, answered: 6}

// The fields of a pair of a key and a time; of a limited key there are more.
const (
	tagKey handoff.Tag = iota + 1
	tagTime
	tagUntil
	tagLevel
	tagAgain
)

// The fields of the counters.
const (
	tagCookies handoff.Tag = iota + 1
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
	tagRate handoff.Tag = iota + 1
	tagRelease
)

// Snapshot appends all that a Broker of the same configuration needs to go on
// exactly as this one would: see Restore. Times are kept as they are, so they
// hold until the next boot.
func (b *Broker) Snapshot(dst []byte) []byte {
	dst = handoff.AppendUint(dst, tagSerial, b.serial)
	dst = handoff.AppendBool(dst, tagStopping, b.stopping)
	dst = handoff.AppendBool(dst, tagRemoved, b.why == ClosedRemoved)
	dst = handoff.AppendBool(dst, tagNoOld, b.noOld)
	dst = handoff.AppendBool(dst, tagCareful, b.careful)
	dst, mark := handoff.Begin(dst, tagStats)
	dst = handoff.End(b.stats.append(dst), mark)
	dst, mark = handoff.Begin(dst, tagFree)
	for i := 0; i < b.ids.count; i++ {
		dst = binary.AppendUvarint(dst, uint64(b.ids.free[(b.ids.first+i)%len(b.ids.free)]))
	}
	dst = handoff.End(dst, mark)
	if b.drain.on {
		dst, mark = handoff.Begin(dst, tagDrain)
		dst = handoff.End(b.drain.append(dst), mark)
	}
	for _, a := range b.ids.aside {
		dst, mark = handoff.Begin(dst, tagAside)
		dst = handoff.AppendUint(dst, tagKey, uint64(a.id))
		dst = handoff.End(handoff.AppendTime(dst, tagTime, a.until), mark)
	}
	dst = appendLimiter(dst, tagPerIP, b.perIP, handoff.AppendAddr)
	dst = appendLimiter(dst, tagPerUUID, b.perUUID, handoff.AppendString)
	dst = appendLimiter(dst, tagHooked, b.hooked, handoff.AppendAddr)
	next, _ := b.queue.Due()
	dst = handoff.AppendTime(dst, tagNextTurn, next)
	b.queue.Each(func(_ pair, r *request) {
		dst, mark = handoff.Begin(dst, tagQueued)
		dst = handoff.End(r.append(dst), mark)
	})
	for _, t := range b.tunnels.slots {
		if t != nil {
			dst, mark = handoff.Begin(dst, tagTunnel)
			dst = handoff.End(t.append(dst), mark)
		}
	}
	return dst
}

// AppendTunnel appends the record of one tunnel, for Adopt; nothing unless the
// tunnel is up.
func (b *Broker) AppendTunnel(dst []byte, id uint32) []byte {
	if t := b.tunnels.get(id); t != nil && t.state == up {
		return t.append(dst)
	}
	return dst
}

func (r *request) append(dst []byte) []byte {
	dst = handoff.AppendAddrPort(dst, tagPeer, r.peer)
	dst = handoff.AppendAddrPort(dst, tagLocal, r.local)
	dst = handoff.AppendUint(dst, tagListener, uint64(r.listener))
	dst = handoff.AppendUint(dst, tagPeerTunnel, uint64(r.peerTunnel))
	dst = handoff.AppendUint(dst, tagFeatures, uint64(r.features))
	dst = handoff.AppendString(dst, tagUUID, r.uuid)
	dst = handoff.AppendTime(dst, tagHeard, r.heard)
	return handoff.AppendTime(dst, tagSince, r.since)
}

func (t *tunnel) append(dst []byte) []byte {
	dst = t.request.append(dst)
	dst = handoff.AppendUint(dst, tagID, uint64(t.id))
	dst = handoff.AppendUint(dst, tagTunnelSerial, t.serial)
	dst = handoff.AppendUint(dst, tagState, uint64(stateNumbers[t.state]))
	dst = handoff.AppendUint(dst, tagTries, uint64(t.tries))
	dst = handoff.AppendTime(dst, tagOpened, t.opened)
	dst = handoff.AppendTime(dst, tagDue, t.due)
	dst = handoff.AppendTime(dst, tagKeepalive, t.keepalive)
	dst = handoff.AppendUint(dst, tagSequence, uint64(t.sequence))
	dst = handoff.AppendInt(dst, tagMTU, int64(t.mtu))
	dst = handoff.AppendInt(dst, tagNotified, int64(t.notified))
	dst = handoff.AppendInt(dst, tagTold, int64(t.told))
	dst = handoff.AppendBool(dst, tagTelling, t.telling)
	dst, mark := handoff.Begin(dst, tagProber)
	dst = handoff.End(t.prober.Append(dst), mark)
	dst = handoff.AppendUint(dst, tagBandwidth, uint64(t.bandwidth))
	dst = handoff.AppendUint(dst, tagLimitSeq, uint64(t.limitSeq))
	dst = handoff.AppendBool(dst, tagLimitKnown, t.limitKnown)
	dst = handoff.AppendUint(dst, tagWanted, uint64(t.wanted))
	dst = handoff.AppendBool(dst, tagAsked, t.asked)
	if t.successor != nil {
		dst, mark = handoff.Begin(dst, tagSuccessor)
		dst = handoff.End(t.successor.append(dst), mark)
	}
	dst = handoff.AppendTime(dst, tagSpent, t.spent)
	dst = handoff.AppendBool(dst, tagBehind, t.behind)
	dst = handoff.AppendBool(dst, tagFresh, t.fresh)
	dst = handoff.AppendBool(dst, tagSilent, t.silent)
	if t.rivalry != nil {
		dst, mark = handoff.Begin(dst, tagRivalry)
		dst = handoff.End(t.rivalry.append(dst), mark)
	}
	return dst
}

func (s *Stats) append(dst []byte) []byte {
	dst = handoff.AppendUint(dst, tagCookies, s.Cookies)
	dst = handoff.AppendUint(dst, tagUsages, s.Usages)
	dst = handoff.AppendUint(dst, tagPrepares, s.Prepares)
	dst = handoff.AppendUint(dst, tagRepeats, s.Repeats)
	dst = handoff.AppendUint(dst, tagOpenedCount, s.Opened)
	dst = handoff.AppendUint(dst, tagTwins, s.Twins)
	dst = handoff.AppendUint(dst, tagToldStrangers, s.Told)
	dst = appendCounts(dst, tagDrops, s.Drops[:])
	dst = appendCounts(dst, tagReasons, s.Reasons[:])
	dst = appendCounts(dst, tagSetup, s.Setup.Buckets[:])
	return handoff.AppendTime(dst, tagSetupSum, s.Setup.Sum)
}

func appendCounts(dst []byte, tag handoff.Tag, counts []uint64) []byte {
	dst, mark := handoff.Begin(dst, tag)
	for _, n := range counts {
		dst = binary.AppendUvarint(dst, n)
	}
	return handoff.End(dst, mark)
}
