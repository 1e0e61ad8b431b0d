package broker

import (
	"tunneldigger/src/admission"
	"tunneldigger/src/handoff"
)

// appendLimiter appends a record for each key that a limiter remembers.
func appendLimiter[K comparable](dst []byte, tag handoff.Tag, l *admission.Limiter[K], key func([]byte, handoff.Tag, K) []byte) []byte {
	l.Each(func(k K, u admission.Used) {
		var mark int
		dst, mark = handoff.Begin(dst, tag)
		dst = key(dst, tagKey, k)
		dst = handoff.AppendTime(dst, tagTime, u.Full)
		dst = handoff.AppendTime(dst, tagUntil, u.Until)
		dst = handoff.AppendUint(dst, tagLevel, uint64(u.Level))
		dst = handoff.End(handoff.AppendBool(dst, tagAgain, u.Again), mark)
	})
	return dst
}

func restoreUsed[K comparable](l *admission.Limiter[K], record []byte, key func(*handoff.Fields) K) error {
	var k K
	var u admission.Used
	f := handoff.Read(record)
	for f.Next() {
		switch f.Tag() {
		case tagKey:
			k = key(&f)
		case tagTime:
			u.Full = f.Time()
		case tagUntil:
			u.Until = f.Time()
		case tagLevel:
			u.Level = f.Uint8()
		case tagAgain:
			u.Again = f.Bool()
		}
	}
	if f.Err() == nil {
		l.Put(k, u)
	}
	return f.Err()
}

// The fields of a rivalry.
const (
	tagSwitches handoff.Tag = iota + 1
	tagSwitched
	tagNoted
	tagRivalPeer
	tagRivalLocal
	tagClaimed
	tagClaimedLast
)

func (v *rivalry) append(dst []byte) []byte {
	dst = handoff.AppendUint(dst, tagSwitches, uint64(v.switches))
	dst = handoff.AppendTime(dst, tagSwitched, v.switched)
	dst = handoff.AppendBool(dst, tagNoted, v.noted)
	dst = handoff.AppendAddrPort(dst, tagRivalPeer, v.rival.peer)
	dst = handoff.AppendAddrPort(dst, tagRivalLocal, v.rival.local)
	dst = handoff.AppendTime(dst, tagClaimed, v.since)
	return handoff.AppendTime(dst, tagClaimedLast, v.last)
}

func restoreRivalry(record []byte) (*rivalry, error) {
	v := new(rivalry)
	f := handoff.Read(record)
	for f.Next() {
		switch f.Tag() {
		case tagSwitches:
			v.switches = min(f.Uint8(), maxSwitches)
		case tagSwitched:
			v.switched = f.Time()
		case tagNoted:
			v.noted = f.Bool()
		case tagRivalPeer:
			v.rival.peer = f.AddrPort()
		case tagRivalLocal:
			v.rival.local = f.AddrPort()
		case tagClaimed:
			v.since = f.Time()
		case tagClaimedLast:
			v.last = f.Time()
		}
	}
	return v, f.Err()
}
