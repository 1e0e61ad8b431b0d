package offload

import "encoding/binary"

// packet describes a frame; build makes it, field by field and with slow checksums, so that nothing here is tested by itself.
type packet struct {
	v6      bool
	proto   byte // protoTCP if 0
	vlan    uint16
	tos     byte
	ttl     byte // 64 if 0
	id      uint16
	frag    uint16
	sport   uint16
	seq     uint32
	ack     uint32
	flags   byte // ackFlag if 0
	window  uint16
	options []byte
	payload []byte
	badIP   bool // the IP header's checksum is wrong
	badL4   bool
	noSum   bool // UDP without a checksum
	trailer int  // bytes of Ethernet padding
}

func checksum(parts ...[]byte) uint16 {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return ^slow(all)
}

func (p packet) build() []byte {
	b := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	if p.vlan != 0 {
		b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, etherVLAN), p.vlan)
	}
	proto, ttl, flags := p.proto, p.ttl, p.flags
	if proto == 0 {
		proto = protoTCP
	}
	if ttl == 0 {
		ttl = 64
	}
	if flags == 0 {
		flags = ackFlag
	}
	var l4 []byte
	if proto == protoTCP {
		l4 = binary.BigEndian.AppendUint16(l4, p.sport)
		l4 = binary.BigEndian.AppendUint16(l4, 80)
		l4 = binary.BigEndian.AppendUint32(l4, p.seq)
		l4 = binary.BigEndian.AppendUint32(l4, p.ack)
		l4 = append(l4, byte(20+len(p.options))<<2, flags)
		l4 = binary.BigEndian.AppendUint16(l4, p.window)
		l4 = append(l4, 0, 0, 0, 0)
		l4 = append(l4, p.options...)
	} else {
		l4 = binary.BigEndian.AppendUint16(l4, p.sport)
		l4 = binary.BigEndian.AppendUint16(l4, 53)
		l4 = binary.BigEndian.AppendUint16(l4, uint16(8+len(p.payload)))
		l4 = append(l4, 0, 0)
	}
	l4 = append(l4, p.payload...)
	var addresses []byte
	if p.v6 {
		b = binary.BigEndian.AppendUint16(b, etherIP6)
		b = append(b, 0x60|p.tos>>4, p.tos<<4, 0, 7)
		b = binary.BigEndian.AppendUint16(b, uint16(len(l4)))
		b = append(b, proto, ttl)
		addresses = append(addresses, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
		addresses = append(addresses, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2)
		b = append(b, addresses...)
	} else {
		b = binary.BigEndian.AppendUint16(b, etherIP4)
		ip := []byte{0x45, p.tos}
		ip = binary.BigEndian.AppendUint16(ip, uint16(20+len(l4)))
		ip = binary.BigEndian.AppendUint16(ip, p.id)
		ip = binary.BigEndian.AppendUint16(ip, p.frag)
		ip = append(ip, ttl, proto, 0, 0)
		addresses = []byte{192, 0, 2, 1, 198, 51, 100, 2}
		ip = append(ip, addresses...)
		c := checksum(ip)
		if p.badIP {
			c++
		}
		binary.BigEndian.PutUint16(ip[10:], c)
		b = append(b, ip...)
	}
	field := 16
	if proto == protoUDP {
		field = 6
	}
	if !p.noSum {
		c := checksum(addresses, []byte{0, proto}, binary.BigEndian.AppendUint16(nil, uint16(len(l4))), l4)
		if c == 0 && proto == protoUDP {
			c = 0xffff
		}
		if p.badL4 {
			c += 2
		}
		binary.BigEndian.PutUint16(l4[field:], c)
	}
	return append(append(b, l4...), make([]byte, p.trailer)...)
}

// fill is n bytes that are not all the same.
func fill(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7) + seed
	}
	return b
}

// stream is n segments of a TCP connection, or UDP datagrams, of size bytes each and a last one of rest.
func stream(p packet, n, size, rest int) [][]byte {
	var out [][]byte
	for i := range n {
		p.payload = fill(size, byte(i))
		if i == n-1 && rest != 0 {
			p.payload = fill(rest, byte(i))
		}
		out = append(out, p.build())
		p.id++
		p.seq += uint32(len(p.payload))
	}
	return out
}

// joined is what a Joiner makes of frames, all of one owner, each copied.
func joined(frames [][]byte) [][]byte {
	var out [][]byte
	j := Joiner[int]{Emit: func(_ int, b []byte) { out = append(out, append([]byte(nil), b...)) }}
	for _, f := range frames {
		j.Add(0, append(make([]byte, HeaderSize), f...))
	}
	j.Flush()
	return out
}

// cut is what Cut makes of one frame with its virtio_net_hdr, without the datagrams' headers.
func cut(b []byte, h Header) (frames [][]byte, trains int, err error) {
	var f Frame
	if err := f.Parse(append([]byte(nil), b...)); err != nil {
		return nil, 0, err
	}
	t := NewTrain()
	for done := false; !done; {
		done = t.Add(&f, &h)
		trains++
		for rest := t.Bytes(); len(rest) > 0; {
			n := min(t.Size(), len(rest))
			frames = append(frames, append([]byte(nil), rest[HeaderSize:n]...))
			rest = rest[n:]
		}
		t.Reset()
	}
	return frames, trains, nil
}
