//go:build native

package tap

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/privilege"
)

// apart runs f on a thread with a network and mount namespace of its own, which end with it.
func apart(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that the thread ends
		err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("make namespaces: %v: this test is for root", err)
	}
}

// interfaces are those of the thread's network namespace.
func interfaces(t *testing.T) string {
	text, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// One that lasts is there without a descriptor, has to be opened anew, and goes when it is to last no longer.
func TestDeviceLasts(t *testing.T) {
	apart(t, func() {
		const name = "l2tp100-100"
		d, err := Open(name)
		if err == nil {
			err = d.Last(true)
		}
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := Reopen(name); !errors.Is(err, ErrExists) {
			t.Errorf("opened twice: %v", err)
		}
		unix.Close(d.FD)
		if !strings.Contains(interfaces(t), name+":") {
			t.Error("it does not last")
		}
		if _, err := Open(name); !errors.Is(err, ErrExists) {
			t.Errorf("made although it is there: %v", err)
		}
		if d, err = Reopen(name); err != nil {
			t.Error(err)
			return
		}
		if is, err := d.Name(); is != name || err != nil || !d.Segments {
			t.Errorf("opened anew: %q, %v, %+v", is, err, d)
		}
		if err := d.Last(false); err != nil {
			t.Error(err)
		}
		unix.Close(d.FD)
		if strings.Contains(interfaces(t), name+":") {
			t.Error("it is there still")
		}
		if _, err := Reopen("lo"); !errors.Is(err, ErrExists) {
			t.Errorf("loopback: %v", err)
		}
	})
}

func TestDeviceComesAndGoes(t *testing.T) {
	apart(t, func() {
		if err := Prove(); err != nil {
			t.Error(err)
			return
		}
		d, err := Open("l2tp100-100")
		if err != nil {
			t.Error(err)
			return
		}
		if name, err := d.Name(); name != "l2tp100-100" || err != nil {
			t.Errorf("name %q, %v", name, err)
		}
		if !strings.Contains(interfaces(t), "l2tp100-100:") {
			t.Error("there is no such interface")
		}
		if _, err := Open("l2tp100-100"); !errors.Is(err, ErrExists) {
			t.Errorf("a second one: %v", err)
		}
		for _, name := range []string{"", "sixteen-bytes-ab"} {
			if _, err := Open(name); err == nil {
				t.Errorf("name %q is taken", name)
			}
		}
		// A copy of the descriptor keeps it, and can be adopted.
		kept, err := unix.FcntlInt(uintptr(d.FD), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return
		}
		unix.Close(d.FD)
		again, err := Adopt(kept)
		if name, _ := again.Name(); err != nil || name != "l2tp100-100" || again.Segments != d.Segments {
			t.Errorf("adopted: %q, %+v, %v", name, again, err)
		}
		if _, err := unix.Read(kept, make([]byte, 100)); err != unix.EAGAIN {
			t.Errorf("a read gives %v, want EAGAIN", err)
		}
		if _, err := unix.Write(kept, make([]byte, 70)); err != unix.EIO {
			t.Errorf("a write while it is down gives %v, want EIO", err)
		}
		unix.Close(kept)
		for end := time.Now().Add(10 * time.Second); strings.Contains(interfaces(t), "l2tp100-100:"); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Error("the interface stays")
				return
			}
		}
	})
}

// What keeps a program in a container from making devices is told in one line that says what to do.
func TestNoDevice(t *testing.T) {
	check := func(err, want error, words ...string) {
		t.Helper()
		if !errors.Is(err, want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("the error is %v, want %v", err, want)
			return
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("the error is %q, and does not say %q", err, word)
			}
		}
	}
	apart(t, func() {
		if err := unix.Mount("none", "/dev/net", "tmpfs", 0, ""); err != nil {
			t.Error(err)
			return
		}
		_, err := Open("tap0")
		check(err, ErrMissing, "/dev/net/tun", "--device")
		check(Prove(), ErrMissing)
		// The device's number without permission to use it is what a container may have.
		if err := unix.Mknod("/dev/net/tun", unix.S_IFCHR|0o600, int(unix.Mkdev(10, 200))); err != nil {
			t.Error(err)
			return
		}
		if err := unix.Mount("", "/dev/net", "", unix.MS_REMOUNT|unix.MS_NODEV, ""); err != nil {
			t.Error(err)
			return
		}
		check(Prove(), ErrDenied, "container")
	})
	apart(t, func() {
		// The thread's alone, and it ends with it.
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			t.Error(errno)
			return
		}
		_, err := Open("tap0")
		if !errors.Is(err, privilege.ErrNetwork) { // the device is everybody's on most systems
			check(err, ErrDenied, "CAP_NET_ADMIN")
		}
	})
}
