package offload

import "errors"

// Frame is what one read of a TAP device gave, on its way into trains of datagrams. The zero value is empty.
type Frame struct {
	b       []byte // without the virtio_net_hdr
	gso     byte   // gsoNone: goes as it is
	l3, l4  int    // where these headers begin
	header  int    // bytes before the payload
	size    int    // payload bytes of a segment, the last one may have less
	at      int    // where in b the next segment's payload begins; len(b) when all is cut
	id      uint16 // of the next segment, IPv4
	seq     uint32 // TCP
	partial uint64 // sum of the pseudo-header without the length
}

// Why Parse refuses a frame. The kernel makes none of these.
var (
	ErrShort    = errors.New("a frame that is shorter than its headers")
	ErrGSO      = errors.New("a frame with an unknown kind of segments, or one that does not fit its headers")
	ErrChecksum = errors.New("a frame whose checksum is to be outside of it")
	ErrSegments = errors.New("a frame whose segments are empty, or too large for a datagram")
)

// Parse takes in what a read gave, a virtio_net_hdr and a frame, and completes a checksum that the kernel has left to the device. The Frame
// refers to b, which is changed, until all of it is in a train.
func (f *Frame) Parse(b []byte) error {
	f.b = nil
	if len(b) < VnetSize+ethSize {
		return ErrShort
	}
	v := parseVnet(b)
	b = b[VnetSize:]
	*f = Frame{b: b[:0], gso: v.gso &^ gsoECN}
	if f.gso == gsoNone {
		if v.flags&needsChecksum != 0 && !complete(b, int(v.checksumStart), int(v.checksumField)) {
			return ErrChecksum
		}
		if len(b) > MaxTrain-HeaderSize {
			return ErrSegments
		}
		f.b = b
		return nil
	}
	f.l4 = int(v.checksumStart)
	if err := f.layout(b); err != nil {
		return err
	}
	if f.size = int(v.size); f.size == 0 || f.header >= len(b) || HeaderSize+f.header+f.size > MaxTrain {
		return ErrSegments
	}
	f.b, f.at = b, f.header
	return nil
}

// layout finds the headers of a frame that is to be cut.
func (f *Frame) layout(b []byte) error {
	f.l3 = ethSize
	kind := be.Uint16(b[12:])
	for kind == etherVLAN || kind == etherQinQ {
		if len(b) < f.l3+vlanSize {
			return ErrShort
		}
		kind = be.Uint16(b[f.l3+2:])
		f.l3 += vlanSize
	}
	proto := byte(protoTCP)
	if f.gso == gsoUDP {
		proto = protoUDP
	}
	ip := b[f.l3:]
	switch {
	case kind == etherIP4 && (f.gso == gsoTCP4 || f.gso == gsoUDP):
		if len(ip) < ip4Size || f.l4-f.l3 < ip4Size || int(ip[0]&15)*4 != f.l4-f.l3 || ip[9] != proto {
			return ErrGSO
		}
		f.id = be.Uint16(ip[4:])
		f.partial = pseudo(ip[12:20], proto)
	case kind == etherIP6 && (f.gso == gsoTCP6 || f.gso == gsoUDP):
		if len(ip) < ip6Size || f.l4-f.l3 < ip6Size { // extension headers may be between
			return ErrGSO
		}
		f.partial = pseudo(ip[8:40], proto)
	default:
		return ErrGSO
	}
	f.header = f.l4 + udpSize
	if proto == protoTCP {
		if len(b) < f.l4+tcpSize || b[f.l4+12]>>4 < tcpSize/4 {
			return ErrShort
		}
		f.header = f.l4 + int(b[f.l4+12]>>4)*4
		f.seq = be.Uint32(b[f.l4+4:])
	}
	if f.header > len(b) {
		return ErrShort
	}
	return nil
}

