// Package phrase puts texts and errors together, as fmt does, for what runs on routers: fmt, and the reflection that it takes, are 180 kB of their flash.
//
// The verbs are %s, %d and %v, which all write a value as [Append] does, %q, which quotes that as [strconv.AppendQuote] does, %w in [Errorf], and %%.
// There are no widths and no flags. src/architecture has a test that looks at every call: formats are constants, each verb has a value that it fits,
// and all values are of types that Append knows.
package phrase

import (
	"errors"
	"io"
	"strconv"
	"strings"
)

// Errorf gives an error with this text, which wraps what belongs to %w, one error or several, as [errors.Is] finds them.
func Errorf(format string, args ...any) error {
	text, wrapped := appendf(nil, format, args)
	switch len(wrapped) {
	case 0:
		return errors.New(string(text))
	case 1:
		return &wrapping{string(text), wrapped[0]}
	}
	return &several{string(text), wrapped}
}

type wrapping struct {
	text string
	err  error
}

func (w *wrapping) Error() string { return w.text }
func (w *wrapping) Unwrap() error { return w.err }

type several struct {
	text string
	errs []error
}

func (s *several) Error() string   { return s.text }
func (s *several) Unwrap() []error { return s.errs }

// Sprintf gives the text.
func Sprintf(format string, args ...any) string {
	text, _ := appendf(nil, format, args)
	return string(text)
}

// Fprintf writes the text, at once.
func Fprintf(w io.Writer, format string, args ...any) (int, error) {
	text, _ := appendf(nil, format, args)
	return w.Write(text)
}

// Fprintln writes the values with blanks between them and a newline, at once.
func Fprintln(w io.Writer, args ...any) (int, error) {
	var text []byte
	for i, a := range args {
		if i > 0 {
			text = append(text, ' ')
		}
		text = Append(text, a)
	}
	return w.Write(append(text, '\n'))
}

// appendf appends the text. What wants a value and has none stays as it is; values without a verb are left out.
func appendf(b []byte, format string, args []any) (text []byte, wrapped []error) {
	for {
		before, after, more := strings.Cut(format, "%")
		b = append(b, before...)
		if !more {
			return b, wrapped
		}
		verb := after[:min(1, len(after))]
		format = after[len(verb):]
		if verb == "%" || len(args) == 0 {
			b = append(b, '%')
			if verb != "%" {
				b = append(b, verb...)
			}
			continue
		}
		switch value := args[0]; verb {
		case "q":
			b = strconv.AppendQuote(b, string(Append(nil, value)))
		case "w":
			if err, ok := value.(error); ok {
				wrapped = append(wrapped, err)
			}
			b = Append(b, value)
		default:
			b = Append(b, value)
		}
		args = args[1:]
	}
}

// Append appends a value: text, an error, what has a String method, a truth value, a whole number in decimal, texts with blanks between them, "<nil>" for
// nil. Of another type, which a test keeps out, it says "(?)".
func Append(b []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(b, "<nil>"...)
	case string:
		return append(b, v...)
	case []byte:
		return append(b, v...)
	case error:
		return append(b, v.Error()...)
	case interface{ String() string }:
		return append(b, v.String()...)
	case bool:
		return strconv.AppendBool(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int32:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case uint:
		return strconv.AppendUint(b, uint64(v), 10)
	case uint8:
		return strconv.AppendUint(b, uint64(v), 10)
	case uint16:
		return strconv.AppendUint(b, uint64(v), 10)
	case uint32:
		return strconv.AppendUint(b, uint64(v), 10)
	case uint64:
		return strconv.AppendUint(b, v, 10)
	case []string:
		return append(b, strings.Join(v, " ")...)
	}
	return append(b, "(?)"...)
}
