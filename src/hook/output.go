package hook

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of what one hook can put into the log.
const (
	maxLine  = 1024 // bytes of a line; the rest is cut off
	maxLines = 100
)

// logLines logs what r yields, line by line, until it ends or fails. It goes on reading when there is nothing to log any more, so
// that the writer is not held up.
func logLines(r io.Reader, log *slog.Logger) {
	var (
		buf     [4096]byte
		line    []byte
		lines   int
		cut     bool
		started bool
	)
	end := func() {
		lines++
		if lines <= maxLines {
			text := printable(line)
			if cut {
				text += "…"
			}
			log.Info("hook output", "line", text)
		}
		line, cut, started = line[:0], false, false
	}
	for {
		n, err := r.Read(buf[:])
		for _, c := range buf[:n] {
			switch {
			case c == '\n':
				end()
				continue
			case len(line) < maxLine:
				line = append(line, c)
			default:
				cut = true
			}
			started = true
		}
		if err != nil {
			break
		}
	}
	if started {
		end()
	}
	if lines > maxLines {
		log.Warn("hook output left out", "lines", lines-maxLines)
	}
}

// printable makes a line fit for a log: control characters and bytes that are not UTF-8 come as \xNN, a carriage return at the end
// goes.
func printable(line []byte) string {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	var b strings.Builder
	for len(line) > 0 {
		c, size := utf8.DecodeRune(line)
		if c == '\t' || strconv.IsPrint(c) && (c != utf8.RuneError || size > 1) {
			b.Write(line[:size])
		} else {
			for _, octet := range line[:size] {
				fmt.Fprintf(&b, "\\x%02x", octet)
			}
		}
		line = line[size:]
	}
	return b.String()
}
