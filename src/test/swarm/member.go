package swarm

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/client"
	"tunneldigger/src/poll"
	"tunneldigger/src/sock"
	"tunneldigger/src/wire"
)

// member is one client.
type member struct {
	machine *client.Machine
	fd      int // -1: none
	began   time.Duration
	waits   time.Duration // since when for an answer, 0: it does not
	kept    time.Duration // when it heard a KEEPALIVE, 0: not yet
	keeps   int           // how many it has heard since Quiet
	Result
}

// receive takes in one datagram; epoll comes back for more.
func (s *Swarm) receive(i int) error {
	m := &s.members[i]
	if m.fd < 0 {
		return nil
	}
	n, own, _, err := sock.Receive(m.fd, s.buffer[:], &s.peer)
	if err != nil || !own { // ECONNREFUSED and the like: nobody is there, so the client repeats
		return nil
	}
	switch kind(s.buffer[:n]) {
	case wire.TypeUsage, wire.TypeCookie, wire.TypeTunnel:
		s.answered(m)
	case wire.TypeError:
		if !m.Connected {
			s.answered(m)
		}
	case wire.TypeKeepalive:
		if m.kept != 0 {
			s.quiet = max(s.quiet, s.now-m.kept)
		}
		m.kept = s.now
		m.keeps++
	case wire.TypePMTUD:
		if s.options.Deaf {
			return nil
		}
	}
	return s.handle(i, client.Event{Kind: client.Datagram, Data: s.buffer[:n]})
}

// kind is the type of a message, 0 if it is none.
func kind(data []byte) wire.Type {
	msg, err := wire.Parse(data)
	if err != nil {
		return 0
	}
	return msg.Type
}

// asked and answered keep the account of a client's requests.
func (s *Swarm) asked(m *member, data []byte) {
	switch kind(data) {
	case wire.TypeUsage, wire.TypeCookie, wire.TypePrepare:
		s.total.Asked++
		if m.waits == 0 {
			m.waits = s.now
		}
	}
}

func (s *Swarm) answered(m *member) {
	s.total.Answered++
	if m.waits != 0 {
		s.slowest = max(s.slowest, s.now-m.waits)
		m.waits = 0
	}
}

// handle gives an event to a client, and then those that follow from what it wants.
func (s *Swarm) handle(i int, ev client.Event) error {
	m := &s.members[i]
	for more := true; more; {
		s.effects = m.machine.Handle(s.now, ev, s.effects[:0])
		var err error
		if ev, more, err = s.carryOut(i, m); err != nil {
			return err
		}
	}
	s.due[i] = m.machine.Due()
	s.next = min(s.next, s.due[i])
	return nil
}

// carryOut does what a client wants. One effect at most asks for an answer, which is returned.
func (s *Swarm) carryOut(i int, m *member) (answer client.Event, more bool, err error) {
	for j := range s.effects {
		switch e := &s.effects[j]; e.Kind {
		case client.Open:
			if m.fd, err = s.dial(i); err != nil {
				return answer, false, err
			}
			answer, more = client.Event{Kind: client.Opened, V6: s.v6()}, true
		case client.Close:
			m.close()
		case client.Send:
			s.asked(m, e.Data)
			s.send(m.fd, e.Data)
		case client.Probe:
			s.send(m.fd, wire.AppendPMTUD(s.buffer[:0], e.Size))
		case client.CreateTunnel:
			m.Tunnel = e.Tunnel
			answer, more = client.Event{Kind: client.TunnelUp}, true
		case client.Report:
			if s.report(m, e) {
				answer, more = client.Event{Kind: client.Stop}, true
			}
		case client.Exit:
			m.Over = true
			s.total.Over++
		}
	}
	return answer, more, nil
}

// report counts what a client reports, and reports whether it shall leave now.
func (s *Swarm) report(m *member, e *client.Effect) (leave bool) {
	switch e.Note {
	case client.Established:
		if m.Took == 0 {
			m.Took = s.now - m.began
			s.waiting--
		}
		m.Connected = true
		s.total.Connected++
		return s.options.Leave
	case client.Refused:
		m.Reason = e.Reason
		s.total.Refusals++
	case client.Closed:
		m.Reason = e.Reason
		m.Closed++
		s.total.Closed++
		fallthrough
	case client.Silent, client.SocketError, client.Stopped:
		if m.Connected {
			m.Connected = false
			s.total.Connected--
		}
	}
	return false
}

func (s *Swarm) v6() bool { return s.peer.Addr().Addr().Is6() }

// dial makes a socket as the client in the field has it.
func (s *Swarm) dial(i int) (int, error) {
	family, level, name, probe := unix.AF_INET, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE
	at := s.peer.Addr()
	var sa unix.Sockaddr = &unix.SockaddrInet4{Port: int(at.Port())}
	if s.v6() {
		family, level, name, probe = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE
		sa = &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	} else {
		sa.(*unix.SockaddrInet4).Addr = at.Addr().As4()
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("socket of client %d: %w", i, err)
	}
	err = errors.Join(unix.SetsockoptInt(fd, level, name, probe), unix.Connect(fd, sa), s.poller.Add(fd, uint64(i), poll.Read))
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("socket of client %d to %s: %w", i, at, err)
	}
	return fd, nil
}

func (s *Swarm) send(fd int, data []byte) {
	err := sock.Send(fd, data)
	if err == unix.ECONNREFUSED { // of an earlier datagram, and cleared by this
		err = sock.Send(fd, data)
	}
	if err != nil && err != unix.EMSGSIZE { // which is the fate of probes
		s.total.Unsent++
	}
}

func (m *member) close() {
	if m.fd >= 0 {
		unix.Close(m.fd)
		m.fd = -1
	}
}
