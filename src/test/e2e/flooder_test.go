//go:build vm || native

package e2e

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const floodBatch = 64

// flooder sends datagrams as fast as one processor can, from a socket of its own, until it is stopped.
type flooder struct {
	sent  atomic.Int64
	stop  atomic.Bool
	ended chan error
}

type mmsghdr struct {
	hdr unix.Msghdr
	_   uint32 // how much of it was sent
}

// flood begins to send what next gives, which may be the same memory each time for one index of a batch, from the socket that open makes,
// in the named network namespace.
func flood(namespace string, open func() (int, error), next func(i int) []byte) *flooder {
	f := &flooder{ended: make(chan error, 1)}
	go func() {
		f.ended <- within(namespace, func() error {
			fd, err := open()
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			// One processor, the last one, and the others are left to the rest.
			var set unix.CPUSet
			set.Set(runtime.NumCPU() - 1)
			if err := unix.SchedSetaffinity(0, &set); err != nil {
				return err
			}
			var messages [floodBatch]mmsghdr
			var parts [floodBatch]unix.Iovec
			for i := range messages {
				messages[i].hdr.Iov = &parts[i]
				messages[i].hdr.SetIovlen(1)
			}
			for !f.stop.Load() {
				for i := range messages {
					data := next(i)
					parts[i].Base = &data[0]
					parts[i].SetLen(len(data))
				}
				n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages)), floodBatch, 0, 0, 0)
				if errno != 0 && !lost(errno) {
					return fmt.Errorf("flood: %w", errno)
				}
				if errno == 0 {
					f.sent.Add(int64(n))
				}
			}
			return nil
		})
	}()
	return f
}

// end stops it and tells how many datagrams it sent.
func (f *flooder) end() (int, error) {
	f.stop.Store(true)
	err := <-f.ended
	return int(f.sent.Load()), err
}

// received tells how many UDP datagrams programs on the host have taken in, of both families, and how many found no room.
func (h *Host) received() (taken, dropped int) {
	h.World.T.Helper()
	err := h.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		var in, errors int
		for _, line := range strings.Split(string(text), "\n") {
			var none, full int
			if n, _ := fmt.Sscanf(line, "Udp: %d %d %d %d %d", &in, &none, &errors, new(int), &full); n == 5 {
				taken, dropped = taken+in, dropped+full
			}
		}
		text, err = os.ReadFile("/proc/thread-self/net/snmp6")
		for _, line := range strings.Split(string(text), "\n") {
			var n int
			if c, _ := fmt.Sscanf(line, "Udp6InDatagrams %d", &n); c == 1 {
				taken += n
			}
			if c, _ := fmt.Sscanf(line, "Udp6RcvbufErrors %d", &n); c == 1 {
				dropped += n
			}
		}
		return err
	})
	if err != nil {
		h.World.T.Fatal(err)
	}
	return taken, dropped
}

// queued tells how many bytes wait in the queues of the sockets at a UDP port of the host.
func (h *Host) queued(port uint16) (bytes int) {
	h.World.T.Helper()
	err := h.Do(func() error {
		for _, table := range []string{"udp", "udp6"} {
			text, err := os.ReadFile("/proc/thread-self/net/" + table)
			if err != nil {
				return err
			}
			for _, line := range strings.Split(string(text), "\n") {
				// sl local_address rem_address st tx_queue:rx_queue …
				if fields := strings.Fields(line); len(fields) > 4 && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
					var out, in int
					if _, err := fmt.Sscanf(fields[4], "%X:%X", &out, &in); err != nil {
						return err
					}
					bytes += in
				}
			}
		}
		return nil
	})
	if err != nil {
		h.World.T.Fatal(err)
	}
	return bytes
}
