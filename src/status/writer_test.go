package status

import (
	"fmt"
	"strings"
	"testing"

	"tunneldigger/src/broker"
)

// Pieces are bounded, and make a whole, also while tunnels go and while traffic is read in several goes.
func TestWriterInPieces(t *testing.T) {
	const many = 1000
	for _, words := range []string{"", "json", "prometheus", "prometheus tunnels"} {
		counted := 0
		gone := map[uint32]bool{}
		source := Source{
			Count: func() bool { counted++; return counted < 3 },
			Tunnel: func(t *Tunnel, from Place) (Place, bool) {
				id := max(from.ID, 1)
				for gone[id] {
					id++
				}
				if id > many {
					return from, false
				}
				*t = Tunnel{TunnelInfo: broker.TunnelInfo{Facts: broker.Facts{Tunnel: id, UUID: fmt.Sprint("node", id)}, State: "up"}}
				return Place{ID: id + 1}, true
			},
		}
		w, err := NewWriter(strings.Fields(words), Report{Sections: make([]Section, 3)}, source)
		if err != nil {
			t.Fatal(err)
		}
		var text []byte
		pieces := 0
		for more := true; more; pieces++ {
			var b []byte
			if b, more = w.Write(nil); len(b) > PieceBytes+4096 {
				t.Errorf("%q: a piece of %d bytes", words, len(b))
			}
			text = append(text, b...)
			gone[uint32(many-pieces)] = true
		}
		tunnels := strings.Contains("json prometheus tunnels", words) && words != "prometheus"
		if n := strings.Count(string(text), "l2tp"); tunnels && (n < many/2 || counted != 3) || !tunnels && (n != 0 || counted != 0) {
			t.Errorf("%q: %d tunnels, traffic was read %d times", words, n, counted)
		}
	}
	for _, words := range []string{"xml", "json tunnels", "prometheus all", "prometheus tunnels twice"} {
		if _, err := NewWriter(strings.Fields(words), Report{}, Source{}); err == nil {
			t.Errorf("%q was understood", words)
		}
	}
}
