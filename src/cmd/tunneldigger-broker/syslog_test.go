//go:build !mips

// QEMU, under which the tests for mips run, lets a program of theirs start none of their kind.

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A real syslogd has each line with its severity, those of hooks too, and only what
// nobody takes there goes to standard error. It is busybox', which wants /dev/log: the
// test goes on in a process with a /dev of its own.
func TestSyslog(t *testing.T) {
	if os.Getenv("ALONE") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSyslog$", "-test.timeout=2m")
		cmd.Env = append(os.Environ(), "ALONE=1")
		cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET}
		if os.Getuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		}
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
		return
	}
	dir := t.TempDir()
	ownDev(t)
	hook, file := filepath.Join(dir, "hook"), filepath.Join(dir, "log")
	write(t, hook, "#!/bin/sh\necho it says $UUID\nkill -9 $$\n", 0o755)
	write(t, filepath.Join(dir, "tunneldigger-broker"), "config broker 'wan'\n\tlist address '127.0.0.1'\n\tlist port '8942'\n"+
		"config hooks\n\toption session_verify '"+hook+"'\nconfig log\n\toption verbosity 'DEBUG'\n", 0o644)

	errs, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer errs.Close()
	ended := make(chan int, 1)
	start := func() {
		go func() {
			ended <- run([]string{"--syslog", "-datapath", "none", "-c", dir, "--socket", filepath.Join(dir, "socket")}, errs, errs)
		}()
	}
	stop := func() {
		t.Helper()
		if err := unix.Kill(os.Getpid(), unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if status := <-ended; status != 0 {
			t.Errorf("status %d", status)
		}
	}

	// While no syslogd listens, standard error has the lines.
	start()
	awaitText(t, errs.Name(), "info: listening broker=wan")
	syslogd := exec.Command("busybox", "syslogd", "-n", "-O", file, "-l", "8")
	syslogd.Stderr = os.Stderr
	if err := syslogd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syslogd.Process.Kill(); _ = syslogd.Wait() })
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat("/dev/log"); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("syslogd has made no socket")
		}
	}
	before, _ := os.ReadFile(errs.Name())
	if strings.Contains(string(before), "<") {
		t.Errorf("standard error has priorities:\n%s", before)
	}
	stop()
	start()
	awaitText(t, file, "listening broker=wan")
	if status := run([]string{"probe", "-u", "node", "127.0.0.1:8942"}, errs, errs); status != 1 { // it is refused
		t.Errorf("probe: status %d", status)
	}
	awaitText(t, file, "hook failed")
	stop()
	awaitText(t, file, "info: stopped")
	text, _ := os.ReadFile(file)
	for _, want := range []string{
		"daemon.warn tunneldigger-broker[%d]: warning: no datapath", "daemon.info tunneldigger-broker[%d]: info: listening broker=wan",
		"daemon.info tunneldigger-broker[%d]: info: client refused broker=wan uuid=node", "line=\"it says node\"",
		"daemon.info tunneldigger-broker[%d]: info: hook output broker=wan event=session.verify", "daemon.err tunneldigger-broker[%d]: error: hook failed broker=wan",
	} {
		if want = strings.ReplaceAll(want, "%d", fmt.Sprint(os.Getpid())); !strings.Contains(string(text), want) {
			t.Errorf("syslog has no %q:\n%s", want, text)
		}
	}
	after, _ := os.ReadFile(errs.Name())
	if rest := strings.TrimPrefix(string(after), string(before)); strings.Contains(rest, "info: ") || strings.Contains(rest, "error: ") {
		t.Errorf("standard error has lines of the log, too:\n%s", rest)
	}
}

// ownDev gives this process a /dev that is empty but for null.
func ownDev(t *testing.T) {
	t.Helper()
	dev := t.TempDir()
	write(t, filepath.Join(dev, "null"), "", 0o666)
	for _, m := range []struct {
		from, to string
		flags    uintptr
	}{{"", "/", unix.MS_REC | unix.MS_PRIVATE}, {"/dev/null", filepath.Join(dev, "null"), unix.MS_BIND}, {dev, "/dev", unix.MS_BIND | unix.MS_REC}} {
		if err := unix.Mount(m.from, m.to, "", m.flags, ""); err != nil {
			t.Fatalf("mount %s on %s: %v", m.from, m.to, err)
		}
	}
	t.Cleanup(func() {
		_ = unix.Unmount("/dev", unix.MNT_DETACH)
		_ = unix.Unmount(filepath.Join(dev, "null"), unix.MNT_DETACH)
	})
	if text, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// awaitText waits until a file has a text.
func awaitText(t *testing.T, path, text string) {
	t.Helper()
	var is []byte
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if is, _ = os.ReadFile(path); strings.Contains(string(is), text) {
			return
		}
	}
	t.Fatalf("no %q in %s:\n%s", text, path, is)
}
