package link

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// DeviceFile is where the kernel has the counters of all interfaces (proc(5)).
const DeviceFile = "/proc/net/dev"

const (
	counterPage  = 4 << 10 // that is read at once; the kernel gives no more
	counterPages = 4       // in one piece: about 130 interfaces
)

// Traffic counts what passed an interface, as ip -s link does.
type Traffic struct{ RxBytes, RxPackets, TxBytes, TxPackets uint64 }

// Counters reads what passed all interfaces, from DeviceFile: that takes no lock that a
// set-up waits for, and can be done in pieces.
type Counters struct {
	fd     int
	rest   int // bytes of a line whose end is still to be read
	buffer [2 * counterPage]byte
}

// OpenCounters begins to read such a file; Close ends it.
func OpenCounters(path string) (*Counters, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &Counters{fd: fd}, nil
}

// Next calls f for the interfaces of the next piece and reports whether there may be
// more. The name is good until f returns.
func (c *Counters) Next(f func(name []byte, t Traffic)) (more bool) {
	for range counterPages {
		n, err := unix.Read(c.fd, c.buffer[c.rest:c.rest+counterPage])
		if err != nil || n <= 0 {
			return false
		}
		text := c.buffer[:c.rest+n]
		for {
			line, rest, whole := bytes.Cut(text, []byte{'\n'})
			if !whole {
				break
			}
			if name, t, ok := parseDevice(line); ok {
				f(name, t)
			}
			text = rest
		}
		c.rest = copy(c.buffer[:counterPage], text)
	}
	return true
}

// Close ends the reading.
func (c *Counters) Close() { _ = unix.Close(c.fd) }

// parseDevice reads one line of /proc/net/dev (proc(5)). The name is part of
// the line.
func parseDevice(line []byte) (name []byte, t Traffic, ok bool) {
	name, rest, found := bytes.Cut(bytes.TrimLeft(line, " "), []byte{':'})
	if !found || len(name) == 0 {
		return nil, t, false
	}
	for field := range 10 {
		rest = bytes.TrimLeft(rest, " ")
		n, digits := uint64(0), 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			n = n*10 + uint64(rest[digits]-'0')
			digits++
		}
		if digits == 0 {
			return nil, t, false
		}
		rest = rest[digits:]
		switch field {
		case 0:
			t.RxBytes = n
		case 1:
			t.RxPackets = n
		case 8:
			t.TxBytes = n
		case 9:
			t.TxPackets = n
		}
	}
	return name, t, true
}
