package cookie

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

// TestSipHash checks the vectors that the SipHash authors publish: key
// 00 01 … 0f, messages 00 01 … of growing length.
func TestSipHash(t *testing.T) {
	k0, k1 := uint64(0x0706050403020100), uint64(0x0f0e0d0c0b0a0908)
	vectors := map[int]uint64{
		0:  0x726fdb47dd0e0e31,
		1:  0x74f839c593dc67fd,
		2:  0x0d6c8009d9a94f5a,
		3:  0x85676696d7fb7e2d,
		4:  0xcf2794e0277187b7,
		5:  0x18765564cd99a68d,
		6:  0xcbc9466e58fee3ce,
		7:  0xab0200f58b01d137,
		8:  0x93f5f5799a932462,
		15: 0xa129ca6149be45e5,
		63: 0x958a324ceb064572,
	}
	for n, want := range vectors {
		msg := make([]byte, n)
		for i := range msg {
			msg[i] = byte(i)
		}
		if got := siphash(k0, k1, msg); got != want {
			t.Errorf("%d bytes: %#x, want %#x", n, got, want)
		}
	}
}

var peer = netip.MustParseAddrPort("192.0.2.1:4000")

func testJar() *Jar { return New([16]byte{1, 2, 3, 15: 16}) }

func TestIssueIsFixed(t *testing.T) {
	// A successor with the same key must make the same cookies on every machine.
	got := testJar().Issue(peer, 7)
	want := [8]byte{0x6b, 0x0c, 0x21, 0x52, 0xf2, 0x48, 0x2b, 0x9a}
	if got != want {
		t.Errorf("%#v, want %#v", got, want)
	}
}

func TestCheck(t *testing.T) {
	j := testJar()
	c := j.Issue(peer, 100)
	flip := func(i int) [8]byte { d := c; d[i] ^= 0x80; return d }
	tests := []struct {
		name string
		peer string
		tick uint32
		c    [8]byte
		want bool
	}{
		{"same tick", "192.0.2.1:4000", 100, c, true},
		{"one later", "192.0.2.1:4000", 101, c, true},
		{"two later", "192.0.2.1:4000", 102, c, true},
		{"three later", "192.0.2.1:4000", 103, c, false},
		{"from the future", "192.0.2.1:4000", 99, c, false},
		{"mapped address", "[::ffff:192.0.2.1]:4000", 100, c, true},
		{"other port", "192.0.2.1:4001", 100, c, false},
		{"other address", "192.0.2.2:4000", 100, c, false},
		{"other family", "[2001:db8::1]:4000", 100, c, false},
		{"first byte", "192.0.2.1:4000", 100, flip(0), false},
		{"last byte", "192.0.2.1:4000", 100, flip(7), false},
		{"zero", "192.0.2.1:4000", 100, [8]byte{}, false},
	}
	for _, tt := range tests {
		if got := j.Check(netip.MustParseAddrPort(tt.peer), tt.tick, tt.c); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	if New([16]byte{9}).Check(peer, 100, c) {
		t.Error("another key accepts the cookie")
	}
	if !New(j.Key()).Check(peer, 100, c) {
		t.Error("a jar with the same key refuses the cookie")
	}
}

func TestTick(t *testing.T) {
	for now, want := range map[time.Duration]uint32{
		0: 0, 64*time.Second - 1: 0, 64 * time.Second: 1, 640 * time.Second: 10,
	} {
		if got := Tick(now); got != want {
			t.Errorf("Tick(%v) = %d, want %d", now, got, want)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	j := testJar()
	if n := testing.AllocsPerRun(100, func() { j.Check(peer, 3, j.Issue(peer, 2)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCheck(b *testing.B) {
	j := testJar()
	c := j.Issue(peer, 1)
	for i := range b.N {
		binary.LittleEndian.PutUint32(c[:], uint32(i))
		j.Check(peer, 1, c)
	}
}
