//go:build !mips

// QEMU, under which the tests for mips run, lets a program of theirs start none of their kind.

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/test/loopback"
	"tunneldigger/src/tlv"
	"tunneldigger/src/wire"
)

// kill ends the program without a word.
func (b *broker) kill() {
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
}

// hears waits until hooks have been told so of a client, in this order.
func (b *broker) hears(uuid string, want ...string) {
	b.Helper()
	var got []string
	for end := time.Now().Add(2 * time.Minute); !slices.Equal(got, want); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("hooks heard of %s: %q, want %q", uuid, got, want)
		}
		text, _ := os.ReadFile(b.dir + "/heard")
		got = nil
		for _, line := range strings.Split(string(text), "\n") {
			if what, of, _ := strings.Cut(line, " "); of == uuid {
				got = append(got, what)
			}
		}
	}
}

// hearing has hooks note what they are told.
func (b *broker) hearing() {
	b.Helper()
	hook := "#!/bin/sh\necho \"$ACTION $UUID\" >>" + b.dir + "/heard\n"
	if err := os.Mkdir(b.dir+"/hooks", 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(b.dir+"/hooks/10-note", []byte(hook), 0o755); err != nil {
		b.Fatal(err)
	}
	b.configure("\toption directory '" + b.dir + "/hooks'\n")
}

// A broker that is killed where there is no systemd: the next one makes the tunnels again, before it hears what their clients say, and hooks
// hear of both.
func TestCrashWithoutSystemd(t *testing.T) {
	b := newBroker(t)
	b.hearing()
	b.start(nil)
	record := b.dir + "/socket.state"
	var peers []*peer
	for i := range 30 {
		p := b.peer()
		p.tunnel = p.prepare(fmt.Sprint("node", i))
		peers = append(peers, p)
	}
	for i := range peers {
		b.hears(fmt.Sprint("node", i), "session.up")
	}
	begun := b.peer() // has a cookie
	if info, err := os.Stat(record); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the record: %v, %v", info, err)
	}
	if text, status := b.call("kick", "node7"); status != 0 {
		t.Fatal(text)
	}
	// Only then is it over: a broker that ends before may have asked nobody, and written nothing down.
	b.hears("node7", "session.up", "session.pre-down", "session.down")
	b.unrecorded(record, 107)
	check := func(what string) {
		t.Helper()
		for i, p := range peers {
			if i == 7 {
				continue
			}
			p.probe()
			if again := p.prepare(fmt.Sprint("node", i)); !bytes.Equal(again, p.tunnel) {
				t.Errorf("%s: node%d: TUNNEL % x, before % x", what, i, again, p.tunnel)
			}
		}
	}
	b.kill()
	b.start(nil)
	b.await("ended without a word tunnels_kept=0 tunnels_made_again=29 tunnels_lost=0\n")
	check("after a crash")
	for i := range peers {
		if i != 7 {
			b.hears(fmt.Sprint("node", i), "session.up", "session.down", "session.up")
		}
	}
	b.hears("node7", "session.up", "session.pre-down", "session.down") // and nothing more
	begun.tunnel = begun.prepare("begun")                              // with the cookie of the process before
	b.hears("begun", "session.up")

	// Through an upgrade, and the new program crashes.
	all, _ := programs()
	b.install(all["2.0"])
	if text, status := b.call("upgrade"); status != 0 {
		t.Fatal(text)
	}
	late := b.peer()
	late.tunnel = late.prepare("late")
	b.hears("late", "session.up")
	b.kill()
	b.start(nil)
	b.await("tunnels_made_again=31 tunnels_lost=0\n")
	check("after an upgrade and a crash")
	begun.probe()
	late.probe()
	b.hears("late", "session.up", "session.down", "session.up")
	b.hears("begun", "session.up", "session.down", "session.up")
	b.hears("node7", "session.up", "session.pre-down", "session.down") // once, however often

	// An orderly end leaves nothing.
	if err := b.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(record); !os.IsNotExist(err) {
		t.Errorf("the record after an orderly end: %v", err)
	}
	b.start(nil)
	if strings.Count(b.logged(), "ended without a word") != 2 {
		t.Error("it takes an orderly end for a crash")
	}
	fresh := b.peer()
	fresh.tunnel = fresh.prepare("fresh")
}

