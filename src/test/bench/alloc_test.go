//go:build bench

package bench

import (
	"io"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/config"
	"tunneldigger/src/daemon"
	"tunneldigger/src/logline"
	"tunneldigger/src/test/loopback"
	"tunneldigger/src/wire"
)

// A daemon within this process, so that its allocations can be counted: what standing tunnels say, hundreds of datagrams of it,
// must not cause one.
func TestNativeAllocations(t *testing.T) {
	const clients = 100
	at := netip.AddrPortFrom(loopback.Host(), loopback.Port(t))
	signals, ended := make(chan os.Signal), make(chan error)
	go func() {
		ended <- daemon.Run(daemon.Options{
			Config: &config.Config{Brokers: []config.Broker{{
				Name: "bench", Addresses: []netip.Addr{at.Addr()}, Ports: []uint16{at.Port()},
				MaxTunnels: clients, TunnelIDBase: 100, TunnelTimeout: time.Minute,
			}}},
			Log: logline.New(io.Discard, logline.Warn, false), NoDatapath: true, Signals: signals,
		})
	}()
	await(t, 10*time.Second, "the daemon listens", func() bool { return !isFree(at) })
	s := newSwarm(t, netip.MustParseAddrPort("127.0.0.4:20000"), at, clients)
	s.connect(clients)
	s.answer(3 * time.Second) // path MTU discovery

	keepalive, probe := wire.AppendClientKeepalive(nil, 1), wire.AppendPMTUD(nil, 100)
	const messages = 2 * clients // and as many answers
	turn := func() {
		for i := range s.clients {
			send(s.clients[i].fd, keepalive)
			send(s.clients[i].fd, probe)
		}
		for i := range s.clients { // what is answered has been dealt with, and so has all before it
			for answered := false; !answered; {
				n := receive(s.clients[i].fd, s.buf[:])
				if n < 0 {
					fds := []unix.PollFd{{Fd: int32(s.clients[i].fd), Events: unix.POLLIN}}
					if n, err := unix.Poll(fds, 10000); n == 0 {
						t.Fatalf("client %d got no answer: %v", i, err)
					}
					continue
				}
				m, err := wire.Parse(s.buf[:n])
				answered = err == nil && m.Type == wire.TypePMTUDAck
			}
		}
	}
	turn()
	// Rounded down for a turn, since the runtime itself allocates now and then.
	per := testing.AllocsPerRun(500, turn) / float64(messages)
	figures.most(t, "allocations per message", "", per, 0, 0)
	signals <- unix.SIGTERM
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
