//go:build vm || native

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/client"
	"tunneldigger/src/wire"
)

// peer is a client by hand, with one UDP socket: what it sends, and from which port, is the test's business. It
// acknowledges PMTUD by itself.
type peer struct {
	t    testing.TB
	host *Host
	conn *net.UDPConn
	// refused tells that ICMP said that nobody listens.
	refused atomic.Bool

	mu    sync.Mutex
	heard []heard
	grown chan struct{} // closed, and replaced, whenever heard grows
	ended chan struct{} // closed when nothing more is heard

	carrier interface{ Close() error } // that reads the socket, nil: the peer does
}

// heard is a message of the broker.
type heard struct {
	wire.Message
	at time.Time
}

// agreed is what TUNNEL said.
type agreed struct {
	id       uint32
	features wire.Features
	payload  string // in hexadecimal
}

// peer makes a client on the host, from the local port, 0 for any, to the broker's address and port.
func (h *Host) peer(port uint16, broker netip.AddrPort) *peer {
	h.World.T.Helper()
	return h.peerFrom(netip.AddrPortFrom(netip.Addr{}, port), broker)
}

// peerFrom is peer for one of the host's addresses.
func (h *Host) peerFrom(local, broker netip.AddrPort) *peer {
	t := h.World.T
	t.Helper()
	p := &peer{t: t, host: h, grown: make(chan struct{}), ended: make(chan struct{})}
	if err := h.Do(func() (err error) {
		p.conn, err = net.DialUDP("udp", &net.UDPAddr{IP: local.Addr().AsSlice(), Port: int(local.Port())}, net.UDPAddrFromAddrPort(broker))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.conn.Close()
		if p.carrier != nil {
			_ = p.carrier.Close()
		}
	})
	go p.listen()
	return p
}

func (p *peer) listen() {
	defer close(p.ended)
	for {
		b := make([]byte, 2048)
		n, err := p.conn.Read(b)
		if errors.Is(err, unix.ECONNREFUSED) {
			p.refused.Store(true)
		} else if err != nil && !lost(err) {
			return
		}
		p.take(b[:n])
	}
}

// take takes in a datagram, which is the caller's again.
func (p *peer) take(b []byte) {
	m, err := wire.Parse(bytes.Clone(b))
	if err != nil {
		return
	}
	if m.Type == wire.TypePMTUD {
		_, _ = p.conn.Write(wire.AppendPMTUDAck(nil, uint16(m.Size)))
	}
	p.mu.Lock()
	p.heard = append(p.heard, heard{m, time.Now()})
	close(p.grown)
	p.grown = make(chan struct{})
	p.mu.Unlock()
}

// close ends the client without a word, and its tunnel.
func (p *peer) close() {
	p.t.Helper()
	if p.carrier != nil {
		_ = p.carrier.Close()
		p.carrier = nil
	}
	if err := p.conn.Close(); err != nil {
		p.t.Error(err)
	}
	<-p.ended
}

func (p *peer) send(datagram []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(datagram); err != nil && !lost(err) {
		p.t.Fatal(err)
	}
}

// ask sends a datagram and waits for one of the given types.
func (p *peer) ask(datagram []byte, want ...wire.Type) wire.Message {
	p.t.Helper()
	p.mu.Lock()
	seen := len(p.heard)
	p.mu.Unlock()
	p.send(datagram)
	for late := time.After(soon); ; {
		p.mu.Lock()
		news, grown := p.heard[seen:], p.grown
		p.mu.Unlock()
		for _, m := range news {
			for _, wanted := range want {
				if m.Type == wanted {
					return m.Message
				}
			}
		}
		seen += len(news)
		select {
		case <-grown:
		case <-late:
			p.t.Fatalf("%s heard no %v from %s", p.conn.LocalAddr(), want, p.conn.RemoteAddr())
		}
	}
}

// times tells when messages of a type came.
func (p *peer) times(of wire.Type) []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []time.Time
	for _, m := range p.heard {
		if m.Type == of {
			all = append(all, m.at)
		}
	}
	return all
}

