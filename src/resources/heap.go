// Package resources is what a broker takes of its machine: how many hooks run side by
// side, descriptors for its tunnels, garbage on the heap.
package resources

import (
	"os"
	"runtime/debug"
)

// garbage is how much of it, in percent of what is in use, the heap may hold,
// unless GOGC in the environment says otherwise. Go's own 100 allows at least
// 4 MB, which is more than all the rest; only set-ups make garbage, about 1 kB
// each, so that little costs little.
const garbage = 25

// TrimHeap bounds garbage.
func TrimHeap() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
}
