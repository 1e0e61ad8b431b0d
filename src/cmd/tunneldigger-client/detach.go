package main

import (
	"fmt"
	"os"
	"syscall"
)

// detachedEnv tells the program that it is the one in the background.
const detachedEnv = "TUNNELDIGGER_CLIENT_DETACHED"

// detach starts the program again in a session of its own, without a terminal.
// Go cannot fork, as its other threads would be missing in the child.
func detach(args []string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("go to the background: %w", err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("go to the background: %w", err)
	}
	defer null.Close()
	p, err := os.StartProcess(self, append([]string{self}, args...), &os.ProcAttr{
		Env:   append(os.Environ(), detachedEnv+"=1"),
		Files: []*os.File{null, null, null},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("go to the background: %w", err)
	}
	return p.Release()
}

func pidfile(iface string) string { return "/var/run/tunneldigger-client." + iface + ".pid" }
