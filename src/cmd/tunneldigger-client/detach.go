package main

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"tunneldigger/src/phrase"
)

// detachedEnv tells the program that it is the one in the background.
const detachedEnv = "TUNNELDIGGER_CLIENT_DETACHED"

// detach starts the program again in a session of its own, without a terminal.
// Go cannot fork, as its other threads would be missing in the child.
func detach(args []string) error {
	self, err := os.Executable()
	if err != nil {
		return phrase.Errorf("go to the background: %w", err)
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return phrase.Errorf("go to the background: open %s: %w", os.DevNull, err)
	}
	defer unix.Close(null)
	_, err = syscall.ForkExec(self, append([]string{self}, args...), &syscall.ProcAttr{
		Env:   append(os.Environ(), detachedEnv+"=1"),
		Files: []uintptr{uintptr(null), uintptr(null), uintptr(null)},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return phrase.Errorf("go to the background: start %s: %w", self, err)
	}
	return nil
}

func pidfile(iface string) string { return "/var/run/tunneldigger-client." + iface + ".pid" }
