//go:build !mips

// Under QEMU, where the tests for mips run, the programs of the machine are for another processor.

package hook

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestExamine names what keeps a program from running, where the kernel has one word for many things. Each is then run, so that what
// is objected to does fail and what is not does not.
func TestExamine(t *testing.T) {
	b := newBench(t, 1)
	good := b.script("good", "#!/bin/sh\nexit 0\n")
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	foreign := append([]byte(nil), self[:4096]...)
	binary.NativeEndian.PutUint16(foreign[18:], 0x1234)
	plain := b.script("plain", "#!/bin/sh\n")
	folder := filepath.Dir(b.script("closed/in/hook", "#!/bin/sh\nexit 0\n"))
	hidden := b.dir + "/hidden"
	link := b.dir + "/link"
	err = errors.Join(os.Chmod(plain, 0o644), os.Symlink("nowhere", b.dir+"/broken"), os.Symlink(folder+"/hook", hidden), os.Symlink(good, link), os.Symlink(folder, b.dir+"/into"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{good, ""},
		{link, ""},
		{b.dir + "/into/../in/hook", ""}, // through the link's own folder above
		{b.dir + "/into/../hook", "there is no file " + b.dir + "/into/../hook"},
		{"/bin/sh", ""},
		{b.script("arguments", "#! /usr/bin/env sh\nexit 0\n"), ""},
		{b.dir + "/missing", "there is no file " + b.dir + "/missing"},
		{b.dir + "/no/such/hook", "there is no folder " + b.dir + "/no"},
		{b.dir + "/broken", "is a link to nowhere, which is not there"},
		{good + "/hook", "good is no folder"},
		{b.dir, "is a folder"},
		{plain, "chmod +x"},
		{b.script("empty", ""), "is empty"},
		{b.script("text", "echo\n"), "begin a script with #!/bin/sh"},
		{b.script("nobody", "#!\n"), "names no interpreter"},
		{b.script("dos", "#!/bin/sh\r\nexit 0\r\n"), "Unix line ends"},
		{b.script("absent", "#!/no/such/bash\n"), "its interpreter can't run: there is no folder /no"},
		{b.script("unfit", "#!"+plain+"\n"), "its interpreter can't run: " + plain + " is not executable"},
		{b.script("foreign", string(foreign)), "another processor"},
		{b.script("cut", string(self[:18])), "only the beginning of a program"},
	} {
		err := Examine(c.path)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.path, err, c.want)
		}
		if errors.Is(err, ErrRights) {
			t.Errorf("%s: not for lack of rights: %v", c.path, err)
		}
		if c.path != b.dir+"/empty" { // which the kernel takes for a script that ends at once
			b.Run(Request{Program: c.path, Args: []string{"-c", "exit 0"}})
			if res := b.results(1)[0]; (res.Err != nil) != (c.want != "") || res.Err != nil && !strings.Contains(res.Err.Error(), c.want) {
				t.Errorf("%s runs: %+v, want %q", c.path, res, c.want)
			}
		}
	}
}

// TestExamineRights has the kernel refuse what chmod +x does not cure: a folder on the way, and a program of another's.
func TestExamineRights(t *testing.T) {
	b := newBench(t, 1)
	path := b.script("home/mesh/hook", "#!/bin/sh\necho $1 came here\n")
	home := b.dir + "/home"
	own := b.script("own", "#!/bin/sh\n")
	if err := errors.Join(os.Symlink(path, b.dir+"/link"), os.Chmod(home, 0o600), os.Chmod(own, 0o010)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(home, 0o700) })
	for path, want := range map[string]string{
		path:            "the folder " + home + " may not be entered",
		b.dir + "/link": "link, a link to " + path + ", may not be reached",
		own:             "own may not be run",
	} {
		if err := Examine(path); !errors.Is(err, ErrRights) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "+x "+path) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	var now [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &now[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); (err == nil) != (now[0].Effective&(1<<unix.CAP_DAC_OVERRIDE) != 0) {
		t.Errorf("the thread's rights are not those of before: %v", err)
	}
}

// TestNoexec mounts a file system of its own, which takes root; any other user's tests look at one that is there.
func TestNoexec(t *testing.T) {
	runtime.LockOSThread() // never unlocked: the thread and what it mounted go with this goroutine
	dir := t.TempDir()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		dir = "/dev/shm"
	} else if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("test", dir, "tmpfs", unix.MS_NOEXEC, "")); err != nil {
		t.Fatal(err)
	} else {
		defer unix.Unmount(dir, 0)
	}
	path := filepath.Join(dir, "hook")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	if err := Examine(path); err == nil || !strings.Contains(err.Error(), "mounted with noexec") {
		t.Errorf("%v", err)
	}
}

// TestLoader has a program that names a loader of another C library, as one does that was built for another system.
func TestLoader(t *testing.T) {
	const name = "/no/ld-musl.so.1"
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	file := append(make([]byte, 0, 512), self[:64]...)
	file = file[:512]
	copy(file[256:], name)
	order := binary.NativeEndian
	order.PutUint32(file[128:], 3) // PT_INTERP
	if file[4] == 2 {
		order.PutUint64(file[32:], 128)
		order.PutUint16(file[54:], 56)
		order.PutUint16(file[56:], 1)
		order.PutUint64(file[128+8:], 256)
		order.PutUint64(file[128+32:], uint64(len(name)+1))
	} else {
		order.PutUint32(file[28:], 128)
		order.PutUint16(file[42:], 32)
		order.PutUint16(file[44:], 1)
		order.PutUint32(file[128+4:], 256)
		order.PutUint32(file[128+16:], uint32(len(name)+1))
	}
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, file, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Examine(path); err == nil || !strings.Contains(err.Error(), "its loader "+name+" is not there") {
		t.Errorf("%v", err)
	}
	if err := exec.Command(path).Run(); !errors.Is(err, unix.ENOENT) {
		t.Errorf("the kernel says %v", err)
	}
}
