package simulate

import (
	"flag"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	seeds = flag.Uint64("seeds", 60, "how many random fleets to try")
	seed  = flag.Uint64("seed", 0, "try this one only, and trace it")
	from  = flag.Uint64("from", 1, "the first seed")
	hours = flag.Uint64("hours", 0, "go on until so much simulated time has passed, whatever -seeds says")
)

// play runs one fleet; with a trace, its last lines are returned as well.
func play(seed uint64, trace bool) (lines []string, lasted time.Duration, err error) {
	f := NewFleet(seed)
	if trace {
		f.Trace = func(line string) { lines = append(lines, line) }
	}
	err = f.Play()
	return lines, f.Now() - boot, err
}

// TestFleet tries many worlds. A seed that fails does so every time:
//
//	go test ./src/test/simulate -run TestFleet -seed N
func TestFleet(t *testing.T) {
	if *seed != 0 {
		lines, _, err := play(*seed, true)
		for _, line := range lines {
			t.Log(line)
		}
		if err != nil {
			t.Errorf("seed %d: %v", *seed, err)
		}
		return
	}
	var next, played, failed atomic.Uint64
	next.Store(*from - 1)
	var lasted atomic.Int64
	var wait sync.WaitGroup
	for i := 0; i < runtime.GOMAXPROCS(0); i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for {
				seed := next.Add(1)
				enough := seed-*from >= *seeds
				if *hours > 0 {
					enough = lasted.Load() >= int64(*hours)*int64(time.Hour)
				}
				if enough || failed.Load() >= 5 {
					return
				}
				_, took, err := play(seed, false)
				hours := time.Duration(lasted.Add(int64(took))) / time.Hour
				if n := played.Add(1); n%1000 == 0 { // of a long run, how far it is
					t.Logf("%d fleets, %d simulated hours", n, hours)
				}
				if err != nil {
					failed.Add(1)
					t.Errorf("seed %d: %v\nTo see it: go test ./src/test/simulate -run TestFleet -seed %d", seed, err, seed)
				}
			}
		}()
	}
	wait.Wait()
	t.Logf("%.0f simulated hours, %d fleets from seed %d", time.Duration(lasted.Load()).Hours(), played.Load(), *from)
}

// Equal seeds give equal worlds, whatever else goes on.
func TestDeterminism(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		a, _, _ := play(seed, true)
		b, _, _ := play(seed, true)
		if len(a) < 100 || fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("seed %d: two runs of %d and %d lines differ", seed, len(a), len(b))
		}
	}
}
