package main

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
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

// syslog writes lines that begin with their priority, as logline makes them, to
// the local syslog, with facility daemon (RFC 3164, section 4.1.1).
type syslog struct{}

func (syslog) Write(line []byte) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	severity, text := 6, line
	if len(line) > 3 && line[0] == '<' && line[2] == '>' {
		severity, text = int(line[1]-'0'), line[3:]
	}
	message := fmt.Appendf(nil, "<%d>tunneldigger-client[%d]: %s", 3<<3|severity, os.Getpid(), text)
	if err := unix.Sendto(fd, message, unix.MSG_DONTWAIT, &unix.SockaddrUnix{Name: "/dev/log"}); err != nil {
		return 0, err
	}
	return len(line), nil
}
