package offload

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

var stamps = []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}

// with is p changed by f.
func with(p packet, f func(*packet)) packet { f(&p); return p }

// What is joined, and what is not: how many segments each frame that comes out has.
func TestJoin(t *testing.T) {
	base := packet{id: 100, frag: 0x4000, sport: 1234, seq: 1 << 30, ack: 77, window: 500, options: stamps, payload: fill(1394, 0)}
	// second is base followed by the next segment, changed by f.
	second := func(base packet, f func(*packet)) [][]byte {
		next := base
		next.id++
		next.seq += uint32(len(base.payload))
		next.payload = fill(len(base.payload), 9)
		f(&next)
		return [][]byte{base.build(), next.build()}
	}
	six := with(base, func(p *packet) { p.v6 = true })
	udp := packet{proto: protoUDP, id: 5, sport: 99, payload: fill(200, 0)}
	udp6 := with(udp, func(p *packet) { p.v6 = true })
	rows := []struct {
		name   string
		frames [][]byte
		want   []int
	}{
		{"two", second(base, func(*packet) {}), []int{2}},
		{"two, IPv6", second(six, func(*packet) {}), []int{2}},
		{"two, UDP", second(udp, func(*packet) {}), []int{2}},
		{"two, UDP over IPv6", second(udp6, func(*packet) {}), []int{2}},
		{"a shorter one is the last", append(second(base, func(p *packet) { p.payload = fill(9, 0) }),
			with(base, func(p *packet) { p.id += 2; p.seq += 1394 + 9 }).build()), []int{2, 1}},
		{"PSH is the last", append(second(base, func(p *packet) { p.flags = ackFlag | pshFlag }),
			with(base, func(p *packet) { p.id += 2; p.seq += 2 * 1394 }).build()), []int{2, 1}},
		{"PSH is not the first", second(with(base, func(p *packet) { p.flags = ackFlag | pshFlag }), func(p *packet) { p.flags = ackFlag }), []int{1, 1}},
		{"longer", second(base, func(p *packet) { p.payload = fill(1395, 0) }), []int{1, 1}},
		{"gap", second(base, func(p *packet) { p.seq++ }), []int{1, 1}},
		{"other acknowledgement", second(base, func(p *packet) { p.ack++ }), []int{1, 1}},
		{"other window", second(base, func(p *packet) { p.window++ }), []int{1, 1}},
		{"other options", second(base, func(p *packet) { p.options = append(bytes.Clone(stamps[:11]), 3) }), []int{1, 1}},
		{"fewer options", second(base, func(p *packet) { p.options = nil }), []int{1, 1}},
		{"FIN", second(base, func(p *packet) { p.flags = ackFlag | finFlag }), []int{1, 1}},
		{"URG", second(base, func(p *packet) { p.flags = ackFlag | 0x20 }), []int{1, 1}},
		{"ECE in one", second(base, func(p *packet) { p.flags = ackFlag | eceFlag }), []int{1, 1}},
		{"ECE in both", second(with(base, func(p *packet) { p.flags = ackFlag | eceFlag }), func(p *packet) {}), []int{2}},
		{"CWR", second(base, func(p *packet) { p.flags = ackFlag | cwrFlag }), []int{1, 1}},
		{"other port", second(base, func(p *packet) { p.sport++ }), []int{1, 1}},
		{"other ID", second(base, func(p *packet) { p.id++ }), []int{1, 1}},
		{"same ID", second(base, func(p *packet) { p.id-- }), []int{1, 1}},
		{"other TTL", second(base, func(p *packet) { p.ttl = 63 }), []int{1, 1}},
		{"other TOS", second(base, func(p *packet) { p.tos = 3 }), []int{1, 1}},
		{"other TOS, IPv6", second(six, func(p *packet) { p.tos = 3 }), []int{1, 1}},
		{"other hop limit", second(six, func(p *packet) { p.ttl = 63 }), []int{1, 1}},
		{"may be fragmented", second(base, func(p *packet) { p.frag = 0 }), []int{1, 1}},
		{"a fragment", second(base, func(p *packet) { p.frag = 0x2000 }), []int{1, 1}},
		{"the last fragment", second(base, func(p *packet) { p.frag = 3 }), []int{1, 1}},
		{"wrong checksum", second(base, func(p *packet) { p.badL4 = true }), []int{1, 1}},
		{"wrong checksum first", second(with(base, func(p *packet) { p.badL4 = true }), func(p *packet) { p.badL4 = false }), []int{1, 1}},
		{"wrong checksum, UDP", second(udp, func(p *packet) { p.badL4 = true }), []int{1, 1}},
		{"wrong checksum, IPv6", second(six, func(p *packet) { p.badL4 = true }), []int{1, 1}},
		{"wrong IP checksum", second(base, func(p *packet) { p.badIP = true }), []int{1, 1}},
		{"no checksum", second(udp, func(p *packet) { p.noSum = true }), []int{1, 1}},
		{"padding", second(base, func(p *packet) { p.trailer = 4 }), []int{1, 1}},
		{"VLAN", second(base, func(p *packet) { p.vlan = 5 }), []int{1, 1}},
		{"no payload", second(base, func(p *packet) { p.payload = nil }), []int{1, 1}},
		{"as much as fits", stream(base, 100, 1394, 0), []int{46, 46, 8}},
		{"as much as fits, UDP", stream(udp, 100, 200, 0), []int{64, 36}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var got []int
			var back [][]byte
			for _, b := range joined(row.frames) {
				frames, _, err := cut(b, NewHeader(1))
				if err != nil {
					t.Fatal(err)
				}
				got, back = append(got, len(frames)), append(back, frames...)
			}
			if fmt.Sprint(got) != fmt.Sprint(row.want) {
				t.Errorf("segments %v, want %v", got, row.want)
			}
			same(t, back, row.frames)
		})
	}
}

