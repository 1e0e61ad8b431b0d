package link

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Lines that pages cut in two are whole, in pieces that are bounded.
func TestCounters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dev")
	var text strings.Builder
	text.WriteString("Inter-|   Receive  |  Transmit\n face |bytes\n")
	const many = 1000
	for i := range many {
		fmt.Fprintf(&text, "l2tp%d-1: %d 1 0 0 0 0 0 0 %d 4 0 0 0 0 0 0\n", i, i, 2*i)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := OpenCounters(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	seen, pieces := 0, 1
	for more := true; more; pieces++ {
		before := seen
		more = c.Next(func(name []byte, got Traffic) {
			want := Traffic{uint64(seen), 1, uint64(2 * seen), 4}
			if string(name) != fmt.Sprintf("l2tp%d-1", seen) || got != want {
				t.Errorf("%s: %+v, want %+v", name, got, want)
			}
			seen++
		})
		if most := counterPages * counterPage / 40; seen-before > most {
			t.Errorf("a piece of %d interfaces, want %d at most", seen-before, most)
		}
	}
	if seen != many || pieces < 3 {
		t.Errorf("%d interfaces in %d pieces", seen, pieces)
	}
	if _, err := OpenCounters(path + "-gone"); err == nil {
		t.Error("a file that is not there was opened")
	}
}

func TestParseDevice(t *testing.T) {
	name, got, ok := parseDevice([]byte("l2tp100-100: 1234567     999    0    0    0     0          0         0 18446744073709551615  123456    1    0    0     0       0          0"))
	if want := (Traffic{1234567, 999, 1<<64 - 1, 123456}); !ok || string(name) != "l2tp100-100" || got != want {
		t.Errorf("%s %+v %v", name, got, ok)
	}
	for _, line := range []string{"", "Inter-|   Receive", " face |bytes    packets errs", "lo: 1 2 3", "lo:", ": 1 2 3 4 5 6 7 8 9 10", "lo: 1 2 3 4 5 6 7 8 9 x"} {
		if name, _, ok := parseDevice([]byte(line)); ok {
			t.Errorf("%q: %s", line, name)
		}
	}
}
