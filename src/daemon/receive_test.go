package daemon

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/logline"
	"tunneldigger/src/poll"
	"tunneldigger/src/sock"
	"tunneldigger/src/wire"
)

// started is a daemon on some ports of loopback whose loop is the test's.
func started(t *testing.T, ports int) (*Daemon, *lines) {
	t.Helper()
	b := config.Broker{Name: "wan", Addresses: []netip.Addr{host}, MaxTunnels: 4, TunnelIDBase: 100, TunnelTimeout: time.Minute}
	for range ports {
		b.Ports = append(b.Ports, freePort(t))
	}
	log := &lines{grown: make(chan struct{}, 1)}
	d, err := start(Options{Config: &config.Config{Brokers: []config.Broker{b}}, Log: logline.New(log, logline.Debug, false), NoDatapath: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return d, log
}

func (d *Daemon) drops(of broker.Drop) int { return int(d.sections[0].core.Stats().Drops[of]) }

// A turn has a bound, however many listeners have something, and each gets its turn.
func TestTurnIsBounded(t *testing.T) {
	const listeners = 3*batches + 2
	d, _ := started(t, listeners)
	for _, port := range d.sections[0].config.Ports {
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
				slices.Contains(d.sections[0].config.Ports, port) {
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
	for number, l := range d.sections[0].listeners {
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

// A listener's socket that only raises errors is given up, not spun on, and the section listens again.
func TestListenerThatOnlyFails(t *testing.T) {
	d, log := started(t, 1)
	l := d.sections[0].listeners[0].(*sock.Listener)
	// A descriptor that is readable for ever, and no socket.
	broken, err := unix.Eventfd(1, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(broken)
	if err := unix.Dup3(broken, l.FD(), unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := d.poller.Add(l.FD(), tokenListener, poll.Read); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	signals := make(chan os.Signal, 1)
	go d.forward(signals)
	go func() { ended <- d.loop() }()
	log.await(t, "nothing but errors")
	r := &running{T: t, log: log, at: &net.UDPAddr{IP: host.AsSlice(), Port: int(d.sections[0].config.Ports[0])}}
	k := r.dial()
	for answered := false; !answered; {
		_, _ = k.Write(wire.AppendCookieRequest(nil))
		_ = k.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, _ := k.Read(make([]byte, 100))
		answered = n > 0
	}
	signals <- unix.SIGTERM
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