// prepare is a PREPARE with a fresh cookie.
func (p *peer) prepare(uuid string, id uint32, features wire.Features) []byte {
	p.t.Helper()
	cookie := p.ask(wire.AppendCookieRequest(nil), wire.TypeCookie)
	return wire.AppendPrepare(nil, cookie.Payload, []byte(uuid), id, features)
}

// connect has a tunnel made.
func (p *peer) connect(uuid string, id uint32, features wire.Features) agreed {
	p.t.Helper()
	return p.agree(p.prepare(uuid, id, features))
}

func (p *peer) agree(prepare []byte) agreed {
	p.t.Helper()
	m := p.ask(prepare, wire.TypeTunnel, wire.TypeError)
	if m.Type == wire.TypeError {
		p.t.Fatalf("%s was refused by %s", p.conn.LocalAddr(), p.conn.RemoteAddr())
	}
	id, features, err := wire.ParseTunnel(m.Payload)
	if err != nil {
		p.t.Fatal(err)
	}
	return agreed{id, features, fmt.Sprintf("%x", m.Payload)}
}

// carry makes the client's end of the tunnel, as the interface of that name.
func (p *peer) carry(name string, id uint32, a agreed) {
	p.t.Helper()
	tunnel := client.Tunnel{ID: id, PeerID: a.id, SessionID: 1, PeerSessionID: 1}
	if a.features&wire.UniqueSessionID != 0 {
		tunnel.SessionID, tunnel.PeerSessionID = id, a.id
	}
	raw, err := p.conn.SyscallConn()
	if err != nil {
		p.t.Fatal(err)
	}
	err = p.host.Do(func() error {
		var failed error
		if err := raw.Control(func(fd uintptr) { failed = p.carryTunnel(name, tunnel, int(fd)) }); err != nil {
			return err
		}
		return failed
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// iface is the name of the broker's interface for what was agreed.
func (a agreed) iface() string {
	if a.features&wire.UniqueSessionID == 0 {
		return fmt.Sprintf("l2tp%d-1", a.id)
	}
	return fmt.Sprintf("l2tp%d-%d", a.id, a.id)
}

// waitGone waits until the host has no interface of that name.
func (h *Host) waitGone(name string) {
	h.World.T.Helper()
	h.World.Wait(soon, name+" gone", func() bool {
		for _, there := range h.LinkNames(name) {
			if there == name {
				return false
			}
		}
		return true
	})
}

// waitLines waits until the program has printed that many lines with the text.
func (p *Process) waitLines(n int, text string, limit time.Duration) {
	p.world.T.Helper()
	p.world.Wait(limit, fmt.Sprintf("%d lines with %q", n, text), func() bool {
		return strings.Count(p.Log(), text) >= n
	})
}

// tunnelOf is the broker's interface for the client with the UUID, whose tunnel is up or comes up soon.
func (b *Broker) tunnelOf(uuid string) string {
	b.world.T.Helper()
	line := b.WaitLog("uuid="+uuid+" interface=", soon)
	_, name, _ := strings.Cut(line, "interface=")
	name, _, _ = strings.Cut(name, " ")
	return name
}

// mtuOf gives a function that reads an interface's MTU quickly, 0 while it is not there.
func (h *Host) mtuOf(name string) func() int {
	h.World.T.Helper()
	fd := -1
	err := h.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		h.World.T.Fatal(err)
	}
	h.World.T.Cleanup(func() { unix.Close(fd) })
	request, err := unix.NewIfreq(name)
	if err != nil {
		h.World.T.Fatal(err)
	}
	return func() int {
		if unix.IoctlIfreq(fd, unix.SIOCGIFMTU, request) != nil {
			return 0
		}
		mtu := request.Uint32()
		request, _ = unix.NewIfreq(name)
		return int(mtu)
	}
}

// running lists the processes that have one of the words as an argument.
func running(words ...string) []string {
	var found []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for _, word := range words {
			if strings.Contains(string(text)+"\x00", "\x00"+word+"\x00") {
				found = append(found, strings.ReplaceAll(string(text), "\x00", " "))
			}
		}
	}
	return found
}
