package resources

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tunneldigger/src/files"
)

// Resident is how much of the process is in memory, in bytes; 0: unknown.
func Resident() uint64 {
	text, err := files.Read("/proc/self/statm") // proc(5): size and resident, in pages
	_, text, _ = strings.Cut(text, " ")
	text, _, found := strings.Cut(text, " ")
	pages, fault := strconv.ParseUint(text, 10, 64)
	if err != nil || fault != nil || !found {
		return 0
	}
	return pages * uint64(unix.Getpagesize())
}
