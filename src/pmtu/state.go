package pmtu

import "tunneldigger/src/tlv"

// The fields of a Prober's state.
const (
	tagIdle tlv.Tag = iota + 1
	tagBurst
	tagBest
	tagLimit
	tagWarned
	tagPath
	tagBegan
	tagEnded
	tagNext
	tagResume
	tagHinted
	tagHints
)

// AppendState appends the Prober's state, without its family, as the fields of a
// record.
func (p *Prober) AppendState(dst []byte) []byte {
	dst = tlv.AppendBool(dst, tagIdle, p.idle)
	dst = tlv.AppendInt(dst, tagBurst, int64(p.burst))
	dst = tlv.AppendInt(dst, tagBest, int64(p.best))
	dst = tlv.AppendInt(dst, tagLimit, int64(p.limit))
	dst = tlv.AppendInt(dst, tagWarned, int64(p.warned))
	dst = tlv.AppendInt(dst, tagPath, int64(p.path))
	dst = tlv.AppendTime(dst, tagBegan, p.began)
	dst = tlv.AppendTime(dst, tagEnded, p.ended)
	dst = tlv.AppendTime(dst, tagNext, p.next)
	dst = tlv.AppendTime(dst, tagResume, p.resume)
	dst = tlv.AppendBool(dst, tagHinted, p.hinted)
	return tlv.AppendInt(dst, tagHints, int64(p.hints))
}

// Restore makes the Prober that Append wrote.
func Restore(v6 bool, record []byte) (Prober, error) {
	p := Prober{v6: v6}
	f := tlv.Read(record)
	for f.Next() {
		switch f.Tag() {
		case tagIdle:
			p.idle = f.Bool()
		case tagBurst:
			p.burst = f.Int()
		case tagBest:
			p.best = f.Int()
		case tagLimit:
			p.limit = f.Int()
		case tagWarned:
			p.warned = f.Int()
		case tagPath:
			p.path = f.Int()
		case tagBegan:
			p.began = f.Time()
		case tagEnded:
			p.ended = f.Time()
		case tagNext:
			p.next = f.Time()
		case tagResume:
			p.resume = f.Time()
		case tagHinted:
			p.hinted = f.Bool()
		case tagHints:
			p.hints = max(0, min(f.Int(), maxHints))
		}
	}
	if f.Err() == nil && (p.path != 0 && !probed(p.path) || p.best != 0 && !probed(p.best)) {
		return p, tlv.ErrMalformed
	}
	return p, f.Err()
}
