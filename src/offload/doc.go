// Package offload cuts what the kernel gives to a TAP device with IFF_VNET_HDR into the datagrams of a tunnel (L2TPv3 over UDP), and joins
// what came as datagrams into frames as large as such a device takes. A frame of 64 kB then passes user space in two system calls.
//
// A frame begins with a struct virtio_net_hdr of VnetSize bytes, in the machine's byte order (linux/virtio_net.h); a datagram with a
// header of HeaderSize bytes: flags and version 0x0003, two bytes reserved, session ID, L2-specific sublayer (RFC 3931, 4.1.2 and 4.6).
//
// What Join puts together and the kernel cuts again (tcp_gso_segment, __udp_gso_segment) is what came, to the bit; it is trusted by the
// kernel, so every checksum is verified first. Nothing here allocates once its buffers are made.
package offload

import "encoding/binary"

const (
	// VnetSize is the length of a virtio_net_hdr without num_buffers: what TUNSETVNETHDRSZ is to be given.
	VnetSize = 10
	// HeaderSize is the length of the data header of a datagram.
	HeaderSize = 12
	// MaxFrame is the length of the largest frame with its virtio_net_hdr: an IP packet of 65535 bytes behind an Ethernet header and two
	// VLAN tags. To be read or written in one piece it takes a buffer of that size.
	MaxFrame = VnetSize + ethSize + 2*vlanSize + 65535
	// MaxTrain is the largest sum of bytes that one sendmsg(2) takes: what fits into an IPv4 packet.
	MaxTrain = 65535 - 20 - 8
	// MaxSegments is how many datagrams one sendmsg(2) with UDP_SEGMENT takes on every kernel (UDP_MAX_SEGMENTS, 64 before Linux 6.9).
	MaxSegments = 64
)

const (
	ethSize  = 14
	vlanSize = 4
	ip4Size  = 20
	ip6Size  = 40
	tcpSize  = 20
	udpSize  = 8

	etherIP4  = 0x0800
	etherIP6  = 0x86dd
	etherVLAN = 0x8100
	etherQinQ = 0x88a8

	protoTCP = 6
	protoUDP = 17

	finFlag = 0x01
	pshFlag = 0x08
	ackFlag = 0x10
	eceFlag = 0x40
	cwrFlag = 0x80
)

// Header is the data header of the frames that go to one session.
type Header [HeaderSize]byte

// NewHeader is the header for the peer's session of this ID.
func NewHeader(session uint32) Header {
	h := Header{1: 3}
	binary.BigEndian.PutUint32(h[4:], session)
	return h
}

// struct virtio_net_hdr
const (
	needsChecksum = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM

	gsoNone = 0
	gsoTCP4 = 1
	gsoTCP6 = 4
	gsoUDP  = 5    // VIRTIO_NET_HDR_GSO_UDP_L4
	gsoECN  = 0x80 // CWR is set on the first segment
)

// vnet is a virtio_net_hdr. hdrLen is a hint only: nobody here reads it.
type vnet struct {
	flags, gso                                 byte
	hdrLen, size, checksumStart, checksumField uint16
}

func parseVnet(b []byte) vnet {
	_ = b[VnetSize-1]
	return vnet{
		b[0], b[1], binary.NativeEndian.Uint16(b[2:]), binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:]),
		binary.NativeEndian.Uint16(b[8:]),
	}
}

func (v *vnet) put(b []byte) {
	_ = b[VnetSize-1]
	b[0], b[1] = v.flags, v.gso
	binary.NativeEndian.PutUint16(b[2:], v.hdrLen)
	binary.NativeEndian.PutUint16(b[4:], v.size)
	binary.NativeEndian.PutUint16(b[6:], v.checksumStart)
	binary.NativeEndian.PutUint16(b[8:], v.checksumField)
}
