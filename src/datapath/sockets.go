package datapath

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
	"tunneldigger/src/sock"
)

const (
	maxID     = 65535
	maxStrays = 1024 // more small datagrams than a socket can hold
	maxStray  = 2048 // bytes of one; what is longer is no handshake
)

// Sockets are the connected sockets of a path that has one for each tunnel. It is
// most of such a Path.
type Sockets struct {
	Interfaces *Interfaces
	Stray      Stray
	byID       []*socket
}

type socket struct {
	fd       int
	peer     sock.Peer
	local    netip.AddrPort
	listener int
}

// Open makes the socket of a tunnel.
func (s *Sockets) Open(r *Request) (fd int, err error) {
	if r.ID == 0 || r.ID > maxID {
		return -1, phrase.Errorf("tunnel ID %d: want 1–%d", r.ID, maxID)
	}
	if fd, err = sock.Connect(r.Local, r.Peer, r.Device); err == nil {
		s.Adopt(r, fd)
	}
	return fd, err
}

// Adopt takes over a socket, and implements Path.
func (s *Sockets) Adopt(r *Request, fd int) {
	for uint64(r.ID) >= uint64(len(s.byID)) {
		s.byID = append(s.byID, nil)
	}
	if fd >= 0 {
		s.byID[r.ID] = &socket{fd, sock.NewPeer(r.Peer), r.Local, r.Listener}
	}
}

func (s *Sockets) get(id uint32) *socket {
	if uint64(id) < uint64(len(s.byID)) {
		return s.byID[id]
	}
	return nil
}

// FD implements Path.
func (s *Sockets) FD(id uint32) int {
	if one := s.get(id); one != nil {
		return one.fd
	}
	return -1
}

// Keep implements Path: it is the socket.
func (s *Sockets) Keep(id uint32) int { return s.FD(id) }

// Send implements Path.
func (s *Sockets) Send(id uint32, message []byte) error {
	if one := s.get(id); one != nil {
		return sock.Send(one.fd, message)
	}
	return closed
}

// Receive implements Path.
func (s *Sockets) Receive(id uint32, buf []byte) (n int, own bool, from netip.AddrPort, err error) {
	if one := s.get(id); one != nil {
		return sock.Receive(one.fd, buf, &one.peer)
	}
	return 0, false, from, closed
}

// Drop closes the socket of a tunnel that is not to be, or not any more. What is in
// it goes to Stray.
func (s *Sockets) Drop(id uint32) {
	one := s.get(id)
	if one == nil {
		return
	}
	buffer := make([]byte, maxStray)
	for range maxStrays {
		n, own, from, err := sock.Receive(one.fd, buffer, &one.peer)
		if err == unix.EAGAIN {
			break
		}
		if own {
			from = one.peer.Addr()
		}
		if err == nil {
			s.Stray(one.listener, one.local, from, buffer[:n])
		}
	}
	_ = unix.Close(one.fd)
	s.byID[id] = nil
}

// Destroy implements Path.
func (s *Sockets) Destroy(id uint32) {
	s.Drop(id)
	s.Interfaces.Remove(id)
}

// Close implements Path: it closes every socket.
func (s *Sockets) Close() {
	for id, one := range s.byID {
		if one != nil {
			_ = unix.Close(one.fd)
			s.byID[id] = nil
		}
	}
}