func same(t *testing.T, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d frames, want %d", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("frame %d is\n%x\nwant\n%x", i, got[i], want[i])
		}
	}
}

// Flows side by side are each joined; what is neither TCP nor UDP stays where it was among all.
func TestJoinManyFlows(t *testing.T) {
	var in [][]byte
	a, b := stream(packet{sport: 1}, 6, 1000, 0), stream(packet{sport: 2, v6: true}, 6, 1000, 0)
	arp := append(fill(12, 0), 8, 6, 0, 1)
	batman := append(append(fill(12, 0), 0x43, 5), fill(600, 0)...)
	for i := range 3 {
		in = append(in, a[i], b[i])
	}
	in = append(in, arp, batman)
	for i := range 3 {
		in = append(in, a[3+i], b[3+i])
	}
	out := joined(in)
	if len(out) != 6 {
		t.Fatalf("%d frames, want 6", len(out))
	}
	for i, want := range [][]byte{2: arp, 3: batman} {
		if want != nil && !bytes.Equal(out[i], append(make([]byte, VnetSize), want...)) {
			t.Errorf("frame %d is %x, want %x", i, out[i], want)
		}
	}
	var back [][]byte
	for _, b := range out {
		frames, _, err := cut(b, NewHeader(1))
		if err != nil {
			t.Fatal(err)
		}
		back = append(back, frames...)
	}
	want := append(append(append([][]byte{}, a[:3]...), b[:3]...), arp, batman)
	same(t, back, append(append(want, a[3:]...), b[3:]...))
}

// Frames of two owners are never joined, and more flows than can be put together end the oldest.
func TestJoinOwnersAndRoom(t *testing.T) {
	var order []string
	j := Joiner[string]{Emit: func(owner string, b []byte) { order = append(order, fmt.Sprint(owner, len(b))) }}
	add := func(owner string, frame []byte) { j.Add(owner, append(make([]byte, HeaderSize), frame...)) }
	s := stream(packet{}, 2, 300, 0)
	add("a", s[0])
	add("b", s[1])
	add("b", fill(60, 0)) // ends b's only
	for port := range uint16(maxOpen) {
		add("c", stream(packet{sport: 10 + port}, 1, 400, 0)[0])
	}
	add("a", s[1])
	j.Flush()
	want := fmt.Sprint([]string{"b364", "b70", "a364", "c464", "c464", "c464", "c464", "c464", "c464", "c464", "c464", "a364"})
	if got := fmt.Sprint(order); got != want {
		t.Errorf("out came\n%v, want\n%v", got, want)
	}
}

func TestJoinNoUDP(t *testing.T) {
	n := 0
	j := Joiner[int]{NoUDP: true, Emit: func(int, []byte) { n++ }}
	for _, f := range stream(packet{proto: protoUDP}, 4, 500, 0) {
		j.Add(0, append(make([]byte, HeaderSize), f...))
	}
	if j.Flush(); n != 4 {
		t.Errorf("%d frames, want 4", n)
	}
}

