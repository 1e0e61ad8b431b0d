package simulate

import (
	"flag"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	seeds = flag.Uint64("seeds", 300, "how many random fleets to try")
	seed  = flag.Uint64("seed", 0, "try this one only, and trace it")
)

// play runs one fleet; with a trace, its last lines are returned as well.
func play(seed uint64, trace bool) (lines []string, err error) {
	f := NewFleet(seed)
	if trace {
		f.Trace = func(line string) { lines = append(lines, line) }
	}
	err = f.Play()
	return lines, err
}

// TestFleet tries many worlds. A seed that fails does so every time:
//
//	go test ./src/simulate -run TestFleet -seed N
func TestFleet(t *testing.T) {
	if *seed != 0 {
		lines, err := play(*seed, true)
		for _, line := range lines {
			t.Log(line)
		}
		if err != nil {
			t.Errorf("seed %d: %v", *seed, err)
		}
		return
	}
	var next, failed atomic.Uint64
	var wait sync.WaitGroup
	for i := 0; i < runtime.GOMAXPROCS(0); i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for {
				seed := next.Add(1)
				if seed > *seeds || failed.Load() >= 5 {
					return
				}
				if _, err := play(seed, false); err != nil {
					failed.Add(1)
					t.Errorf("seed %d: %v\nTo see it: go test ./src/simulate -run TestFleet -seed %d", seed, err, seed)
				}
			}
		}()
	}
	wait.Wait()
}

// Equal seeds give equal worlds, whatever else goes on.
func TestDeterminism(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		a, _ := play(seed, true)
		b, _ := play(seed, true)
		if len(a) < 100 || fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("seed %d: two runs of %d and %d lines differ", seed, len(a), len(b))
		}
	}
}
