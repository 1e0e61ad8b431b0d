package pmtu

import "tunneldigger/src/handoff"

// The fields of a carried Prober.
const (
	tagIdle handoff.Tag = iota + 1
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

// Append writes the Prober's state, without its family, as the fields of a
// record.
func (p *Prober) Append(dst []byte) []byte {
	dst = handoff.AppendBool(dst, tagIdle, p.idle)
	dst = handoff.AppendInt(dst, tagBurst, int64(p.burst))
	dst = handoff.AppendInt(dst, tagBest, int64(p.best))
	dst = handoff.AppendInt(dst, tagLimit, int64(p.limit))
	dst = handoff.AppendInt(dst, tagWarned, int64(p.warned))
	dst = handoff.AppendInt(dst, tagPath, int64(p.path))
	dst = handoff.AppendTime(dst, tagBegan, p.began)
	dst = handoff.AppendTime(dst, tagEnded, p.ended)
	dst = handoff.AppendTime(dst, tagNext, p.next)
	dst = handoff.AppendTime(dst, tagResume, p.resume)
	dst = handoff.AppendBool(dst, tagHinted, p.hinted)
	return handoff.AppendInt(dst, tagHints, int64(p.hints))
}

// Restore makes the Prober that Append wrote.
func Restore(v6 bool, record []byte) (Prober, error) {
	p := Prober{v6: v6}
	f := handoff.Read(record)
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
		return p, handoff.ErrMalformed
	}
	return p, f.Err()
}
