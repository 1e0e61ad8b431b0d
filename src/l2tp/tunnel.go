package l2tp

import (
	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
)

// Tunnel is an L2TPv3 tunnel over a UDP socket of ours.
type Tunnel struct {
	ID, PeerID uint32 // not zero
	FD         int    // a UDP socket in the Conn's network namespace; it stays the caller's to read and to close
}

// Session is an Ethernet pseudowire within a tunnel.
type Session struct {
	TunnelID   uint32
	ID, PeerID uint32 // not zero
	Interface  string // at most 15 bytes; "%d" lets the kernel choose a number
}

// CreateTunnel makes a tunnel. EEXIST: the ID is taken in this network namespace; EBUSY: the socket has a tunnel already;
// EBADF, EPROTONOSUPPORT: no UDP socket.
func (c *Conn) CreateTunnel(t Tunnel) error {
	if t.FD < 0 { // the kernel would make a socket of its own
		return &nl.Error{Op: "create L2TP tunnel", Errno: unix.EBADF}
	}
	m := c.request("create L2TP tunnel", cmdTunnelCreate)
	m.U32(attrConnID, t.ID)
	m.U32(attrPeerConnID, t.PeerID)
	m.U8(attrProtoVersion, protocolVersion)
	m.U16(attrEncapType, encapUDP)
	m.U32(attrFD, uint32(t.FD))
	return c.nl.Do(nil)
}

// DeleteTunnel removes a tunnel with its sessions and their interfaces, which is finished some time after it returns. The socket stays
// open, and stays unusable for another tunnel. ENODEV: there is none.
func (c *Conn) DeleteTunnel(id uint32) error {
	c.request("delete L2TP tunnel", cmdTunnelDelete).U32(attrConnID, id)
	return c.nl.Do(nil)
}

// CreateSession makes a session with its network interface, which is down. Frames carry the four zero bytes of the default
// L2-specific sublayer and no cookie, as protocol.md has it. EEXIST: the interface name is taken, or the session ID is (within the tunnel; on
// kernels before 2020's stable updates in the whole network namespace); ENODEV: no such tunnel; EINVAL: name too long;
// EPROTONOSUPPORT: no module l2tp_eth. Don't rely on EEXIST for a session ID within one tunnel: 6.12 takes it twice (seen).
func (c *Conn) CreateSession(s Session) error {
	m := c.request("create L2TP session", cmdSessionCreate)
	m.U32(attrConnID, s.TunnelID)
	m.U32(attrSessionID, s.ID)
	m.U32(attrPeerSessionID, s.PeerID)
	m.U16(attrPwType, pwTypeEthernet)
	m.U8(attrL2specType, l2specDefault)
	m.String(attrIfname, s.Interface)
	return c.nl.Do(nil)
}

// DeleteSession removes a session and its interface; 6.12 finishes that some time after it returns (seen), 6.1 before. ENODEV:
// there is no such session.
func (c *Conn) DeleteSession(tunnelID, sessionID uint32) error {
	m := c.request("delete L2TP session", cmdSessionDelete)
	m.U32(attrConnID, tunnelID)
	m.U32(attrSessionID, sessionID)
	return c.nl.Do(nil)
}

func (c *Conn) request(op string, command uint8) *nl.Message {
	return c.nl.Generic(op, c.family, command, familyVersion, 0)
}
