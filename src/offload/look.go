package offload

// kind is what join knows of a frame.
type kind struct {
	proto   byte // protoTCP, protoUDP; 0: neither, or a fragment
	v6      bool
	fit     bool // for joining
	l4      int
	header  int
	payload int
}

// look finds out what a frame is. Only what the kernel's cutting would restore to the bit is fit.
func look(b []byte) (k kind) {
	if len(b) < ethSize+ip4Size+udpSize {
		return kind{}
	}
	total := 0
	plain := true // nothing in the IP header that is not the same in all
	switch be.Uint16(b[12:]) {
	case etherIP4:
		ip := b[ethSize:]
		if ip[0]>>4 != 4 || ip[0]&15 < ip4Size/4 || be.Uint16(ip[6:])&0x3fff != 0 { // a fragment
			return kind{}
		}
		k.l4 = ethSize + int(ip[0]&15)*4
		k.proto = ip[9]
		total = ethSize + int(be.Uint16(ip[2:]))
		plain = ip[0] == 0x45 && ip[6]&0x80 == 0
	case etherIP6:
		ip := b[ethSize:]
		if len(b) < ethSize+ip6Size+udpSize || ip[0]>>4 != 6 {
			return kind{}
		}
		k.v6, k.proto, k.l4 = true, ip[6], ethSize+ip6Size
		total = ethSize + ip6Size + int(be.Uint16(ip[4:]))
	default:
		return kind{}
	}
	switch k.proto {
	case protoTCP:
		if len(b) < k.l4+tcpSize {
			return kind{}
		}
		k.header = k.l4 + int(b[k.l4+12]>>4)*4
		plain = plain && b[k.l4+12]&15 == 0 && b[k.l4+12]>>4 >= tcpSize/4 &&
			b[k.l4+13]&^(pshFlag|eceFlag) == ackFlag && b[k.l4+18] == 0 && b[k.l4+19] == 0
	case protoUDP:
		if len(b) < k.l4+udpSize {
			return kind{}
		}
		k.header = k.l4 + udpSize
		plain = plain && int(be.Uint16(b[k.l4+4:])) == total-k.l4 && (b[k.l4+6] != 0 || b[k.l4+7] != 0)
	default:
		return kind{}
	}
	k.payload = total - k.header
	k.fit = plain && total == len(b) && k.payload > 0 && (k.v6 || checksum4(b[ethSize:ethSize+ip4Size]) == [2]byte{b[ethSize+10], b[ethSize+11]})
	return k
}

// checksum4 is the checksum that an IPv4 header should have.
func checksum4(ip []byte) (c [2]byte) {
	// What the field holds is taken out again: added is its complement.
	native.PutUint16(c[:], ^fold(sum(ip[:10], sum(ip[12:], 0))))
	return c
}
