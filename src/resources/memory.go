package resources

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Resident is how much of the process is in memory, in bytes; 0: unknown.
func Resident() uint64 {
	text, err := os.ReadFile("/proc/self/statm") // proc(5): size and resident, in pages
	_, text, _ = bytes.Cut(text, []byte{' '})
	text, _, found := bytes.Cut(text, []byte{' '})
	pages, fault := strconv.ParseUint(string(text), 10, 64)
	if err != nil || fault != nil || !found {
		return 0
	}
	return pages * uint64(unix.Getpagesize())
}
