package daemon

import (
	"net"
	"net/netip"
	"os"
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
func started(t testing.TB, ports int) (*Daemon, *lines) {
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

// A listener's socket that only raises errors is given up, not spun on, and the section listens again.
func TestListenerThatOnlyFails(t *testing.T) {
	d, log := started(t, 1)
	place, _ := d.sections[0].listen.Get(0)
	l := place.(*sock.Listener)
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
	r := &running{T: t, log: log, at: &net.UDPAddr{IP: host.AsSlice(), Port: int(d.sections[0].Config.Ports[0])}}
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
