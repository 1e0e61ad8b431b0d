package resources

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tunneldigger/src/files"
)

const (
	// hookMemory is for how many kB of the machine's memory there is a place: a
	// shell that waits for a command takes 0.3 to 1 MB of its own, so that hooks take
	// a third of the memory at most.
	hookMemory = 3072
	// defaultPlaces is how many hooks run at once at most where the configuration does not say;
	// leastPlaces is how many do also where memory is small or not known.
	defaultPlaces, leastPlaces = 256, 8
	// HookFiles is how many descriptors a running hook takes: its output, the
	// process, and for a moment the folder.
	HookFiles = 3
)

// Hooks is how many hooks run side by side where so many are configured; 0: as many as
// the machine bears. A hook that waits costs nothing but memory, and descriptors: where
// a process may have few, most of them are for tunnels.
func Hooks(configured int) int {
	if configured > 0 {
		return configured
	}
	text, _ := files.Read("/proc/meminfo")
	n := placesFor(text)
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		n = fewFiles(n, files.Max)
	}
	return n
}

// fewFiles is Hooks in a process that may have so many descriptors: a quarter of them
// is for hooks.
func fewFiles(places int, files uint64) int {
	return int(min(uint64(places), max(leastPlaces, files/4/HookFiles)))
}

// placesFor is the default for a machine with this /proc/meminfo.
func placesFor(meminfo string) int {
	for _, line := range strings.Split(meminfo, "\n") {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "MemTotal:" {
			kB, _ := strconv.ParseUint(fields[1], 10, 63)
			return int(max(leastPlaces, min(kB/hookMemory, defaultPlaces)))
		}
	}
	return leastPlaces
}
