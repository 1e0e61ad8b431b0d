package broker

import (
	"tunneldigger/src/admission"
	"tunneldigger/src/tlv"
)

// appendLimiter appends a record for each key that a limiter remembers.
func appendLimiter[K comparable](dst []byte, tag tlv.Tag, l *admission.Limiter[K], key func([]byte, tlv.Tag, K) []byte) []byte {
	l.Each(func(k K, u admission.Used) {
		var mark int
		dst, mark = tlv.Begin(dst, tag)
		dst = key(dst, tagKey, k)
		dst = tlv.AppendTime(dst, tagTime, u.Full)
		dst = tlv.AppendTime(dst, tagUntil, u.Until)
		dst = tlv.AppendUint(dst, tagLevel, uint64(u.Level))
		dst = tlv.End(tlv.AppendBool(dst, tagAgain, u.Again), mark)
	})
	return dst
}

func restoreUsed[K comparable](l *admission.Limiter[K], record []byte, key func(*tlv.Fields) K) error {
	var k K
	var u admission.Used
	f := tlv.Read(record)
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
	tagSwitches tlv.Tag = iota + 1
	tagSwitched
	tagNoted
	tagRivalPeer
	tagRivalLocal
	tagClaimed
	tagClaimedLast
)

func (v *rivalry) append(dst []byte) []byte {
	dst = tlv.AppendUint(dst, tagSwitches, uint64(v.switches))
	dst = tlv.AppendTime(dst, tagSwitched, v.switched)
	dst = tlv.AppendBool(dst, tagNoted, v.noted)
	dst = tlv.AppendAddrPort(dst, tagRivalPeer, v.rival.peer)
	dst = tlv.AppendAddrPort(dst, tagRivalLocal, v.rival.local)
	dst = tlv.AppendTime(dst, tagClaimed, v.since)
	return tlv.AppendTime(dst, tagClaimedLast, v.last)
}

func restoreRivalry(record []byte) (*rivalry, error) {
	v := new(rivalry)
	f := tlv.Read(record)
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
