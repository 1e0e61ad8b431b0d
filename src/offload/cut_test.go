package offload

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

// wide is the frame that the kernel would give for a stream: headers of the first segment, all payloads, and the checksum of the
// pseudo-header alone. (Cutting does not look at the lengths and the IP checksum that it overwrites.)
func wide(p packet, v vnet, payload []byte) []byte {
	first := p
	first.payload = nil
	b := append(make([]byte, VnetSize), first.build()...)
	k := VnetSize + int(v.checksumStart)
	addresses := b[k-8 : k]
	if p.v6 {
		addresses = b[k-32 : k]
	}
	native.PutUint16(b[k+int(v.checksumField):], fold(add(pseudo(addresses, max(p.proto, protoTCP)), word(uint16(len(b)-k+len(payload))))))
	v.put(b)
	return append(b, payload...)
}

func TestCut(t *testing.T) {
	tcp := packet{id: 65534, frag: 0x4000, sport: 7, seq: 1<<32 - 1000, ack: 5, window: 9, options: stamps}
	udp := packet{proto: protoUDP, sport: 7, id: 3}
	six := func(p packet) packet { p.v6 = true; return p }
	rows := []struct {
		name  string
		p     packet
		v     vnet
		first byte // flags of the first segment, of those between, of the last
		mid   byte
		last  byte
	}{
		{"TCP over IPv4", tcp, vnet{gso: gsoTCP4, checksumStart: 34, checksumField: 16}, ackFlag, ackFlag, ackFlag},
		{"TCP over IPv6", six(tcp), vnet{gso: gsoTCP6, checksumStart: 54, checksumField: 16}, ackFlag, ackFlag, ackFlag},
		{"UDP over IPv4", udp, vnet{gso: gsoUDP, checksumStart: 34, checksumField: 6}, 0, 0, 0},
		{"UDP over IPv6", six(udp), vnet{gso: gsoUDP, checksumStart: 54, checksumField: 6}, 0, 0, 0},
		{"PSH and FIN on the last only", with(tcp, func(p *packet) { p.flags = ackFlag | pshFlag | finFlag }), vnet{gso: gsoTCP4, checksumStart: 34, checksumField: 16},
			ackFlag, ackFlag, ackFlag | pshFlag | finFlag},
		{"CWR on the first only", with(tcp, func(p *packet) { p.flags = ackFlag | cwrFlag | eceFlag }), vnet{gso: gsoTCP4 | gsoECN, checksumStart: 34, checksumField: 16},
			ackFlag | cwrFlag | eceFlag, ackFlag | eceFlag, ackFlag | eceFlag},
		{"in a VLAN", with(tcp, func(p *packet) { p.vlan = 77 }), vnet{gso: gsoTCP4, checksumStart: 38, checksumField: 16}, ackFlag, ackFlag, ackFlag},
		{"IPv6 in a VLAN", six(with(tcp, func(p *packet) { p.vlan = 77 })), vnet{gso: gsoTCP6, checksumStart: 58, checksumField: 16}, ackFlag, ackFlag, ackFlag},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			row.v.flags, row.v.size = needsChecksum, 1000
			var payload []byte
			var want [][]byte
			p := row.p
			for i, n := range []int{1000, 1000, 1000, 17} {
				p.payload = fill(n, byte(i))
				payload = append(payload, p.payload...)
				p.flags = row.mid
				switch i {
				case 0:
					p.flags = row.first
				case 3:
					p.flags = row.last
				}
				want = append(want, p.build())
				p.id++
				p.seq += 1000
			}
			got, trains, err := cut(wide(row.p, row.v, payload), NewHeader(1))
			if err != nil || trains != 1 {
				t.Fatalf("%d trains, %v", trains, err)
			}
			same(t, got, want)
		})
	}
}

// An IPv6 packet may have extension headers before the TCP header.
func TestCutBehindExtensionHeader(t *testing.T) {
	payload := fill(900, 1)
	b := wide(packet{v6: true, seq: 9}, vnet{flags: needsChecksum, gso: gsoTCP6, size: 600, checksumStart: 54, checksumField: 16}, payload)
	options := []byte{protoTCP, 0, 1, 4, 0, 0, 0, 0}
	at := VnetSize + ethSize + ip6Size
	b = append(append(bytes.Clone(b[:at]), options...), b[at:]...)
	b[VnetSize+ethSize+6] = 0 // hop-by-hop
	native.PutUint16(b[6:], 62)
	got, _, err := cut(b, NewHeader(1))
	if err != nil || len(got) != 2 {
		t.Fatalf("%d frames, %v", len(got), err)
	}
	for i, want := range [][]byte{packet{v6: true, seq: 9, payload: payload[:600]}.build(), packet{v6: true, seq: 609, payload: payload[600:]}.build()} {
		want = append(append(bytes.Clone(want[:ethSize+ip6Size]), options...), want[ethSize+ip6Size:]...)
		want[ethSize+6] = 0
		be.PutUint16(want[ethSize+4:], be.Uint16(want[ethSize+4:])+8)
		if !bytes.Equal(got[i], want) {
			t.Errorf("segment %d is\n%x\nwant\n%x", i, got[i], want)
		}
	}
}

