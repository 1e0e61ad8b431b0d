package logline

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// SyslogPath is where the local syslog listens.
const SyslogPath = "/dev/log"

const (
	daemonFacility = 3 << 3
	sendTimeout    = 50_000 // µs that a line waits for a syslog that is behind
)

// Syslog is a writer of lines that begin with their priority, as a Logger makes
// them, to the local syslog, with facility daemon (RFC 3164, section 4.1.1; the
// time is left to the receiver). Where none listens, lines go to Else, without
// priority; what it does not take in time is lost, and the next line that it takes
// is followed by how many were. It is not safe for use by several goroutines; a
// Logger is.
type Syslog struct {
	Path string    // of the socket, SyslogPath but for tests
	Name string    // of the program
	Else io.Writer // nil: nowhere

	fd      int // and 1; 0: not open yet
	message []byte
	lost    int
}

// Write sends one line.
func (s *Syslog) Write(line []byte) (int, error) {
	severity, text := byte('6'), line
	if len(line) > 3 && line[0] == '<' && line[2] == '>' {
		severity, text = line[1], line[3:]
	}
	switch s.send(severity, text) {
	case nil:
		if s.lost > 0 && s.send('4', []byte("warning: lines lost, as syslog did not take them count="+strconv.Itoa(s.lost))) == nil {
			s.lost = 0
		}
	case unix.EAGAIN:
		s.lost++
	default:
		if s.Else != nil {
			return s.Else.Write(text)
		}
	}
	return len(line), nil
}

// send gives one message to syslog.
func (s *Syslog) send(severity byte, text []byte) error {
	if s.fd == 0 {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Usec: sendTimeout})
		s.fd = fd + 1
	}
	b := strconv.AppendInt(append(s.message[:0], '<'), int64(daemonFacility+severity-'0'), 10)
	b = append(append(append(b, '>'), s.Name...), '[')
	b = append(strconv.AppendInt(b, int64(os.Getpid()), 10), "]: "...)
	b = append(b, text...)
	if n := len(b) - 1; b[n] == '\n' {
		b = b[:n]
	}
	s.message = b
	// The socket is not connected: a syslog that is started anew has another one
	// at the same path. After a line that was lost nobody waits any more.
	flags := 0
	if s.lost > 0 {
		flags = unix.MSG_DONTWAIT
	}
	for {
		if err := unix.Sendto(s.fd-1, b, flags, &unix.SockaddrUnix{Name: s.Path}); err != unix.EINTR {
			return err
		}
	}
}
