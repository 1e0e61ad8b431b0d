// Package probe asks a broker from outside, as a client would: what it reports
// as its load, whether it gives cookies, and, on request, whether it gives a
// tunnel. It makes no interface and needs no privileges.
package probe

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
	"tunneldigger/src/poll"
	"tunneldigger/src/resolve"
	"tunneldigger/src/sock"
	"tunneldigger/src/wire"
)

const (
	tries   = 3
	between = 2 * time.Second // as clients repeat, protocol.md
)

// ErrNoAnswer says that a request stayed without an answer, repeats included.
var ErrNoAnswer = errors.New("no answer")

// DefaultPort is asked where none is given: the one that most brokers have.
const DefaultPort = 8942

// Run asks the broker at host ("name", "name:port", "[address]:port") and writes
// one line for every answer to out. With a UUID it has a tunnel set up and
// closes it again. The error is the first question that failed.
func Run(out io.Writer, host, uuid string) error {
	if uuid != "" && !wire.ValidUUID([]byte(uuid)) {
		return phrase.Errorf("UUID %q: want 1 to %d printable characters without spaces, quotes or any of \\ $ ` ; & | < > /, "+
			"and no - in front", uuid, wire.MaxValidUUID)
	}
	name, port, err := resolve.HostPort(host, DefaultPort)
	if err != nil {
		return err
	}
	found, err := resolve.System.Lookup(name)
	if err != nil {
		return err
	}
	// A host without IPv6 has no route to the first address of many names.
	for _, a := range found {
		p := &prober{out: out, peer: sock.NewPeer(netip.AddrPortFrom(a, port))}
		if p.fd, err = connect(p.peer.Addr()); err == nil {
			defer unix.Close(p.fd)
			phrase.Fprintf(out, "broker  %s\n", p.peer.Addr())
			return p.run(uuid)
		}
	}
	return err
}

func connect(peer netip.AddrPort) (int, error) {
	if peer.Addr().Is6() {
		return sock.Connect(netip.AddrPortFrom(netip.IPv6Unspecified(), 0), peer, "")
	}
	return sock.Connect(netip.AddrPortFrom(netip.IPv4Unspecified(), 0), peer, "")
}

type prober struct {
	fd     int
	peer   sock.Peer
	out    io.Writer
	buffer [2048]byte
}

func (p *prober) run(uuid string) error {
	m, took, err := p.ask("usage", wire.AppendUsageRequest(nil, wire.UniqueSessionID), wire.TypeUsage)
	if err != nil {
		return err
	}
	load, ok := wire.ParseUint16(m.Payload)
	if !ok {
		return errors.New("usage: the answer is malformed")
	}
	state := ""
	if load == 65535 {
		state = ", it takes no new tunnels"
	}
	phrase.Fprintf(p.out, "usage   %d %% (%d of 65535)%s, answered in %s\n", int(load)*100/65535, load, state, rounded(took))

	m, took, err = p.ask("cookie", wire.AppendCookieRequest(nil), wire.TypeCookie)
	if err != nil {
		return err
	}
	cookie, ok := wire.ParseCookie(m.Payload)
	if !ok {
		return errors.New("cookie: the answer is malformed")
	}
	phrase.Fprintf(p.out, "cookie  %s, answered in %s\n", hexadecimal(cookie[:]), rounded(took))
	if uuid == "" {
		return nil
	}
	return p.setUp(cookie, uuid)
}

func (p *prober) setUp(cookie [8]byte, uuid string) error {
	prepare := wire.AppendPrepare(nil, cookie[:], []byte(uuid), 1, wire.UniqueSessionID)
	m, took, err := p.ask("tunnel", prepare, wire.TypeTunnel, wire.TypeError)
	switch {
	case err != nil:
		return err
	case m.Type == wire.TypeError:
		return phrase.Errorf("tunnel: the broker refused it (after %s)", rounded(took))
	}
	id, features, err := wire.ParseTunnel(m.Payload)
	if err != nil {
		return phrase.Errorf("tunnel: %w", err)
	}
	sessions := "session ID 1"
	if features&wire.UniqueSessionID != 0 {
		sessions = "unique session IDs"
	}
	// Whatever came of it, the tunnel is not needed any more.
	_ = sock.Send(p.fd, wire.AppendErrorReason(nil, wire.ReasonClientShutdown))
	phrase.Fprintf(p.out, "tunnel  ID %d, %s, set up in %s, closed again\n", id, sessions, rounded(took))
	return nil
}

// ask sends a request until an answer of one of the wanted types comes.
func (p *prober) ask(what string, request []byte, want ...wire.Type) (wire.Message, time.Duration, error) {
	begin := time.Now()
	last := ErrNoAnswer
	for n := 1; n <= tries; n++ {
		if err := sock.Send(p.fd, request); err != nil {
			last = err
		}
		m, err := p.await(begin.Add(time.Duration(n)*between), want)
		if err == nil {
			return m, time.Since(begin), nil
		}
		if err != ErrNoAnswer {
			last = err // ECONNREFUSED: nobody listens there, yet
		}
	}
	return wire.Message{}, 0, phrase.Errorf("%s: %w after %d tries in %s", what, last, tries, tries*between)
}

// await waits for a wanted answer until the deadline. What goes wrong on the way
// is told then: the next try is due at that time and not earlier.
func (p *prober) await(until time.Time, want []wire.Type) (wire.Message, error) {
	last := ErrNoAnswer
	for {
		n, own, _, err := sock.Receive(p.fd, p.buffer[:], &p.peer)
		switch {
		case err == unix.EAGAIN:
			left := time.Until(until)
			if left <= 0 {
				return wire.Message{}, last
			}
			if err := poll.One(p.fd, left); err != nil {
				return wire.Message{}, err
			}
		case err != nil:
			sock.DrainErrors(p.fd)
			last = err
		case own:
			if m, err := wire.Parse(p.buffer[:n]); err == nil && slices.Contains(want, m.Type) {
				return m, nil
			}
		}
	}
}

func rounded(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

func hexadecimal(b []byte) (text string) {
	for _, c := range b {
		text += strconv.FormatUint(0x100|uint64(c), 16)[1:]
	}
	return text
}
