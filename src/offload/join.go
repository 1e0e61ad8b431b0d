package offload

// maxOpen is how many flows can be put together side by side. What is beyond ends the one that was begun first.
const maxOpen = 8

// Joiner puts frames together. T is whose frame it is: those of two owners are never joined. It is for one goroutine.
type Joiner[T comparable] struct {
	// Emit is given each frame, with its virtio_net_hdr; the bytes are valid until it returns, and Emit may change them.
	Emit func(owner T, frame []byte)
	// NoUDP leaves UDP alone, for kernels whose TAP takes no such segments (before 6.2).
	NoUDP bool

	open []*joint[T] // in order of beginning
	free []*joint[T] // the one that was used last is used first: it is in the caches
}

// joint is a frame that is being put together.
type joint[T comparable] struct {
	owner  T
	buf    []byte // virtio_net_hdr and frame; the headers are those of the first segment
	kind   kind
	n      int    // segments
	id     uint16 // that the next one has
	seq    uint32
	closed bool // the last one was shorter, or had PSH
}

// Add takes one datagram of a tunnel. Its header has been looked at; its frame is written on, so that it is changed. What it is made into
// is given to Emit now or by Flush: what belongs to one flow in order, and everything in order around what is neither TCP nor UDP.
func (j *Joiner[T]) Add(owner T, datagram []byte) {
	frame := datagram[HeaderSize:]
	k := look(frame)
	if k.proto == 0 {
		j.flush(owner)
		j.pass(owner, datagram)
		return
	}
	if k.proto == protoUDP && j.NoUDP {
		k.fit = false
	}
	for i, o := range j.open {
		if o.owner != owner || !o.sameFlow(frame, &k) {
			continue
		}
		if k.fit && o.append(frame, &k) {
			if o.closed {
				j.end(i)
			}
			return
		}
		j.end(i)
		break
	}
	if !k.fit || !j.begin(owner, frame, &k) {
		j.pass(owner, datagram)
	}
}

// Flush gives everything to Emit that is still being put together.
func (j *Joiner[T]) Flush() {
	for len(j.open) > 0 {
		j.end(0)
	}
}

// flush is Flush for one owner.
func (j *Joiner[T]) flush(owner T) {
	for i := 0; i < len(j.open); {
		if j.open[i].owner == owner {
			j.end(i)
		} else {
			i++
		}
	}
}

// pass gives a frame on as it is.
func (j *Joiner[T]) pass(owner T, datagram []byte) {
	b := datagram[HeaderSize-VnetSize:]
	clear(b[:VnetSize])
	j.Emit(owner, b)
}

// begin opens a joint with a frame; false: its checksum is wrong, whatever is to become of it. One that can't grow is not kept.
func (j *Joiner[T]) begin(owner T, frame []byte, k *kind) bool {
	if k.proto == protoTCP && (k.payload < minJoin || frame[k.l4+13]&pshFlag != 0) {
		return false // nothing can follow, or it is not worth it
	}
	if len(j.open) == maxOpen {
		j.end(0)
	}
	var o *joint[T]
	if n := len(j.free); n > 0 {
		o = j.free[n-1]
		j.free = j.free[:n-1]
	} else {
		o = &joint[T]{buf: make([]byte, 0, VnetSize+ethSize+65535)}
	}
	var none [VnetSize]byte
	o.buf = append(append(o.buf[:0], none[:]...), frame[:k.header]...)
	if !o.take(frame, k) {
		j.free = append(j.free, o)
		return false
	}
	o.owner, o.kind, o.n, o.closed = owner, *k, 1, false
	if !k.v6 {
		o.id = be.Uint16(frame[ethSize+4:]) + 1
	}
	if k.proto == protoTCP {
		o.seq = be.Uint32(frame[k.l4+4:]) + uint32(k.payload)
	}
	j.open = append(j.open, o)
	return true
}

// end gives joint i to Emit.
func (j *Joiner[T]) end(i int) {
	o := j.open[i]
	j.open = append(j.open[:i], j.open[i+1:]...)
	if o.n > 1 {
		o.finish()
	}
	j.Emit(o.owner, o.buf)
	var none T
	o.owner = none
	j.free = append(j.free, o)
}

// minJoin is the least payload of a TCP segment that is worth a copy: those of a transfer are as large as the path allows.
const minJoin = 256

