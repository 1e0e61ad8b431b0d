package main

import (
	"os"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
)

// endWithParent has TERM sent to this process when the one that started it ends. On OpenWrt that is ujail, which procd knows: a broker whose
// ujail was killed would serve on, with the ports of the next one, where neither procd nor the init script reaches it.
func endWithParent() error {
	parent := os.Getppid()
	// Of this thread, which stays; giving up capabilities keeps it (commit_creds in kernel/cred.c).
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0); err != nil {
		return phrase.Errorf("--end-with-parent: %w", err)
	}
	if os.Getppid() != parent { // it has ended in between, and nothing tells
		return unix.Kill(os.Getpid(), unix.SIGTERM)
	}
	return nil
}