// What a record has that can't be of use is said in a line and thrown away; the rest is made again.
func TestCrashWithARecordThatDoesNotFit(t *testing.T) {
	for name, test := range map[string]struct {
		change func(b *broker, record *os.File)
		says   string
		stand  int // of two
	}{
		"damaged": {func(b *broker, f *os.File) { spoil(b, f, 100, "one") }, "tunnels_made_again=1 tunnels_lost=1 because=\"1 damaged\"", 1},
		"all of it damaged": {func(b *broker, f *os.File) {
			if _, err := f.WriteAt(bytes.Repeat([]byte{0xff}, 512), 0); err != nil {
				b.Fatal(err)
			}
		}, "the record of tunnels is thrown away file=", 0},
		"of another boot": {func(b *broker, f *os.File) {
			restate(b, f, func(dst []byte) []byte { return tlv.AppendString(dst, 1, "another") })
		},
			"error=\"it is of another boot\"", 0},
		"old": {func(b *broker, f *os.File) {
			restate(b, f, func(dst []byte) []byte { return tlv.AppendTime(dst, 5, 1) })
		},
			"tunnels_made_again=0 tunnels_lost=2 because=\"2 older than tunnel_timeout\"", 0},
		"another port": {func(b *broker, _ *os.File) {
			b.port = int(loopback.Port(b.T))
			b.configure("")
		}, "tunnels_made_again=0 tunnels_lost=2 because=\"2 not as the section is configured now\"", 0},
		"another section": {func(b *broker, _ *os.File) { b.edit("broker 'wan'", "broker 'lan'") },
			"tunnels_made_again=0 tunnels_lost=2 because=\"2 of a section that is gone\"", 0},
		"other IDs": {func(b *broker, _ *os.File) {
			b.edit("option pmtu '1400'", "option pmtu '1400'\n\toption tunnel_id_base '101'")
		},
			"tunnels_made_again=1 tunnels_lost=1 because=\"1 not as the section is configured now\"", 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t)
			b.start(nil)
			one, two := b.peer(), b.peer()
			one.tunnel, two.tunnel = one.prepare("one"), two.prepare("two")
			record := b.dir + "/socket.state"
			b.recorded(record, 2)
			b.kill()
			f, err := os.OpenFile(record, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			test.change(b, f)
			f.Close()
			b.start(nil)
			b.await(test.says)
			if test.stand > 0 {
				two.probe()
			}
			if text, _ := b.call("status"); strings.Count(text, " l2tp10") != test.stand {
				t.Errorf("status: %s", text)
			}
		})
	}
}

// recorded waits until the record has so many tunnels from 100 on.
func (b *broker) recorded(path string, n int) {
	b.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if info, err := os.Stat(path); err == nil && info.Size() > int64(99+n)*512 {
			return
		}
		if time.Now().After(end) {
			b.Fatalf("the record does not get %d tunnels", n)
		}
	}
}

// unrecorded waits until the record has nothing of a tunnel.
func (b *broker) unrecorded(path string, id int64) {
	b.Helper()
	slot := make([]byte, 512)
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		n, err := f.ReadAt(slot, id*512)
		f.Close()
		if n >= 2 && binary.BigEndian.Uint16(slot) == 0 {
			return
		}
		if time.Now().After(end) {
			b.Fatalf("tunnel %d stays in the record: %v", id, err)
		}
	}
}

// spoil changes a byte in a tunnel's record.
func spoil(b *broker, f *os.File, id int64, text string) {
	b.Helper()
	slot := make([]byte, 512)
	if n, _ := f.ReadAt(slot, id*512); !bytes.Contains(slot[:n], []byte(text)) {
		b.Fatalf("tunnel %d is not in the record", id)
	}
	if _, err := f.WriteAt([]byte{'x'}, id*512+int64(bytes.Index(slot, []byte(text)))); err != nil {
		b.Fatal(err)
	}
}

// restate adds a field to the record of the process, which overrides the one that is there.
func restate(b *broker, f *os.File, field func([]byte) []byte) {
	b.Helper()
	slot := make([]byte, 512)
	if _, err := f.ReadAt(slot, 0); err != nil {
		b.Fatal(err)
	}
	record := field(slot[6 : 6+binary.BigEndian.Uint16(slot)])
	sum := fnv.New32a()
	sum.Write(record)
	slot = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, uint16(len(record))), sum.Sum32())
	if _, err := f.WriteAt(append(slot, record...), 0); err != nil {
		b.Fatal(err)
	}
}

// edit changes a text of the configuration.
func (b *broker) edit(old, new string) {
	b.Helper()
	path := filepath.Join(b.dir, "etc", "tunneldigger-broker")
	text, err := os.ReadFile(path)
	if err == nil && !strings.Contains(string(text), old) {
		b.Fatalf("no %q in %s", old, text)
	}
	if err == nil {
		err = os.WriteFile(path, []byte(strings.Replace(string(text), old, new, 1)), 0o644)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// Who dies again and again waits before it starts, and a signal ends that.
func TestStartsLater(t *testing.T) {
	b := newBroker(t)
	for range 2 {
		b.start(nil)
		b.kill()
	}
	b.start(nil) // waits for a second
	b.await("starting later, as those before ended within a minute wait=1s")
	p := b.peer()
	p.tunnel = p.prepare("one")
	b.recorded(b.dir+"/socket.state", 1)
	b.kill()
	b.launch(nil)
	b.await("wait=2s")
	if err := b.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Wait(); err != nil {
		t.Error(err)
	}
	b.start(nil)
	b.await("wait=4s")
	p.ask(wire.AppendPMTUD(nil, 1300), wire.TypePMTUNtfy)
}