// The bytes of two datagrams, worked out by hand: session 0x01020304, a TCP segment cut in two.
func TestCutGolden(t *testing.T) {
	text := func(s string) []byte {
		b, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(s), []byte(" "), nil)))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := make([]byte, VnetSize)
	v := vnet{flags: needsChecksum, gso: gsoTCP4, hdrLen: 54, size: 2, checksumStart: 34, checksumField: 16}
	v.put(b)
	b = append(b, text("020000000001 020000000002 0800"+
		"4500 002b 0001 4000 4006 0000 0a000001 0a000002"+
		"0001 0002 00000010 00000000 5018 0000 0000 0000 616263")...)
	var f Frame
	if err := f.Parse(b); err != nil {
		t.Fatal(err)
	}
	h, train := NewHeader(0x01020304), NewTrain()
	if !train.Add(&f, &h) || train.Size() != HeaderSize+56 || train.Len() != 2 {
		t.Fatalf("%d datagrams of %d", train.Len(), train.Size())
	}
	want := text("00030000 01020304 00000000 020000000001 020000000002 0800" +
		"4500 002a 0001 4000 4006 26cb 0a000001 0a000002" +
		"0001 0002 00000010 00000000 5010 0000 3a5b 0000 6162" +
		"00030000 01020304 00000000 020000000001 020000000002 0800" +
		"4500 0029 0002 4000 4006 26cb 0a000001 0a000002" +
		"0001 0002 00000012 00000000 5018 0000 38b4 0000 63")
	if !bytes.Equal(train.Bytes(), want) {
		t.Errorf("the train is\n%x\nwant\n%x", train.Bytes(), want)
	}
}

// A checksum that was left to the device is completed; other frames go as they are.
func TestCutWhole(t *testing.T) {
	p := packet{payload: fill(301, 3)}
	for _, p := range []packet{p, with(p, func(p *packet) { p.v6 = true }), with(p, func(p *packet) { p.proto = protoUDP })} {
		v := vnet{flags: needsChecksum, checksumStart: 34, checksumField: 16}
		if p.v6 {
			v.checksumStart = 54
		}
		if p.proto == protoUDP {
			v.checksumField = 6
		}
		b := append(make([]byte, VnetSize), p.build()...)
		start := VnetSize + int(v.checksumStart)
		addresses := b[start-8 : start]
		if p.v6 {
			addresses = b[start-32 : start]
		}
		native.PutUint16(b[start+int(v.checksumField):], fold(add(pseudo(addresses, max(p.proto, protoTCP)), word(uint16(len(b)-start)))))
		v.put(b)
		got, _, err := cut(b, NewHeader(1))
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, [][]byte{p.build()})
	}
	arp := append(append(fill(12, 0), 8, 6), fill(28, 0)...)
	got, _, err := cut(append(make([]byte, VnetSize), arp...), NewHeader(1))
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, [][]byte{arp})
}

func TestCutRefuses(t *testing.T) {
	v := vnet{flags: needsChecksum, gso: gsoTCP4, size: 100, checksumStart: 34, checksumField: 16}
	change := func(f func(v *vnet)) []byte {
		b, v := wide(packet{}, v, fill(300, 0)), v
		f(&v)
		v.put(b)
		return b
	}
	short := change(func(*vnet) {})
	rows := []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, ErrShort},
		{"no Ethernet header", make([]byte, VnetSize+13), ErrShort},
		{"unknown kind", change(func(v *vnet) { v.gso = 3 }), ErrGSO},
		{"IPv6 in an IPv4 packet", change(func(v *vnet) { v.gso = gsoTCP6 }), ErrGSO},
		{"UDP in a TCP packet", change(func(v *vnet) { v.gso = gsoUDP }), ErrGSO},
		{"TCP elsewhere", change(func(v *vnet) { v.checksumStart = 38; v.checksumField = 0 }), ErrGSO},
		{"empty segments", change(func(v *vnet) { v.size = 0 }), ErrSegments},
		{"no payload", wide(packet{}, v, nil), ErrSegments},
		{"segments of 64 kB", append(change(func(v *vnet) { v.size = 65535 }), make([]byte, 70000)...), ErrSegments},
		{"checksum outside", change(func(v *vnet) { v.gso = gsoNone; v.checksumField = 1000 }), ErrChecksum},
		{"cut off", short[:VnetSize+ethSize+ip4Size+10], ErrShort},
	}
	for _, row := range rows {
		var f Frame
		if err := f.Parse(row.b); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", row.name, err, row.want)
		}
		if h, train := NewHeader(1), NewTrain(); !train.Add(&f, &h) || train.Len() != 0 {
			t.Errorf("%s: something is cut after an error", row.name)
		}
	}
}

// Trains: one size, the last may be shorter, at most 64, and what does not fit waits.
func TestTrain(t *testing.T) {
	train, h := NewTrain(), NewHeader(1)
	plain := func(n int) *Frame {
		f := new(Frame)
		if err := f.Parse(append(make([]byte, VnetSize), fill(n, 0)...)); err != nil {
			t.Fatal(err)
		}
		return f
	}
	step := func(n int, want bool, len, size int) {
		t.Helper()
		if got := train.Add(plain(n), &h); got != want || train.Len() != len || train.Size() != size {
			t.Fatalf("a frame of %d: %v, now %d of %d; want %v, %d of %d", n, got, train.Len(), train.Size(), want, len, size)
		}
	}
	step(100, true, 1, 112)
	step(100, true, 2, 112)
	step(101, false, 2, 112)
	step(60, true, 3, 112)
	step(60, false, 3, 112)
	step(100, false, 3, 112)
	train.Reset()
	for i := range MaxSegments {
		step(60, true, i+1, 72)
	}
	step(60, false, MaxSegments, 72)
	train.Reset()
	for i := range MaxTrain / 1472 {
		step(1460, true, i+1, 1472)
	}
	step(1460, false, MaxTrain/1472, 1472)
	step(700, true, MaxTrain/1472+1, 1472) // what is left is enough for a shorter one
	if len(train.Bytes()) > MaxTrain {
		t.Errorf("%d bytes", len(train.Bytes()))
	}
}
