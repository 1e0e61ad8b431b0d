//go:build vm || native

package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
)

// Flow is a stream of equal UDP datagrams at a steady rate.
type Flow struct {
	From, To *Host
	Dst      netip.Addr    // of To; may be an address in a tunnel
	Payload  int           // bytes of a datagram
	Kbits    int           // offered, counting payload only, kbit/s
	Settle   time.Duration // arrivals before it are not counted: queues fill, bursts pass
	During   time.Duration // measured, after Settle
}

// Arrived is what a Flow brought.
type Arrived struct {
	Datagrams int
	Payload   int // bytes of each
	Within    time.Duration
}

// Kbits is the measured rate in kbit/s with so many bytes of headers counted per datagram (IPv4 and UDP 28, plus
// Ethernet 42, which is what a shaper on an Ethernet interface counts).
func (a Arrived) Kbits(headers int) float64 {
	return float64(a.Datagrams*(a.Payload+headers)*8) / a.Within.Seconds() / 1000
}

// Measure sends the flow and counts what arrives.
func (f Flow) Measure() Arrived {
	t := f.From.World.T
	t.Helper()
	var in, out *net.UDPConn
	if err := f.To.Do(func() (err error) {
		in, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(f.Dst, 0)))
		return err
	}); err != nil {
		t.Fatalf("receiver on %s: %v", f.To.Name, err)
	}
	defer in.Close()
	if err := f.From.Do(func() (err error) {
		out, err = net.DialUDP("udp", nil, in.LocalAddr().(*net.UDPAddr))
		return err
	}); err != nil {
		t.Fatalf("sender on %s: %v", f.From.Name, err)
	}
	defer out.Close()

	start := time.Now()
	sent := make(chan error, 1)
	go func() { sent <- f.send(out, start) }()
	arrived, err := f.receive(in, start)
	if err = errors.Join(err, <-sent); err != nil {
		t.Fatalf("flow %s to %s: %v", f.From.Name, f.Dst, err)
	}
	return arrived
}

// send keeps to the schedule: at any time, what the rate allows since the start has been sent.
func (f Flow) send(out *net.UDPConn, start time.Time) error {
	payload := make([]byte, f.Payload)
	due := func() int {
		return int(time.Since(start).Seconds() * float64(f.Kbits) * 1000 / 8 / float64(f.Payload))
	}
	over := func() bool { return time.Since(start) >= f.Settle+f.During }
	for n := 0; !over(); time.Sleep(time.Millisecond) {
		for ; n < due() && !over(); n++ { // a queue that is full may hold the writer
			// A queue that is full, or nobody there yet, is a lost datagram.
			if _, err := out.Write(payload); err != nil && !lost(err) {
				return fmt.Errorf("send: %w", err)
			}
		}
	}
	return nil
}

func (f Flow) receive(in *net.UDPConn, start time.Time) (Arrived, error) {
	a := Arrived{Payload: f.Payload, Within: f.During}
	from, to := start.Add(f.Settle), start.Add(f.Settle+f.During)
	if err := in.SetReadDeadline(to); err != nil {
		return a, err
	}
	for buffer := make([]byte, f.Payload+1); ; {
		n, err := in.Read(buffer)
		switch now := time.Now(); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return a, nil
		case err != nil:
			return a, fmt.Errorf("receive: %w", err)
		case n != f.Payload:
			return a, fmt.Errorf("received %d bytes, want %d", n, f.Payload)
		case now.After(from):
			a.Datagrams++
		}
	}
}
