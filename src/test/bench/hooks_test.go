//go:build bench

package bench

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/test/loopback"
)

// TestNativeHooksThatSleep has 200 clients come whose session.up is a shell script that sleeps for five seconds and then attaches the
// tunnel, and says when all are attached and what memory that takes.
func TestNativeHooksThatSleep(t *testing.T) {
	const clients = 200
	at := netip.AddrPortFrom(loopback.Host(), loopback.Port(t))
	dir := t.TempDir()
	hook, attached := filepath.Join(dir, "up"), filepath.Join(dir, "attached")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\nsleep 5\necho $3 >>"+attached+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(brokerConfig, at.Addr(), at.Port()) + "\nconfig hooks\n\toption session_up '" + hook + "'\n\toption parallel '256'\n"
	if err := os.WriteFile(filepath.Join(dir, "tunneldigger-broker"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	broker := start(t, brokerProgram(t), "-datapath", "none", "-c", dir, "--socket", filepath.Join(t.TempDir(), "socket"))
	await(t, 10*time.Second, "the broker listens", func() bool { return !isFree(at) })
	idle, _ := memoryOf(t, broker.Process.Pid)
	swarm := newSwarm(t, netip.MustParseAddrPort("127.0.0.2:30000"), at, clients)
	began := now()
	took := swarm.connect(100)
	time.Sleep(2 * time.Second) // in the middle of all the sleep
	number, shares := offspring(broker.Process.Pid)
	with, _ := memoryOf(t, broker.Process.Pid)
	await(t, time.Minute, "all are attached", func() bool {
		lines, _ := os.ReadFile(attached)
		return bytes.Count(lines, []byte{'\n'}) == clients
	})
	figures.note("200 clients, session.up sleeps 5 s: all attached after", fmt.Sprintf("%.2f s", (now()-began).Seconds()), "")
	figures.note("  of these for the set-ups", fmt.Sprintf("%.2f s", took.Seconds()), "")
	figures.note("  memory of the hooks (proportional)", fmt.Sprintf("%.1f MB, %d processes", float64(shares)/1024, number), "")
	figures.note("  the broker's own, idle and then", fmt.Sprintf("%.1f / %.1f MB", float64(idle)/1024, float64(with)/1024), "")
}

// offspring counts the descendants of a process and their proportional share of memory, in kB.
func offspring(pid int) (number, shares int) {
	parents := make(map[int][]int)
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 1 {
			parent, _ := strconv.Atoi(fields[1])
			parents[parent] = append(parents[parent], child)
		}
	}
	next := parents[pid]
	for len(next) > 0 {
		child := next[0]
		next = append(next[1:], parents[child]...)
		number++
		rollup, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", child))
		_, after, _ := strings.Cut(string(rollup), "\nPss:")
		kB := 0
		_, _ = fmt.Sscan(after, &kB)
		shares += kB
	}
	return number, shares
}
