package l2tp

import (
	"net/netip"

	"tunneldigger/src/nl"
	"tunneldigger/src/phrase"
)

// TunnelInfo is what the kernel tells of a tunnel, ours or not.
type TunnelInfo struct {
	ID, PeerID  uint32
	Version     uint8          // L2TP version: 2 or 3
	UDP         bool           // over UDP; else over IP (protocol 115)
	Local, Peer netip.AddrPort // of the socket; ports are 0 without UDP, addresses unspecified on an unconnected socket
}

// SessionInfo is what the kernel tells of a session.
type SessionInfo struct {
	TunnelID, PeerTunnelID uint32
	ID, PeerID             uint32
	Ethernet               bool   // else some other pseudowire
	Interface              string // empty if it has none
}

// Tunnels lists every tunnel of the network namespace.
func (c *Conn) Tunnels() ([]TunnelInfo, error) {
	return list(c, "list L2TP tunnels", cmdTunnelGet, parseTunnel)
}

// Sessions lists every session of the network namespace.
func (c *Conn) Sessions() ([]SessionInfo, error) {
	return list(c, "list L2TP sessions", cmdSessionGet, parseSession)
}

func list[T any](c *Conn, op string, command uint8, parse func(*nl.Attributes) T) (all []T, err error) {
	c.request(op, command)
	var bad error
	err = c.nl.Dump(func() { all, bad = nil, nil }, func(_ nl.Header, body []byte) {
		a := nl.GenericAttributes(body)
		one := parse(&a)
		if a.Err() != nil {
			bad = phrase.Errorf("%s: %w", op, a.Err())
			return
		}
		all = append(all, one)
	})
	if err == nil {
		err = bad
	}
	return all, err
}

func parseTunnel(a *nl.Attributes) (t TunnelInfo) {
	var local, peer netip.Addr
	var sport, dport uint16
	for a.Next() {
		switch a.Type() {
		case attrConnID:
			t.ID = a.U32()
		case attrPeerConnID:
			t.PeerID = a.U32()
		case attrProtoVersion:
			t.Version = a.U8()
		case attrEncapType:
			t.UDP = a.U16() == encapUDP
		case attrIPSaddr, attrIP6Saddr:
			local, _ = netip.AddrFromSlice(a.Bytes())
		case attrIPDaddr, attrIP6Daddr:
			peer, _ = netip.AddrFromSlice(a.Bytes())
		case attrUDPSport:
			sport = a.U16()
		case attrUDPDport:
			dport = a.U16()
		}
	}
	t.Local = netip.AddrPortFrom(local.Unmap(), sport)
	t.Peer = netip.AddrPortFrom(peer.Unmap(), dport)
	return t
}

func parseSession(a *nl.Attributes) (s SessionInfo) {
	for a.Next() {
		switch a.Type() {
		case attrConnID:
			s.TunnelID = a.U32()
		case attrPeerConnID:
			s.PeerTunnelID = a.U32()
		case attrSessionID:
			s.ID = a.U32()
		case attrPeerSessionID:
			s.PeerID = a.U32()
		case attrPwType:
			s.Ethernet = a.U16() == pwTypeEthernet
		case attrIfname:
			s.Interface = a.String()
		}
	}
	return s
}
