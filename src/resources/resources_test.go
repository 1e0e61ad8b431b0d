package resources

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

func TestPlaces(t *testing.T) {
	for kB, want := range map[int]int{0: 8, 8000: 8, 28000: 9, 60000: 19, 122000: 39, 250000: 81, 786432: 256, 64 << 20: 256} {
		if got := placesFor(fmt.Sprintf("MemTotal:       %8d kB\nMemFree:            1024 kB\n", kB)); got != want {
			t.Errorf("%d places with %d kB, want %d", got, kB, want)
		}
	}
	for _, text := range []string{"", "MemTotal:\n", "MemTotal: much kB\n", "MemFree: 4000000 kB\n"} {
		if got := placesFor(text); got != leastPlaces {
			t.Errorf("%d places with %q", got, text)
		}
	}
	if got := Hooks(3); got != 3 {
		t.Errorf("%d places, 3 are configured", got)
	}
	if got := Hooks(0); got < 64 {
		t.Errorf("%d places on this machine", got)
	}
}

func TestPlacesOfFewFiles(t *testing.T) {
	for _, c := range []struct {
		places int
		files  uint64
		want   int
	}{{256, 1 << 20, 256}, {256, 8192, 256}, {256, 1024, 85}, {256, 200, 16}, {256, 10, 8}, {8, 10, 8}, {256, 1<<64 - 1, 256}} {
		if got := fewFiles(c.places, c.files); got != c.want {
			t.Errorf("%d places, %d files: %d, want %d", c.places, c.files, got, c.want)
		}
	}
}

// Sections share what there is as they want it, and each may have one.
func TestSharesOfFiles(t *testing.T) {
	most, files, all, limit := Shares([]int{30, 0, 70}, 10)
	if all != 100 || files != 100 || limit < 110 || !slices.Equal(most, []int{30, 1, 70}) {
		t.Errorf("%v, %d of %d files, limit %d", most, files, all, limit)
	}
}

// The table of descriptors has room for all tunnels from the start.
func TestTableOfDescriptors(t *testing.T) {
	RaiseFiles(1000, 10)
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, size, _ := strings.Cut(string(text), "FDSize:")
	n := 0
	if _, err := fmt.Sscan(size, &n); err != nil || n < 1000 {
		t.Errorf("room for %d descriptors: %v", n, err)
	}
}

// However many tunnels a section may have, it gets what the process has descriptors
// for: on 32 bits, too, where a product of two such numbers does not fit.
func TestShares(t *testing.T) {
	for _, c := range []struct {
		capacity int
		most     []int
		want     []int
	}{
		{1024, []int{1024}, []int{1024}},
		{46341, []int{46341}, []int{46341}},
		{65535, []int{65535}, []int{65535}},
		{65535, []int{50000, 15535}, []int{50000, 15535}},
		{60000, []int{65535}, []int{60000}},
		{30000, []int{40000, 20000}, []int{20000, 10000}},
		{1, []int{65000, 500}, []int{1, 1}},
	} {
		wanted := 0
		for _, n := range c.most {
			wanted += n
		}
		var got []int
		for _, n := range c.most {
			got = append(got, share(c.capacity, n, wanted))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%d descriptors for max_tunnels %v: got %v, want %v", c.capacity, c.most, got, c.want)
		}
	}
}

// The environment has the last word on how much garbage there may be.
func TestGarbage(t *testing.T) {
	t.Cleanup(func() { debug.SetGCPercent(100) })
	for _, c := range []struct {
		set  string
		want int
	}{{"", garbage}, {"50", 77}} { // what the runtime made of it at its start
		t.Setenv("GOGC", c.set)
		debug.SetGCPercent(77)
		TrimHeap()
		if got := debug.SetGCPercent(77); got != c.want {
			t.Errorf("GOGC=%q: %d percent, want %d", c.set, got, c.want)
		}
	}
}
