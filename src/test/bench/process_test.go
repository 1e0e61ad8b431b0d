//go:build bench

package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cost is processor time: the total as the scheduler counts it, to the nanosecond, and the ticks that met user and kernel code, which
// tell its parts; it takes hundreds of them to mean something, and under emulation they never do.
type cost struct {
	total        time.Duration
	user, system int
}

func (c *cost) add(before, after cost) {
	c.total += after.total - before.total
	c.user += after.user - before.user
	c.system += after.system - before.system
}

// userPart is the part of the total that was spent in user code.
func (c *cost) userPart() time.Duration {
	return c.total * time.Duration(c.user) / time.Duration(max(1, c.user+c.system))
}

// costOf is what a process has used so far.
func costOf(t testing.TB, pid int) cost {
	t.Helper()
	c, err := used(pid)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// used is costOf for roles.
func used(pid int) (c cost, err error) {
	dir := fmt.Sprintf("/proc/%d", pid)
	stats, _ := filepath.Glob(dir + "/task/*/schedstat")
	for _, name := range stats {
		var ran int64
		if text, err := os.ReadFile(name); err == nil { // else the thread has ended
			if _, err := fmt.Fscan(bytes.NewReader(text), &ran); err != nil {
				return c, fmt.Errorf("%s: %w", name, err)
			}
		}
		c.total += time.Duration(ran)
	}
	text, err := os.ReadFile(dir + "/stat")
	if err != nil || c.total == 0 {
		return c, fmt.Errorf("processor time of process %d: %v", pid, err)
	}
	// After the name, which is in parentheses, utime and stime are the 12th and 13th field (proc(5)).
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	_, err = fmt.Sscan(fields[11]+" "+fields[12], &c.user, &c.system)
	return c, err
}

// memoryOf is resident memory in kB: all of it, and what is no file's.
func memoryOf(t testing.TB, pid int) (rss, anonymous int) {
	t.Helper()
	rss, anonymous, err := resident(pid)
	if err != nil {
		t.Fatal(err)
	}
	return rss, anonymous
}

// resident is memoryOf for roles.
func resident(pid int) (rss, anonymous int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)) // exact, unlike status
	for _, line := range strings.Split(string(text), "\n") {
		fmt.Sscanf(line, "Rss: %d kB", &rss)
		fmt.Sscanf(line, "Anonymous: %d kB", &anonymous)
	}
	return rss, anonymous, err
}
