//go:build !mips

// What is here asks the machine about programs, threads and sockets, and emulation of another processor answers otherwise.

package daemon

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/broker"
	"tunneldigger/src/poll"
	"tunneldigger/src/sock"
)

// A turn has a bound, however many listeners have something, and each gets its turn.
func TestTurnIsBounded(t *testing.T) {
	const listeners = 3*batches + 2
	d, _ := started(t, listeners)
	for _, port := range d.sections[0].Config.Ports {
		c, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: host.AsSlice(), Port: int(port)})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for range 2 * 32 { // two batches
			if _, err := c.Write([]byte("garbage")); err != nil {
				t.Fatal(err)
			}
		}
	}
	// On a busy machine the kernel delivers late: all is there when the same is with everybody. Others have the same ports elsewhere.
	here := fmt.Sprintf("%08X", binary.NativeEndian.Uint32(host.AsSlice()))
	waiting := func() map[string]bool {
		text, err := os.ReadFile("/proc/net/udp")
		if err != nil {
			t.Fatal(err)
		}
		each := make(map[string]bool)
		for _, line := range strings.Split(string(text), "\n") {
			var number int
			var port uint16
			var address, peer, state, queues string // the last: to send, and received and not read
			if n, _ := fmt.Sscanf(line, "%d: %8s:%X %s %s %s", &number, &address, &port, &peer, &state, &queues); n == 6 && address == here &&
				slices.Contains(d.sections[0].Config.Ports, port) {
				each[queues] = true
			}
		}
		return each
	}
	const none = "00000000:00000000"
	for end := time.Now().Add(2 * time.Minute); len(waiting()) != 1 || waiting()[none]; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not delivered: %v", waiting())
		}
	}
	// As epoll gives them, always in the same order.
	var events []poll.Event
	for number := range uint32(listeners) {
		events = append(events, poll.Event{Token: tokenListener | uint64(number), Readable: true})
	}
	// QEMU ends a batch early when a signal comes.
	for turn := 1; turn <= listeners/batches+1; turn++ {
		d.listenersReady(events)
		if got := d.drops(broker.DropMalformed); got > turn*batches*32 || got < turn*batches {
			t.Fatalf("%d datagrams were taken in %d turns, want %d", got, turn, turn*batches*32)
		}
	}
	for number := range uint32(listeners) {
		l, _ := d.sections[0].listen.Get(number)
		left := 0
		for some := -1; some != 0; left += some {
			datagrams, _ := l.(*sock.Listener).Receive()
			some = len(datagrams)
		}
		if left == 2*32 {
			t.Errorf("listener %d was left out", number)
		}
	}
}
