//go:build native && !vm

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// native reports whether tests run on the machine itself, with the programs' own data path.
const native = true

// apart marks the process that is in namespaces of its own.
const apart = "TUNNELDIGGER_APART"

// Apart has the calling program run once more, in namespaces of its own for the network, mounts and processes, with a /run of its own and a
// copy of /etc: nothing outside them is changed. There, here is true; the other one is to end with the status.
func Apart() (status int, here bool) {
	if os.Getenv(apart) != "" {
		_ = os.Unsetenv(apart)
		if err := settleApart(); err != nil {
			fmt.Fprintln(os.Stderr, "namespaces:", err)
			return 1, false
		}
		return 0, true
	}
	err := able()
	self, fault := os.Executable()
	if err = errors.Join(err, fault); err == nil {
		cmd := exec.Command(self, os.Args[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.Env = append(os.Environ(), apart+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID, Pdeathsig: unix.SIGKILL}
		err = cmd.Run()
	}
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return max(1, ended.ExitCode()), false
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, false
	}
	return 0, false
}

// able is an error that says what is missing here.
func able() error {
	if os.Geteuid() != 0 {
		return errors.New("natively, tests need root: run them as root, or in the virtual machine")
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("natively, tests need /dev/net/tun: %w", err)
	}
	return unix.Close(fd)
}

// settleApart makes the file systems of the namespaces.
func settleApart() error {
	steps := []struct{ source, target, kind string }{{"proc", "/proc", "proc"}, {"sysfs", "/sys", "sysfs"}, {"tmpfs", "/run", "tmpfs"}, {"tmpfs", "/dev/net", "tmpfs"}}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for _, s := range steps {
		if err := unix.Mount(s.source, s.target, s.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", s.target, err)
		}
	}
	// For everybody, as udev has it; some machines have it for root alone.
	if err := unix.Mknod("/dev/net/tun", unix.S_IFCHR, int(unix.Mkdev(10, 200))); err != nil { // the kernel's devices.txt
		return fmt.Errorf("make /dev/net/tun: %w", err)
	}
	if err := unix.Chmod("/dev/net/tun", 0o666); err != nil {
		return err
	}
	if out, err := exec.Command("cp", "-a", "/etc", "/run/etc").CombinedOutput(); err != nil {
		return fmt.Errorf("copy /etc: %w: %s", err, out)
	}
	if err := unix.Mount("/run/etc", "/etc", "", unix.MS_BIND, ""); err != nil {
		return err
	}
	// As in the virtual machine: for hooks, whose shell is to be quick.
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	return os.Symlink(busybox, "/run/busybox")
}

func (w *World) ready() {}

// carried has the broker sections of a UCI text use the programs' own data path.
func carried(config string) string {
	lines := strings.SplitAfter(config, "\n")
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(line)
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "config" && fields[1] == "broker" {
			text.WriteString("\toption datapath 'user'\n")
		}
	}
	return text.String()
}

// clientPath are a client's options for the same.
var clientPath = []string{"--datapath", "user"}
