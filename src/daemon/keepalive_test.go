package daemon

import (
	"net"
	"testing"

	"tunneldigger/src/poll"
	"tunneldigger/src/wire"
)

// kept is a daemon with a tunnel that stands, and the socket of its client.
func kept(t testing.TB) (*Daemon, *net.UDPConn, *poll.Event) {
	t.Helper()
	d, _ := started(t, 1)
	s := d.sections[0]
	client, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: host.AsSlice(), Port: int(s.Config.Ports[0])})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	d.askFor(client.LocalAddr().(*net.UDPAddr).AddrPort().Port(), "node")
	d.createAll()
	if info, ok := s.core.Next(0); !ok || !info.Stands() {
		t.Fatalf("no tunnel: %+v", info)
	}
	return d, client, &poll.Event{Token: tokenTunnel | 100, Readable: true}
}

// A keepalive reaches the core, and takes nothing from the heap on its way, whatever it passes.
func TestKeepaliveAllocatesNothing(t *testing.T) {
	d, client, ready := kept(t)
	message, before := wire.AppendKeepalive(nil, 1), d.sections[0].core.Stats()
	const many = 200
	if n := testing.AllocsPerRun(many, func() {
		if _, err := client.Write(message); err != nil {
			t.Fatal(err)
		}
		d.tunnelReady(ready)
	}); n != 0 {
		t.Errorf("%v allocations for a keepalive", n)
	}
	if now := d.sections[0].core.Stats(); now.Drops != before.Drops {
		t.Errorf("dropped %v", now.Drops)
	}
}

// BenchmarkTunnelReady is all that the loop does for a keepalive, with the client's own system call.
func BenchmarkTunnelReady(b *testing.B) {
	d, client, ready := kept(b)
	message := wire.AppendKeepalive(nil, 1)
	b.ReportAllocs()
	for range b.N {
		if _, err := client.Write(message); err != nil {
			b.Fatal(err)
		}
		d.tunnelReady(ready)
	}
}
