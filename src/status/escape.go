package status

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"
)

// add appends texts. It and those below are not inlined: these files are little
// else, and it would double their size in a router's flash.
//
//go:noinline
func add(b []byte, texts ...string) []byte {
	for _, s := range texts {
		b = append(b, s...)
	}
	return b
}

// count appends a number between two texts.
//
//go:noinline
func count(b []byte, before string, n uint64, after string) []byte {
	return add(strconv.AppendUint(add(b, before), n, 10), after)
}

const hexDigits = "0123456789abcdef"

// appendQuoted appends s as a string of JSON (RFC 8259). What is no UTF-8 becomes
// the replacement character.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ' || r == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

// appendLabel appends s as the value of a label: in Prometheus' text format
// only these three characters are escaped.
func appendLabel(b []byte, name, s string) []byte {
	b = add(b, name, `="`)
	for _, r := range s {
		switch r {
		case '"', '\\':
			b = append(b, '\\', byte(r))
		case '\n':
			b = append(b, '\\', 'n')
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

// appendPlain appends s for a terminal: quoted if there is anything in it that a
// terminal might take for more than a letter, or that looks like two columns.
func appendPlain(b []byte, s string) []byte {
	if s == "" {
		return add(b, `""`)
	}
	for _, r := range s {
		if r <= ' ' || r == '"' || r == utf8.RuneError || !strconv.IsPrint(r) {
			return strconv.AppendQuote(b, s)
		}
	}
	return append(b, s...)
}

// appendText is appendPlain for what may have spaces.
func appendText(b []byte, s string) []byte {
	for _, r := range s {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			return strconv.AppendQuote(b, s)
		}
	}
	return append(b, s...)
}

// appendSeconds appends a time in seconds, to the millisecond.
func appendSeconds(b []byte, d time.Duration) []byte {
	ms := uint64(max(0, d.Milliseconds()))
	b = count(b, "", ms/1000, "")
	if ms %= 1000; ms > 0 {
		var room [4]byte
		digits := count(room[:0], "", 1000+ms, "")
		digits[0] = '.'
		b = append(b, bytes.TrimRight(digits, "0")...)
	}
	return b
}
