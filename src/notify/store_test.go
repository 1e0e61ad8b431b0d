package notify

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// systemd is the socket that systemd would listen at, and what has come there.
type systemd struct {
	t  *testing.T
	fd int
}

func listen(t *testing.T) *systemd {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	name := filepath.Join(t.TempDir(), "notify")
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("FDSTORE", "10")
	return &systemd{t, fd}
}

// hear gives the next message and the descriptors that came with it.
func (s *systemd) hear() (string, []int) {
	s.t.Helper()
	message, control := make([]byte, 1000), make([]byte, 1000)
	n, c, _, _, err := unix.Recvmsg(s.fd, message, control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		s.t.Fatalf("nothing has come: %v", err)
	}
	var fds []int
	messages, err := unix.ParseSocketControlMessage(control[:c])
	for i := range messages {
		rights, e := unix.ParseUnixRights(&messages[i])
		fds, err = append(fds, rights...), errors.Join(err, e)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	})
	return string(message[:n]), fds
}

func openStore(t *testing.T) *Store {
	t.Helper()
	store, err := OpenStore()
	if err != nil || store == nil {
		t.Fatalf("store %v, %v", store, err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// What is put in is the descriptor itself, under its name; what is taken out is asked for by name.
func TestStore(t *testing.T) {
	manager := listen(t)
	store := openStore(t)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	if err := store.Add("tunnel-7", pipe[1]); err != nil {
		t.Fatal(err)
	}
	unix.Close(pipe[1])
	message, fds := manager.hear()
	if want := "FDSTORE=1\nFDPOLL=0\nFDNAME=tunnel-7"; message != want || len(fds) != 1 {
		t.Fatalf("heard %q with %d descriptors, want %q with one", message, len(fds), want)
	}
	if _, err := unix.Write(fds[0], []byte("alive")); err != nil {
		t.Error(err)
	}
	buffer := make([]byte, 10)
	if n, err := unix.Read(pipe[0], buffer); err != nil || string(buffer[:n]) != "alive" {
		t.Errorf("through the stored copy: %q, %v", buffer[:max(n, 0)], err)
	}
	if err := store.Remove("tunnel-7"); err != nil {
		t.Fatal(err)
	}
	if message, fds := manager.hear(); message != "FDSTOREREMOVE=1\nFDNAME=tunnel-7" || len(fds) != 0 {
		t.Errorf("heard %q with %d descriptors", message, len(fds))
	}
	if err := store.Add("bad", -1); !errors.Is(err, unix.EBADF) {
		t.Errorf("a descriptor that is none: %v", err)
	}
}

// A manager that does not read makes nobody wait, and is told all that it was told once it reads.
func TestStoreNeverBlocks(t *testing.T) {
	manager := listen(t)
	store := openStore(t)
	var told int
	for ; told < 100000; told++ {
		if err := store.Remove(fmt.Sprint("n", told)); err == unix.EAGAIN { //nolint:errorlint // the promise is a bare errno
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if told == 0 || told == 100000 {
		t.Fatalf("told %d times without a reader", told)
	}
	if err := store.Add("one more", 0); err != unix.EAGAIN {
		t.Errorf("with the queue full: %v, want EAGAIN", err)
	}
	for i := range told {
		if message, _ := manager.hear(); !strings.HasSuffix(message, fmt.Sprint("FDNAME=n", i)) {
			t.Fatalf("message %d is %q", i, message)
		}
	}
	if err := store.Remove("last"); err != nil {
		t.Errorf("after the manager has read: %v", err)
	}
}

func TestNoStore(t *testing.T) {
	for _, c := range []struct{ socket, size string }{{"", "10"}, {"/run/none", ""}, {"/run/none", "0"}} {
		t.Setenv("NOTIFY_SOCKET", c.socket)
		t.Setenv("FDSTORE", c.size)
		if store, err := OpenStore(); store != nil || err != nil {
			t.Errorf("socket %q, size %q: %v, %v", c.socket, c.size, store, err)
		}
	}
	gone := filepath.Join(t.TempDir(), "gone")
	t.Setenv("NOTIFY_SOCKET", gone)
	t.Setenv("FDSTORE", "10")
	if store, err := OpenStore(); store != nil || !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), gone) {
		t.Errorf("socket gone: %v, %v", store, err)
	}
}

func TestReloading(t *testing.T) {
	var before, after unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &before)
	text := Reloading()
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &after)
	var at int64
	if n, err := fmt.Sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%d", &at); n != 1 || err != nil || at < before.Nano()/1000 || at > after.Nano()/1000 {
		t.Errorf("%q between %d and %d µs: %v", text, before.Nano()/1000, after.Nano()/1000, err)
	}
}

// What systemd hands over is taken once, closed on exec, and only when it is for this process.
func TestInherited(t *testing.T) {
	me := fmt.Sprint(os.Getpid())
	give := func(pid, count, names string) []Stored {
		t.Helper()
		t.Setenv("LISTEN_PID", pid)
		t.Setenv("LISTEN_FDS", count)
		t.Setenv("LISTEN_FDNAMES", names)
		all := Inherited()
		for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
			if value, found := os.LookupEnv(name); found {
				t.Errorf("%s=%s is left for children", name, value)
			}
		}
		if again := Inherited(); again != nil {
			t.Errorf("a second call gives %v", again)
		}
		return all
	}
	// Whatever 3 and 4 are in this process: they are there, and get back what they had.
	for fd := 3; fd <= 4; fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if errors.Is(err, unix.EBADF) {
			if err = unix.Dup2(0, fd); err == nil {
				defer unix.Close(fd)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		defer unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags)
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := give(me, "2", "tunnel-100:record"), []Stored{{"tunnel-100", 3}, {"record", 4}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for fd := 3; fd <= 4; fd++ {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d stays open in hooks: %x, %v", fd, flags, err)
		}
	}
	if got, want := give(me, "2", "one"), []Stored{{"one", 3}, {"", 4}}; !slices.Equal(got, want) {
		t.Errorf("with a name too few: %v, want %v", got, want)
	}
	for _, c := range [][3]string{{"1", "2", "a:b"}, {"", "2", "a:b"}, {me, "", ""}, {me, "two", "a:b"}, {me, "-1", ""}, {me, "0", ""}} {
		if got := give(c[0], c[1], c[2]); len(got) != 0 {
			t.Errorf("LISTEN_PID=%s LISTEN_FDS=%s: %v", c[0], c[1], got)
		}
	}
}