// sameFlow reports whether a frame has the addresses and ports of the joint.
func (o *joint[T]) sameFlow(frame []byte, k *kind) bool {
	first := o.buf[VnetSize:]
	if k.proto != o.kind.proto || k.v6 != o.kind.v6 || string(frame[k.l4:k.l4+4]) != string(first[o.kind.l4:o.kind.l4+4]) {
		return false
	}
	if k.v6 {
		return string(frame[ethSize+8:ethSize+40]) == string(first[ethSize+8:ethSize+40])
	}
	return string(frame[ethSize+12:ethSize+20]) == string(first[ethSize+12:ethSize+20])
}

// append puts a frame of the same flow behind what is there; false: it can't, and the joint is as it was.
func (o *joint[T]) append(frame []byte, k *kind) bool {
	first := o.buf[VnetSize:]
	if o.closed || k.header != o.kind.header || k.payload > o.kind.payload || len(first)+k.payload > ethSize+65535 ||
		string(frame[:ethSize]) != string(first[:ethSize]) {
		return false
	}
	ip, other := frame[ethSize:], first[ethSize:]
	if k.v6 {
		// Traffic class and flow label; hop limit. A jumbo payload can't be said in 16 bits.
		if native.Uint32(ip) != native.Uint32(other) || ip[7] != other[7] || len(first)+k.payload > ethSize+ip6Size+65535 {
			return false
		}
	} else if ip[1] != other[1] || be.Uint16(ip[4:]) != o.id || ip[6] != other[6] || ip[8] != other[8] {
		return false
	}
	push := false
	if k.proto == protoTCP {
		tcp, other := frame[k.l4:k.header], first[k.l4:k.header]
		push = tcp[13]&pshFlag != 0
		if be.Uint32(tcp[4:]) != o.seq || native.Uint32(tcp[8:]) != native.Uint32(other[8:]) || tcp[12] != other[12] ||
			tcp[13]&^pshFlag != other[13] || tcp[14] != other[14] || tcp[15] != other[15] || string(tcp[tcpSize:]) != string(other[tcpSize:]) {
			return false
		}
	} else if o.n == MaxSegments {
		return false
	}
	if !o.take(frame, k) {
		return false
	}
	o.n++
	o.id++
	o.seq += uint32(k.payload)
	if push {
		o.buf[VnetSize+k.l4+13] |= pshFlag
	}
	o.closed = push || k.payload < o.kind.payload
	return true
}

// take appends the payload of a frame if its checksum is right, which has to be as the kernel would write it.
func (o *joint[T]) take(frame []byte, k *kind) bool {
	field := k.l4 + 6
	if k.proto == protoTCP {
		field = k.l4 + 16
	}
	addresses := frame[ethSize+12 : ethSize+20]
	if k.v6 {
		addresses = frame[ethSize+8 : ethSize+40]
	}
	s := add(pseudo(addresses, k.proto), word(uint16(len(frame)-k.l4)))
	s = sum(frame[k.l4:field], s)
	s = sum(frame[field+2:k.header], s)
	buf := append(o.buf, frame[k.header:]...)
	c := ^fold(sum(buf[len(o.buf):], s))
	if c == 0 && k.proto == protoUDP {
		c = 0xffff
	}
	if c != native.Uint16(frame[field:]) {
		return false
	}
	o.buf = buf
	return true
}

// finish makes the headers those of one large frame.
func (o *joint[T]) finish() {
	k := &o.kind
	frame := o.buf[VnetSize:]
	length := uint16(len(frame) - k.l4)
	v := vnet{flags: needsChecksum, gso: gsoUDP, hdrLen: uint16(k.header), size: uint16(k.payload), checksumStart: uint16(k.l4), checksumField: 6}
	ip := frame[ethSize:k.l4]
	var s uint64
	if k.v6 {
		be.PutUint16(ip[4:], length)
		s = pseudo(ip[8:40], k.proto)
	} else {
		be.PutUint16(ip[2:], uint16(len(ip))+length)
		c := checksum4(ip)
		ip[10], ip[11] = c[0], c[1]
		s = pseudo(ip[12:20], k.proto)
	}
	if k.proto == protoTCP {
		v.gso, v.checksumField = gsoTCP4, 16
		if k.v6 {
			v.gso = gsoTCP6
		}
	} else {
		be.PutUint16(frame[k.l4+4:], length)
	}
	native.PutUint16(frame[k.l4+int(v.checksumField):], fold(add(s, word(length))))
	v.put(o.buf)
}
