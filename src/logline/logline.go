// Package logline writes the log: one line an event, as syslog and the journal
// want it, without a time of its own, and on request with the priority in front
// as "<N>" (sd-daemon(3)).
//
// It has the methods of log/slog that are used here and not its size: slog brings
// encoding/json and half a megabyte to a router's flash.
package logline

import (
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"tunneldigger/src/phrase"
)

// Level is how important a line is.
type Level int8

// The levels, least important first.
const (
	Debug Level = iota
	Info
	Warn
	Error
)

// What each level is called, and its priority for syslog.
var words = [...]string{"debug: ", "info: ", "warning: ", "error: "}
var priorities = [...]string{"<7>", "<6>", "<4>", "<3>"}

// Logger writes lines to one writer, each with a single Write. It may be used
// from several goroutines.
type Logger struct {
	shared *shared
	attrs  []byte // what every line ends with
}

type shared struct {
	mutex    sync.Mutex
	out      io.Writer
	level    atomic.Int32
	priority bool
	line     []byte // reused
}

// New makes a Logger for lines of at least level. With priority every line
// begins with "<N>".
func New(out io.Writer, level Level, priority bool) *Logger {
	l := &Logger{shared: &shared{out: out, priority: priority}}
	l.SetLevel(level)
	return l
}

// SetLevel changes from which level on lines are written, for this Logger and
// all that With has made of it.
func (l *Logger) SetLevel(level Level) { l.shared.level.Store(int32(level)) }

// Enabled reports whether lines of this level are written.
func (l *Logger) Enabled(level Level) bool { return int32(level) >= l.shared.level.Load() }

// With gives a Logger that adds these keys and values to every line.
func (l *Logger) With(args ...any) *Logger {
	return &Logger{l.shared, appendArgs(l.attrs[:len(l.attrs):len(l.attrs)], args)}
}

// Debug writes a line of that level: a text, then keys and values by turns.
func (l *Logger) Debug(text string, args ...any) { l.Log(Debug, text, args...) }

// Info writes a line of that level.
func (l *Logger) Info(text string, args ...any) { l.Log(Info, text, args...) }

// Warn writes a line of that level.
func (l *Logger) Warn(text string, args ...any) { l.Log(Warn, text, args...) }

// Error writes a line of that level.
func (l *Logger) Error(text string, args ...any) { l.Log(Error, text, args...) }

// Log writes a line. What is not printable text is quoted, so that nothing
// that came from outside can begin a line or colour a terminal.
func (l *Logger) Log(level Level, text string, args ...any) {
	if !l.Enabled(level) {
		return
	}
	s := l.shared
	s.mutex.Lock()
	defer s.mutex.Unlock()
	b := s.line[:0]
	if s.priority {
		b = append(b, priorities[level]...)
	}
	b = append(b, words[level]...)
	b = appendText(b, text, false)
	b = append(b, l.attrs...)
	b = append(appendArgs(b, args), '\n')
	_, _ = s.out.Write(b) // there is nowhere to say that the log can't be written
	s.line = b
}

func appendArgs(b []byte, args []any) []byte {
	for i := 0; i+1 < len(args); i += 2 {
		b = phrase.Append(append(b, ' '), args[i])
		b = appendText(append(b, '='), string(phrase.Append(nil, args[i+1])), true)
	}
	return b
}

// appendText appends s as it is if it is harmless; a value must be one word to
// be that, a message may have spaces.
func appendText(b []byte, s string, value bool) []byte {
	plain := s != "" || !value
	for _, c := range s {
		if c == ' ' && value || value && (c == '"' || c == '=') || !strconv.IsPrint(c) || c == utf8.RuneError {
			plain = false
		}
	}
	if plain {
		return append(b, s...)
	}
	return strconv.AppendQuote(b, s)
}
