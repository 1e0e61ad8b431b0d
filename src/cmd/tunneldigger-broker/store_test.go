//go:build !mips

// QEMU, under which the tests for mips run, lets a program of theirs start none of their kind.

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stored is a descriptor in the store.
type stored struct {
	name string
	file *os.File
}

// manager plays systemd: it keeps what it is told to keep.
type manager struct {
	sync.Mutex
	t     *testing.T
	path  string
	store []stored
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{t: t, path: t.TempDir() + "/notify"}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		message, control := make([]byte, 4096), make([]byte, 4096)
		for {
			n, c, _, _, err := conn.ReadMsgUnix(message, control)
			if err != nil {
				return
			}
			m.take(string(message[:n]), control[:c])
		}
	}()
	return m
}

func (m *manager) take(message string, control []byte) {
	m.Lock()
	defer m.Unlock()
	_, name, named := strings.Cut(message, "FDNAME=")
	if !named {
		return
	}
	if strings.HasPrefix(message, "FDSTOREREMOVE=1") {
		var rest []stored
		for _, s := range m.store {
			if s.name == name {
				s.file.Close()
			} else {
				rest = append(rest, s)
			}
		}
		m.store = rest
		return
	}
	messages, _ := unix.ParseSocketControlMessage(control)
	for i := range messages {
		fds, _ := unix.ParseUnixRights(&messages[i])
		for _, fd := range fds {
			m.store = append(m.store, stored{name, os.NewFile(uintptr(fd), name)})
		}
	}
}

// stored gives copies of what is in the store, for start.
func (m *manager) stored() []stored {
	m.t.Helper()
	m.Lock()
	defer m.Unlock()
	var copies []stored
	for _, s := range m.store {
		fd, err := unix.FcntlInt(s.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			m.t.Fatal(err)
		}
		copies = append(copies, stored{s.name, os.NewFile(uintptr(fd), s.name)})
	}
	return copies
}

func (m *manager) count() int {
	m.Lock()
	defer m.Unlock()
	return len(m.store)
}

func (m *manager) await(count int) {
	m.t.Helper()
	for end := time.Now().Add(2 * time.Minute); m.count() != count; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("%d descriptors in the store, want %d", m.count(), count)
		}
	}
}

// A broker that is killed, under a systemd that keeps its descriptors: the next one has the tunnels.
func TestCrash(t *testing.T) {
	b, m := newBroker(t), newManager(t)
	env := []string{"NOTIFY_SOCKET=" + m.path, "FDSTORE=1000"}
	b.start(nil, env...)
	var peers []*peer
	for i := range 30 {
		p := b.peer()
		p.tunnel = p.prepare(fmt.Sprint("node", i))
		peers = append(peers, p)
	}
	begun := b.peer() // has a cookie
	m.await(1 + len(peers))
	if text, status := b.call("kick", "node7"); status != 0 {
		t.Fatal(text)
	}
	m.await(len(peers))
	peers = append(peers[:7:7], peers[8:]...)
	crash := func() {
		t.Helper()
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
		b.start(m.stored(), env...)
	}
	check := func(what string) {
		t.Helper()
		for i, p := range peers {
			uuid := fmt.Sprint("node", i)
			if i >= 7 {
				uuid = fmt.Sprint("node", i+1)
			}
			p.probe()
			if again := p.prepare(uuid); !bytes.Equal(again, p.tunnel) {
				t.Errorf("%s: %s: TUNNEL % x, before % x", what, uuid, again, p.tunnel)
			}
		}
	}
	crash()
	b.await("ended without a word tunnels_kept=29 tunnels_made_again=0 tunnels_lost=0")
	check("after a crash")
	begun.tunnel = begun.prepare("begun") // with the cookie of the process before
	m.await(2 + len(peers))

	// Through an upgrade, and the new program crashes.
	all, _ := programs()
	b.install(all["2.0"])
	if text, status := b.call("upgrade"); status != 0 {
		t.Fatal(text)
	}
	late := b.peer()
	late.tunnel = late.prepare("late")
	m.await(3 + len(peers))
	crash()
	b.await("tunnels_kept=31 tunnels_made_again=0 tunnels_lost=0")
	check("after an upgrade and a crash")
	begun.probe()
	late.probe()
	// Those hooks that nobody saw end have run again. (node7's may not have begun when it was closed, and then never did.)
	heard := make(map[string]bool)
	for end := time.Now().Add(2 * time.Minute); len(heard) < 31; time.Sleep(5 * time.Millisecond) {
		ran, _ := os.ReadFile(b.dir + "/ran")
		for _, uuid := range strings.Fields(string(ran)) {
			heard[uuid] = true
		}
		delete(heard, "node7")
		if time.Now().After(end) {
			t.Fatalf("session.up ran for %d tunnels of 31", len(heard))
		}
	}

	// An orderly end leaves nothing.
	if err := b.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Wait(); err != nil {
		t.Error(err)
	}
	m.await(0)
	b.start(nil, env...)
	fresh := b.peer()
	fresh.tunnel = fresh.prepare("fresh")
	m.await(2)
}

// What comes back damaged, or belongs to nobody, ends.
func TestCrashWithADamagedStore(t *testing.T) {
	b, m := newBroker(t), newManager(t)
	env := []string{"NOTIFY_SOCKET=" + m.path, "FDSTORE=1000"}
	b.start(nil, env...)
	one, two := b.peer(), b.peer()
	one.tunnel, two.tunnel = one.prepare("one"), two.prepare("two")
	m.await(3)
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
	all := m.stored()
	for _, s := range all {
		if s.name != "state" {
			continue
		}
		slot := make([]byte, 512) // of tunnel 100
		if _, err := s.file.ReadAt(slot, 100*512); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		if _, err := s.file.WriteAt([]byte{'x'}, 100*512+int64(bytes.Index(slot, []byte("one")))); err != nil {
			t.Fatal(err)
		}
	}
	b.start(all, env...)
	b.await("tunnels_kept=1 tunnels_made_again=0 tunnels_lost=1 because=\"1 damaged\"")
	two.probe()
	m.await(2)
	if again := one.prepare("one"); len(again) == 0 {
		t.Error("no new tunnel")
	}
	m.await(3)
}

// What comes back and is of another section, or has an ID that is none any more, ends, and hooks hear of it where the section is there.
func TestCrashWithAStoreThatDoesNotFit(t *testing.T) {
	b, m := newBroker(t), newManager(t)
	b.hearing()
	env := []string{"NOTIFY_SOCKET=" + m.path, "FDSTORE=1000"}
	b.start(nil, env...)
	one, two := b.peer(), b.peer()
	one.tunnel, two.tunnel = one.prepare("one"), two.prepare("two")
	m.await(3)
	crash := func(old, new string) {
		t.Helper()
		b.hears("two", "session.up")
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
		b.edit(old, new)
		b.start(m.stored(), env...)
	}
	crash("option pmtu '1400'", "option pmtu '1400'\n\toption tunnel_id_base '101'")
	b.await("tunnels_kept=1 tunnels_made_again=0 tunnels_lost=1 because=\"1 not as the section is configured now\"")
	b.hears("one", "session.up", "session.down")
	two.probe()
	m.await(2)
	crash("broker 'wan'", "broker 'lan'")
	b.await("tunnels_made_again=0 tunnels_lost=1 because=\"1 of a section that is gone\"")
	m.await(1)
}
