package hook

import (
	"bytes"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"tunneldigger/src/logline"
)

// Bounds of what one hook can put into the log.
const (
	maxLine  = 1024 // bytes of a line; the rest is cut off
	maxLines = 100
)

// output is what a program prints, on its way into the log.
type output struct {
	fd   int
	file *os.File // of fd

	mu     sync.Mutex // what has been read has also been dealt with, whenever it is free
	line   []byte
	lines  int
	cut    bool
	open   bool // a line has begun
	denied bool // a line told of missing rights
}

// newOutput takes over the reading end of a pipe.
func newOutput(fd int, name string) *output {
	unix.SetNonblock(fd, true) // so that reading can have a deadline
	return &output{fd: fd, file: os.NewFile(uintptr(fd), name)}
}

func (o *output) close() { o.file.Close() }

// read logs the output, line by line, until it ends or the file's deadline has passed. It goes on reading when there is nothing to log any
// more, so that the writer is not held up.
func (o *output) read(log *logline.Logger) {
	if conn, err := o.file.SyscallConn(); err == nil {
		for ended := false; err == nil && !ended; { // each Read looks at the deadline
			err = conn.Read(func(uintptr) bool {
				var empty bool
				ended, empty = o.some(log)
				return !empty
			})
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open {
		o.end(log)
	}
	if o.lines > maxLines {
		log.Warn("hook output left out", "lines", o.lines-maxLines)
		o.lines = 0
	}
}

// some reads what is there; empty when nothing is, ended when nothing will come.
func (o *output) some(log *logline.Logger) (ended, empty bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var buffer [1024]byte
	n, err := unix.Read(o.fd, buffer[:])
	switch {
	case err == unix.EAGAIN:
		return false, true
	case err == unix.EINTR:
		return false, false
	case err != nil || n == 0:
		return true, false
	}
	for _, c := range buffer[:n] {
		switch {
		case c == '\n':
			o.end(log)
			continue
		case len(o.line) < maxLine:
			o.line = append(o.line, c)
		default:
			o.cut = true
		}
		o.open = true
	}
	return false, false
}

func (o *output) end(log *logline.Logger) {
	o.lines++
	o.denied = o.denied || refused(o.line)
	if o.lines <= maxLines {
		text := string(bytes.TrimSuffix(o.line, []byte{'\r'}))
		if o.cut {
			text += "…"
		}
		log.Info("hook output", "line", text)
	}
	o.line, o.cut, o.open = o.line[:0], false, false
}
