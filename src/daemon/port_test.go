package daemon

import (
	"math"
	"testing"
)

// The kernel lists tunnels that are not ours, with IDs that are negative as an int of 32 bits.
func TestPortsOfForeignTunnels(t *testing.T) {
	ps := ports{}
	ours := &port{id: 100}
	ps.add(ours)
	for _, id := range []uint32{0, 99, 101, 1 << 31, 3000000000, math.MaxUint32} {
		if ps.get(id) != nil {
			t.Errorf("tunnel %d is ours", id)
		}
	}
	if ps.get(100) != ours {
		t.Error("tunnel 100 is not")
	}
}
