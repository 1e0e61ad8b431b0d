package hook

import (
	"errors"

	"tunneldigger/src/tlv"
)

// The fields of a Request and of a Result.
const (
	tagKey tlv.Tag = iota + 1
	tagEvent
	tagTunnel
	tagProgram
	tagDirectory
	tagArg // repeated
	tagEnv // repeated
	tagTimeout
	tagTag
	tagExit
	tagErr
	tagDuration
	tagAsks
)

func (r *Request) append(dst []byte) []byte {
	dst = tlv.AppendUint(dst, tagKey, r.Key)
	dst = tlv.AppendString(dst, tagEvent, r.Event)
	dst = tlv.AppendUint(dst, tagTunnel, uint64(r.Tunnel))
	dst = tlv.AppendString(dst, tagProgram, r.Program)
	dst = tlv.AppendString(dst, tagDirectory, r.Directory)
	for _, arg := range r.Args {
		dst = tlv.AppendString(dst, tagArg, arg)
	}
	for _, env := range r.Env {
		dst = tlv.AppendString(dst, tagEnv, env)
	}
	dst = tlv.AppendTime(dst, tagTimeout, r.Timeout)
	dst = tlv.AppendUint(dst, tagTag, r.Tag)
	return tlv.AppendBool(dst, tagAsks, r.Asks)
}

func (r *Request) restore(record []byte) error {
	f := tlv.Read(record)
	for f.Next() {
		switch f.Tag() {
		case tagKey:
			r.Key = f.Uint()
		case tagEvent:
			r.Event = f.String()
		case tagTunnel:
			r.Tunnel = f.Uint32()
		case tagProgram:
			r.Program = f.String()
		case tagDirectory:
			r.Directory = f.String()
		case tagArg:
			r.Args = append(r.Args, f.String())
		case tagEnv:
			r.Env = append(r.Env, f.String())
		case tagTimeout:
			r.Timeout = f.Time()
		case tagTag:
			r.Tag = f.Uint()
		case tagAsks:
			r.Asks = f.Bool()
		}
	}
	return f.Err()
}

func (r *Result) append(dst []byte) []byte {
	dst = tlv.AppendUint(dst, tagTag, r.Tag)
	dst = tlv.AppendUint(dst, tagKey, r.Key)
	dst = tlv.AppendString(dst, tagEvent, r.Event)
	dst = tlv.AppendInt(dst, tagExit, int64(r.Status))
	dst = appendError(dst, tagErr, r.Err)
	return tlv.AppendTime(dst, tagDuration, r.Duration)
}

func (r *Result) restore(record []byte) (err error) {
	f := tlv.Read(record)
	for f.Next() {
		switch f.Tag() {
		case tagTag:
			r.Tag = f.Uint()
		case tagKey:
			r.Key = f.Uint()
		case tagEvent:
			r.Event = f.String()
		case tagExit:
			r.Status = f.Int()
		case tagErr:
			if r.Err, err = restoreError(f.Bytes()); err != nil {
				return err
			}
		case tagDuration:
			r.Duration = f.Time()
		}
	}
	return f.Err()
}

// The errors that others compare with, by number.
var knownErrors = []error{ErrFull, ErrKilled, ErrTimeout, ErrCancelled}

// pastError is an error of the program before.
type pastError struct {
	text string
	is   error // one of knownErrors, or nil
}

func (e *pastError) Error() string { return e.text }
func (e *pastError) Unwrap() error { return e.is }

const (
	tagText tlv.Tag = iota + 1
	tagIs
)

func appendError(dst []byte, tag tlv.Tag, err error) []byte {
	if err == nil {
		return dst
	}
	dst, mark := tlv.Begin(dst, tag)
	dst = tlv.AppendString(dst, tagText, err.Error())
	for i, known := range knownErrors {
		if errors.Is(err, known) {
			dst = tlv.AppendUint(dst, tagIs, uint64(i+1))
		}
	}
	return tlv.End(dst, mark)
}

func restoreError(record []byte) (error, error) {
	e := new(pastError)
	f := tlv.Read(record)
	for f.Next() {
		switch f.Tag() {
		case tagText:
			e.text = f.String()
		case tagIs:
			if i := f.Uint8(); i > 0 && int(i) <= len(knownErrors) {
				e.is = knownErrors[i-1]
			}
		}
	}
	return e, f.Err()
}