func TestNothingAllocates(t *testing.T) {
	in := stream(packet{options: stamps}, 44, 1394, 0)
	var wide []byte
	j := Joiner[int]{Emit: func(_ int, b []byte) { wide = b }}
	datagram := make([]byte, 2000)
	train, h := NewTrain(), NewHeader(1)
	copied := make([]byte, MaxFrame)
	if n := testing.AllocsPerRun(50, func() {
		for _, f := range in {
			j.Add(0, datagram[:HeaderSize+copy(datagram[HeaderSize:], f)])
		}
		j.Flush()
		var f Frame
		if err := f.Parse(copied[:copy(copied, wide)]); err != nil {
			t.Fatal(err)
		}
		train.Add(&f, &h)
		train.Reset()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzJoin has a Joiner take frames that the input describes, near to each other, and cuts what comes out again: it is what went in, and in order
// within each flow.
func FuzzJoin(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0})
	f.Add([]byte{1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3})
	f.Add(bytes.Repeat([]byte{0}, 200))
	f.Add(bytes.Repeat([]byte{8, 0, 9, 0}, 60))
	f.Fuzz(func(t *testing.T, steps []byte) {
		var in [][]byte
		flows := [4]packet{{sport: 1, options: stamps}, {sport: 2, v6: true}, {sport: 3, proto: protoUDP}, {sport: 4, proto: protoUDP, v6: true}}
		if len(steps) > 300 {
			steps = steps[:300]
		}
		for i, s := range steps {
			p := &flows[s&3]
			q := *p
			q.payload = fill(500, byte(i))
			switch s >> 2 {
			case 1:
				q.payload = fill(499, byte(i))
			case 2:
				q.flags = ackFlag | pshFlag
			case 3:
				q.badL4 = true
			case 4:
				q.tos ^= 1
			case 5:
				q.id--
			case 6:
				q.seq -= 5
			case 7:
				q.payload = nil
			case 8:
				q.trailer = 3
			case 9:
				q.frag = 0x2000
			case 10:
				p.ack++
			case 11:
				q.flags = 0x02
			case 12:
				q.noSum = true
			case 13:
				q.payload = fill(1400, byte(i))
			case 14:
				q.flags = cwrFlag | ackFlag
			}
			b := q.build()
			if s>>2 > 50 { // damage anywhere
				b[int(s)*7%len(b)] ^= 1 << (s & 7)
			}
			in = append(in, b)
			p.id++
			p.seq += uint32(len(q.payload))
		}
		var back [][]byte
		for _, b := range joined(in) {
			frames, _, err := cut(b, NewHeader(7))
			if err != nil {
				t.Fatalf("%v: %x", err, b)
			}
			back = append(back, frames...)
		}
		if len(back) != len(in) {
			t.Fatalf("%d frames became %d", len(in), len(back))
		}
		// By flow, which is what the ports and addresses say; and the others among all.
		key := func(b []byte) string {
			k := look(b)
			if k.proto == 0 {
				return ""
			}
			addresses := b[ethSize+12 : ethSize+20]
			if k.v6 {
				addresses = b[ethSize+8 : ethSize+40]
			}
			return fmt.Sprintf("%d %x %x", k.proto, b[k.l4:k.l4+4], addresses)
		}
		each := make(map[string][][]byte)
		for _, b := range back {
			each[key(b)] = append(each[key(b)], b)
		}
		for _, b := range in {
			k := key(b)
			if len(each[k]) == 0 || !bytes.Equal(each[k][0], b) {
				t.Fatalf("flow %q: a frame is lost, changed or out of order: %x", k, b)
			}
			each[k] = each[k][1:]
		}
	})
}

// FuzzCut has Parse and Add take anything, and looks at the bounds that sendmsg sets.
func FuzzCut(f *testing.F) {
	for _, b := range joined(append(stream(packet{}, 3, 300, 100), stream(packet{proto: protoUDP, v6: true}, 4, 100, 50)...)) {
		f.Add(b)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 4 {
		b := joined(stream(packet{}, 5, 300, 0))[0]
		b[r.IntN(80)] ^= byte(r.Uint32())
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		frames, trains, err := cut(b, NewHeader(1))
		if err != nil {
			return
		}
		if len(frames) == 0 || trains > len(frames) {
			t.Fatalf("%d frames in %d trains", len(frames), trains)
		}
		for i, f := range frames {
			if len(f) < ethSize || len(f) > MaxTrain-HeaderSize {
				t.Fatalf("frame %d has %d bytes", i, len(f))
			}
		}
	})
}

func BenchmarkCut(b *testing.B) {
	wide := joined(stream(packet{options: stamps}, 44, 1394, 0))[0]
	train, h := NewTrain(), NewHeader(1)
	b.SetBytes(int64(len(wide)))
	b.ReportAllocs()
	for range b.N {
		var f Frame
		if f.Parse(wide) != nil || !train.Add(&f, &h) {
			b.Fatal("not cut")
		}
		train.Reset()
	}
}

func BenchmarkJoin(b *testing.B) {
	train, h := NewTrain(), NewHeader(1)
	var f Frame
	if f.Parse(joined(stream(packet{options: stamps}, 44, 1394, 0))[0]) != nil || !train.Add(&f, &h) {
		b.Fatal("not cut")
	}
	n := 0
	j := Joiner[*int]{Emit: func(*int, []byte) { n++ }}
	b.SetBytes(int64(len(train.Bytes())))
	b.ReportAllocs()
	for range b.N {
		for rest := train.Bytes(); len(rest) > 0; {
			k := min(train.Size(), len(rest))
			j.Add(nil, rest[:k])
			rest = rest[k:]
		}
		j.Flush()
	}
	if n != b.N {
		b.Fatalf("%d frames, want %d", n, b.N)
	}
}
