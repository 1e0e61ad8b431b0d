//go:build bench

package bench

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// figures are those of this run.
var figures table

type table struct{ rows []row }

type row struct {
	name, broker, bare, ratio, target string
	missed                            bool
}

// ratio adds a row: what the broker's figure is of the bare loop's, and the target for it. A figure that is a cost may be at most target times the
// other one's, one that is a rate must be at least that. Beyond gross the test fails.
func (tb *table) ratio(t testing.TB, name, unit string, broker, bare, target, gross float64) {
	t.Helper()
	r := broker / bare
	w := row{name: name, broker: fmt.Sprintf("%.4g %s", broker, unit), bare: fmt.Sprintf("%.4g %s", bare, unit), ratio: fmt.Sprintf("%.2f", r)}
	switch {
	case target > 1:
		w.target, w.missed = fmt.Sprintf("≤ %.2f", target), r > target
		if r > gross {
			t.Errorf("%s: %.2f times the bare loop's, grossly over %.2f", name, r, target)
		}
	case target > 0:
		w.target, w.missed = fmt.Sprintf("≥ %.2f", target), r < target
		if r < gross {
			t.Errorf("%s: %.2f of the bare loop's, grossly under %.2f", name, r, target)
		}
	}
	tb.rows = append(tb.rows, w)
}

// most adds a row: a figure of the broker alone that should be at most target. Beyond gross the test fails.
func (tb *table) most(t testing.TB, name, unit string, figure, target, gross float64) {
	t.Helper()
	figureText, targetText := strings.TrimSpace(fmt.Sprintf("%.4g %s", figure, unit)), strings.TrimSpace(fmt.Sprintf("≤ %.4g %s", target, unit))
	if figure > gross {
		t.Errorf("%s: %s, want %s", name, figureText, targetText)
	}
	tb.rows = append(tb.rows, row{name: name, broker: figureText, target: targetText, missed: figure > target})
}

// memory adds what is resident, in kB, of the whole and of what is no file's, without tunnels and with a thousand.
func (tb *table) memory(t testing.TB, idle, idleAnonymous, full, anonymous int) {
	t.Helper()
	tb.most(t, "resident memory, idle", "MB", float64(idle)/1000, 8, 12)
	tb.note("  of it anonymous", fmt.Sprintf("%.4g MB", float64(idleAnonymous)/1000), "")
	tb.most(t, "resident memory, 1000 tunnels", "MB", float64(full)/1000, 14, 20)
	tb.note("  of it anonymous", fmt.Sprintf("%.4g MB", float64(anonymous)/1000), "")
}

// note adds a row without a target.
func (tb *table) note(name, broker, bare string) {
	tb.rows = append(tb.rows, row{name: name, broker: broker, bare: bare})
}

func (tb *table) print() {
	if len(tb.rows) == 0 {
		return
	}
	fmt.Printf("\n%s\n\n", machine())
	const format = "%-46s %14s %14s %7s  %-12s %s\n"
	fmt.Printf(format, "", "broker", "bare loop", "ratio", "target", "")
	for _, r := range tb.rows {
		verdict := ""
		if r.missed {
			verdict = "MISSED"
		}
		fmt.Printf(format, r.name, r.broker, r.bare, r.ratio, r.target, verdict)
	}
	fmt.Println()
}

// machine names the kernel, the processor and, inside the virtual machine, that it is one.
func machine() string {
	var name unix.Utsname
	_ = unix.Uname(&name)
	text := "Linux " + unix.ByteSliceToString(name.Release[:]) + ", " + unix.ByteSliceToString(name.Machine[:])
	info, _ := os.ReadFile("/proc/cpuinfo")
	processors := 0
	model := ""
	for _, line := range strings.Split(string(info), "\n") {
		key, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "processor":
			processors++
		case "model name":
			model = strings.TrimSpace(value)
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	busy, _, _ := strings.Cut(string(load), " ")
	return fmt.Sprintf("%s, %d × %s, load %s", text, processors, model, busy)
}
