package forward

import (
	"net/netip"
	"sync"
)

const (
	letterSize = 2048 // bytes of a datagram; the largest message on the wire is a probe of 1500
	boxSize    = 256  // letters that wait
)

// Mail is a datagram for the Engine's owner: a control message of a tunnel, or what came to a listener from others. Of data that is
// nobody's, or of another session than the tunnel's, it is the first datagram of several at most.
type Mail struct {
	Listener    *Listener
	Tunnel      *Tunnel // nil: of no tunnel
	Peer, Local netip.AddrPort
	Data        []byte // the caller's of Next, until its next call
	// PathMTU, if it is not 0, says that there is no datagram: a router, or our own device, says so of the path to the tunnel's peer, in bytes of IP packet.
	// Anybody may claim to be a router.
	PathMTU int
}

// box is mail that waits. What is too much is lost.
type box struct {
	mu      sync.Mutex
	letters [boxSize]letter
	first   int
	n       int
}

type letter struct {
	mail Mail
	n    int
	data [letterSize]byte
}

// put reports whether there was room, and whether there was nothing before.
func (b *box) put(m *Mail, data []byte) (ok, first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n == boxSize {
		return false, false
	}
	l := &b.letters[(b.first+b.n)%boxSize]
	l.mail, l.n = *m, copy(l.data[:], data)
	b.n++
	return true, b.n == 1
}

// take copies the oldest letter to m, its data to buf.
func (b *box) take(m *Mail, buf []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n == 0 {
		return false
	}
	l := &b.letters[b.first]
	*m = l.mail
	m.Data = buf[:copy(buf, l.data[:l.n])]
	l.mail = Mail{}
	b.first = (b.first + 1) % boxSize
	b.n--
	return true
}

// Next takes out one piece of mail, tunnels' first; false: there is none. Strangers say whether those without a tunnel are wanted, too.
func (e *Engine) Next(m *Mail, strangers bool) bool {
	return e.members.take(m, e.mail[:]) || strangers && e.strangers.take(m, e.mail[:])
}

// Waiting reports whether there is mail.
func (e *Engine) Waiting() bool { return e.members.waits() || e.strangers.waits() }

func (b *box) waits() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n > 0
}

// post puts mail into its box.
func (e *Engine) post(w *worker, m *Mail, data []byte) {
	b := &e.strangers
	if m.Tunnel != nil && (len(data) == 0 || data[0]&0x80 != 0) {
		b = &e.members
	}
	ok, first := b.put(m, data)
	if !ok {
		w.drop(DropMail, 1)
	}
	if first {
		e.wake()
	}
}
