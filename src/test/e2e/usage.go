//go:build vm || native

package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Usage is what a process holds and has used.
type Usage struct {
	FDs, Threads int
	RSS          int           // resident memory, bytes
	CPU          time.Duration // on a processor, user and kernel, all threads that live: from schedstat, exact to the nanosecond
	Runs         int           // times that one of these threads was put on a processor
}

// Usage reads the process's figures from /proc. Processor time is the scheduler's own count, as the tick-based one is
// worthless under emulation.
func (p *Process) Usage() Usage {
	p.world.T.Helper()
	u, err := usage(p.PID())
	if err != nil {
		p.world.T.Fatalf("usage of %s (%s): %v", p.name, p.state(), err)
	}
	return u
}

func usage(pid int) (Usage, error) {
	var u Usage
	dir := fmt.Sprintf("/proc/%d", pid)
	fds, err := os.ReadDir(dir + "/fd")
	if err != nil {
		return u, err
	}
	u.FDs = len(fds)
	stats, err := filepath.Glob(dir + "/task/*/schedstat")
	if err != nil {
		return u, err
	}
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		var ran, waited int64
		var runs int
		if _, err := fmt.Fscan(bytes.NewReader(text), &ran, &waited, &runs); err != nil {
			return u, fmt.Errorf("%s: %w", name, err)
		}
		u.Threads++
		u.CPU += time.Duration(ran)
		u.Runs += runs
	}
	// The counter in status lags by pages per thread; the roll-up walks the tables.
	text, err := os.ReadFile(dir + "/smaps_rollup")
	if err != nil {
		return u, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), "Rss:"); found {
			if _, err := fmt.Sscan(value, &u.RSS); err != nil {
				return u, fmt.Errorf("%s: %w", lines.Text(), err)
			}
			u.RSS <<= 10
		}
	}
	return u, nil
}
