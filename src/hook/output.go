package hook

import (
	"bytes"
	"io"

	"tunneldigger/src/logline"
)

// Bounds of what one hook can put into the log.
const (
	maxLine  = 1024 // bytes of a line; the rest is cut off
	maxLines = 100
)

// logLines logs what r yields, line by line, until it ends or fails. It goes on reading when there is nothing to log any more, so
// that the writer is not held up.
func logLines(r io.Reader, log *logline.Logger) {
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
			text := string(bytes.TrimSuffix(line, []byte{'\r'}))
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
