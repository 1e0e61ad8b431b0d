package survive

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Installed is the path of the program that takes over: where this one was
// started from, which may have another file by now.
func Installed() (string, error) {
	if filepath.IsAbs(os.Args[0]) {
		return os.Args[0], nil
	}
	return os.Executable() // without " (deleted)"
}

// Superseded reports whether the program that is installed is another file than the
// one that runs: an upgrade that was refused, or nobody asked for one.
func Superseded() bool {
	path, err := Installed()
	if err != nil {
		return false
	}
	var here, there unix.Stat_t
	if unix.Stat("/proc/self/exe", &here) != nil || unix.Stat(path, &there) != nil {
		return false
	}
	return here.Dev != there.Dev || here.Ino != there.Ino
}