// complete puts the checksum that is due into b; false: its place is not within.
func complete(b []byte, start, field int) bool {
	at := start + field
	if at+2 > len(b) {
		return false
	}
	s := ^fold(sum(b[start:], 0)) // the sum of the pseudo-header is there already
	if s == 0 {
		s = 0xffff // as UDP wants it; to TCP both are the same
	}
	native.PutUint16(b[at:], s)
	return true
}

// next appends the next datagram to dst, which has room for it.
func (f *Frame) next(dst []byte, h *Header) []byte {
	dst = append(dst, h[:]...)
	if f.gso == gsoNone {
		dst = append(dst, f.b...)
		f.b = f.b[:0]
		return dst
	}
	n := min(f.size, len(f.b)-f.at)
	first, last := f.at == f.header, f.at+n == len(f.b)
	dst = append(dst, f.b[:f.header]...)
	header := dst[len(dst)-f.header:]
	l4 := header[f.l4:]
	length := uint16(len(l4) + n)

	ip := header[f.l3:f.l4]
	if ip[0]>>4 == 4 {
		be.PutUint16(ip[2:], uint16(len(ip))+length)
		be.PutUint16(ip[4:], f.id)
		f.id++
		ip[10], ip[11] = 0, 0
		native.PutUint16(ip[10:], ^fold(sum(ip, 0)))
	} else {
		be.PutUint16(ip[4:], uint16(len(ip)-ip6Size)+length)
	}

	field := 6
	if f.gso == gsoUDP {
		be.PutUint16(l4[4:], length)
	} else {
		field = 16
		be.PutUint32(l4[4:], f.seq)
		f.seq += uint32(n)
		if !first {
			l4[13] &^= cwrFlag
		}
		if !last {
			l4[13] &^= pshFlag | finFlag
		}
	}
	l4[field], l4[field+1] = 0, 0
	s := add(sum(l4, word(length)), f.partial)
	end := len(dst)
	dst = append(dst, f.b[f.at:f.at+n]...)
	c := ^fold(sum(dst[end:], s))
	if c == 0 && f.gso == gsoUDP {
		c = 0xffff
	}
	native.PutUint16(l4[field:], c)
	if f.at += n; last {
		f.b = f.b[:0]
	}
	return dst
}

// length is the next datagram's, 0 when all is cut.
func (f *Frame) length() int {
	switch {
	case len(f.b) == 0:
		return 0
	case f.gso == gsoNone:
		return HeaderSize + len(f.b)
	}
	return HeaderSize + f.header + min(f.size, len(f.b)-f.at)
}

// Train is a row of datagrams to one peer, of one size, of which the last may be shorter: what one sendmsg(2) with UDP_SEGMENT takes.
type Train struct {
	buf    []byte
	size   int
	n      int
	closed bool // the last one is shorter
}

// NewTrain makes an empty Train with its buffer.
func NewTrain() *Train { return &Train{buf: make([]byte, 0, MaxTrain)} }

// Add puts datagrams of f behind those that are there, and reports whether that was all of f. If not, no more fit: send what is there,
// Reset, and Add f again.
func (t *Train) Add(f *Frame, h *Header) bool {
	for {
		n := f.length()
		if n == 0 {
			return true
		}
		if t.n == 0 {
			t.size = n
		}
		if t.closed || n > t.size || t.n == MaxSegments || len(t.buf)+n > MaxTrain {
			return false
		}
		t.buf = f.next(t.buf, h)
		t.n++
		t.closed = n < t.size
	}
}

// Bytes are all datagrams, one right behind the other. They are the Train's, until Reset.
func (t *Train) Bytes() []byte { return t.buf }

// Size is the length of each datagram but the last, Len how many there are.
func (t *Train) Size() int { return t.size }

// Len is how many datagrams there are.
func (t *Train) Len() int { return t.n }

// Reset empties the train.
func (t *Train) Reset() { t.buf, t.size, t.n, t.closed = t.buf[:0], 0, 0, false }
