package tunnels

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
	"tunneldigger/src/sock"
	"tunneldigger/src/wire"
)

// maxSilent is how often in a row a tunnel's socket may say that it has errors and show
// none, or nothing but errors, before it is given up: it would keep the loop busy for ever.
const maxSilent = 8

// Send sends a control message to a tunnel's client, padded with zeros to size bytes if
// that is larger. The error is a bare errno. With EMSGSIZE fits is how large a packet of
// IP may be, in bytes. To a tunnel that is not there, or closing, nothing is sent.
func (ts *Table) Send(id uint32, message []byte, size int) (fits int, err error) {
	t := ts.Get(id)
	if t == nil || t.Closing {
		return 0, nil
	}
	if size > len(message) {
		n := copy(ts.padded[:], message)
		clear(ts.padded[n:size])
		message = ts.padded[:size]
	}
	if err = t.Section.Path.Send(id, message); err == unix.EMSGSIZE {
		fits = len(message) + wire.UDPOverhead(!t.Local.Addr().Is4()) - 1
	}
	return fits, err
}

// Receive reads one datagram of a tunnel's socket into buf: own when it came from the
// client, else from is who sent it. The error is a bare errno, EAGAIN when nothing is there;
// of others Silent is to be told.
func (ts *Table) Receive(t *Tunnel, buf []byte) (n int, own bool, from netip.AddrPort, err error) {
	n, own, from, err = t.Section.Path.Receive(t.ID, buf)
	if own && err == nil {
		t.silent = 0
	}
	return n, own, from, err
}

// Errors empties the error queue of a tunnel's socket, which is ready for that.
func (ts *Table) Errors(t *Tunnel) Result {
	mtu, count := sock.DrainErrors(t.Section.Path.FD(t.ID))
	if count == 0 {
		return ts.Silent(t)
	}
	t.silent = 0
	r := Result{Section: t.Section}
	if mtu > 0 {
		r.Event = broker.Event{Kind: broker.EventTooBig, Tunnel: t.ID, Size: mtu}
	}
	return r
}

// Silent takes in that a tunnel's socket had an error for a datagram, or none at all. It is
// given up after a few in a row.
func (ts *Table) Silent(t *Tunnel) Result {
	r := Result{Section: t.Section}
	if t.silent++; t.silent == maxSilent+1 {
		_ = ts.poller.Remove(t.Section.Path.FD(t.ID))
		r.Event = broker.Event{Kind: broker.EventLost, Tunnel: t.ID}
	}
	return r
}
