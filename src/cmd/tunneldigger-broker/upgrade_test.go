//go:build !mips

// QEMU, under which the tests for mips run, lets a program of theirs start none of their kind.

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/test/loopback"
	"tunneldigger/src/wire"
)

// programs builds the broker as two versions, once.
var programs = sync.OnceValues(func() (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "upgrade")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	all := map[string][]byte{}
	for _, v := range []string{"1.0", "2.0"} {
		path := filepath.Join(dir, v)
		if text, err := exec.Command("go", "build", "-ldflags=-s -w -X main.version="+v, "-o", path, ".").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, text)
		}
		if all[v], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	return all, nil
})

// broker is a running one, without interfaces.
type broker struct {
	*testing.T
	dir  string
	port int
	cmd  *exec.Cmd
	log  *os.File

	options []string // of the program, beside those that it always has
}

// install puts a program where the running one was started from.
func (b *broker) install(content []byte) {
	b.Helper()
	path := b.program()
	if content == nil {
		_ = os.Remove(path)
		return
	}
	if err := os.WriteFile(path+".new", content, 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		b.Fatal(err)
	}
}

func (b *broker) program() string { return filepath.Join(b.dir, "tunneldigger-broker") }

func (b *broker) configure(more string) {
	b.Helper()
	text := fmt.Sprintf("config broker 'wan'\n\tlist address '%v'\n\tlist port '%d'\n\toption pmtu '1400'\n\toption connection_rate_limit '0'\n"+
		"config hooks\n\toption session_up '%s/up'\n%s", host, b.port, b.dir, more)
	if err := os.WriteFile(filepath.Join(b.dir, "etc", "tunneldigger-broker"), []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
}

// host is the broker's address, where no client gets a port.
var host = net.IP(loopback.Host().AsSlice())

func newBroker(t *testing.T) *broker {
	t.Helper()
	all, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{T: t, dir: t.TempDir()}
	b.port = int(loopback.Port(t))
	if err := os.Mkdir(filepath.Join(b.dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	// It says that it ran, and waits for its release if it is the slow client's.
	hook := "#!/bin/sh\n[ \"$UUID\" = slow ] && { echo waiting; read x < " + b.dir + "/release; }\necho \"$UUID\" >> " + b.dir + "/ran\necho done\n"
	if err := os.WriteFile(filepath.Join(b.dir, "up"), []byte(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(b.dir, "release"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.install(all["1.0"])
	b.configure("")
	if b.log, err = os.Create(filepath.Join(b.dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if b.cmd != nil {
			// In order, so that no hook writes into the folder that is about to go.
			_ = b.cmd.Process.Signal(unix.SIGTERM)
			late := time.AfterFunc(2*time.Minute, func() { _ = b.cmd.Process.Kill() })
			_ = b.cmd.Wait()
			late.Stop()
		}
		if t.Failed() {
			t.Log(b.logged())
		}
	})
	return b
}

func startBroker(t *testing.T, options ...string) *broker {
	t.Helper()
	b := newBroker(t)
	b.options = options
	b.start(nil)
	return b
}

// start starts the program, with descriptors from 3 on that systemd had in its
// store, which are closed here, and more in its environment.
func (b *broker) start(stored []stored, env ...string) {
	b.Helper()
	before := strings.Count(b.logged(), "listening")
	b.launch(stored, env...)
	for end := time.Now().Add(2 * time.Minute); strings.Count(b.logged(), "listening") == before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatal("it does not listen")
		}
	}
}

// launch is start, without waiting for it to listen.
func (b *broker) launch(stored []stored, env ...string) {
	b.Helper()
	b.cmd = exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh",
		b.program(), "-c", filepath.Join(b.dir, "etc"), "--socket", b.dir + "/socket", "-datapath", "none"}, b.options...)...)
	b.cmd.Stderr = b.log
	var names []string
	for _, s := range stored {
		b.cmd.ExtraFiles = append(b.cmd.ExtraFiles, s.file)
		names = append(names, s.name)
	}
	b.cmd.Env = append(os.Environ(), env...)
	if len(stored) > 0 {
		b.cmd.Env = append(b.cmd.Env, fmt.Sprint("LISTEN_FDS=", len(stored)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	}
	if err := b.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for _, s := range stored {
		s.file.Close()
	}
}

func (b *broker) logged() string {
	text, _ := os.ReadFile(b.log.Name())
	return string(text)
}

// await waits until the log has a text.
func (b *broker) await(text string) {
	b.Helper()
	for end := time.Now().Add(2 * time.Minute); !strings.Contains(b.logged(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("the log has no %q", text)
		}
	}
}

// call runs a command against the running broker.
func (b *broker) call(words ...string) (string, int) {
	b.Helper()
	all, _ := programs()
	tool := filepath.Join(b.dir, "tool")
	if _, err := os.Stat(tool); err != nil {
		if err := os.WriteFile(tool, all["1.0"], 0o755); err != nil {
			b.Fatal(err)
		}
	}
	cmd := exec.Command(tool, append(words, "--socket", b.dir+"/socket")...)
	text, _ := cmd.CombinedOutput()
	return string(text), cmd.ProcessState.ExitCode()
}

// peer is one client.
type peer struct {
	*broker
	conn   *net.UDPConn
	cookie []byte
	tunnel []byte // the answer to its PREPARE
}

func (b *broker) peer() *peer {
	b.Helper()
	conn, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: host, Port: b.port})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	p := &peer{broker: b, conn: conn}
	p.cookie = append([]byte(nil), p.ask(wire.AppendCookieRequest(nil), wire.TypeCookie)...)
	return p
}

// ask sends a message until the answer comes, and gives its payload.
func (p *peer) ask(message []byte, want wire.Type) []byte {
	p.Helper()
	buffer := make([]byte, 2048)
	for try := 0; try < 10; try++ {
		if _, err := p.conn.Write(message); err != nil {
			p.Fatal(err)
		}
		_ = p.conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		for {
			n, err := p.conn.Read(buffer)
			if err != nil {
				break
			}
			if m, err := wire.Parse(buffer[:n]); err == nil && m.Type == want {
				return m.Payload
			}
		}
	}
	p.Fatalf("no %v", want)
	return nil
}

func (p *peer) prepare(uuid string) []byte {
	p.Helper()
	return append([]byte(nil), p.ask(wire.AppendPrepare(nil, p.cookie, []byte(uuid), 7, wire.UniqueSessionID), wire.TypeTunnel)...)
}

// probe shows that the tunnel's socket works.
func (p *peer) probe() { p.Helper(); p.ask(wire.AppendPMTUD(nil, 1300), wire.TypePMTUNtfy) }

func TestUpgrade(t *testing.T) {
	b := startBroker(t)
	all, _ := programs()
	var peers []*peer
	for i := range 40 {
		p := b.peer()
		p.tunnel = p.prepare(fmt.Sprint("node", i))
		peers = append(peers, p)
	}
	begun := b.peer() // has its cookie, and sends PREPARE to the next program
	slow := b.peer()
	slow.tunnel = slow.prepare("slow")
	b.await("line=waiting")
	b.await("hook output broker=wan event=session.up tunnel=139")
	if text, status := b.call("drain"); status != 0 {
		t.Fatal(text)
	}
	pid := b.cmd.Process.Pid

	b.install(all["2.0"])
	text, status := b.call("upgrade")
	if status != 0 || text != "Upgraded from 1.0 to 2.0, 41 tunnels stand.\n" {
		t.Fatalf("status %d: %s", status, text)
	}
	if text, _ := b.call("status"); !strings.Contains(text, "2.0") || !strings.Contains(text, "node17") || !strings.Contains(text, "draining") {
		t.Errorf("status after the upgrade: %s", text)
	}
	if text, status := b.call("drain", "off"); status != 0 || !strings.Contains(text, "again") {
		t.Errorf("drain off: %s", text)
	}
	for i, p := range append(peers, slow) {
		p.probe()
		uuid := fmt.Sprint("node", i)
		if p == slow {
			uuid = "slow"
		}
		if again := p.prepare(uuid); !bytes.Equal(again, p.tunnel) {
			t.Errorf("%s: TUNNEL % x, before % x", uuid, again, p.tunnel)
		}
	}
	begun.tunnel = begun.prepare("begun")
	begun.probe()
	// The hook that runs across the upgrade ends in its time, and was not run again.
	if err := os.WriteFile(b.dir+"/release", []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	b.await("hook output broker=wan event=session.up tunnel=140 hook=" + b.dir + "/up line=done")
	b.await("hook output broker=wan event=session.up tunnel=141 hook=" + b.dir + "/up line=done")
	ran, _ := os.ReadFile(b.dir + "/ran")
	if n := len(strings.Fields(string(ran))); n != 42 {
		t.Errorf("session.up ran %d times for 42 tunnels", n)
	}

	// Back to the older one, by signal, and one after another.
	b.install(all["1.0"])
	if err := unix.Kill(pid, unix.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	b.await("upgraded from=2.0 to=1.0 tunnels=42")
	for _, p := range append(peers, slow, begun) {
		p.probe()
	}
	if err := unix.Kill(pid, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Wait(); err != nil || b.cmd.ProcessState.Pid() != pid {
		t.Errorf("the end: %v", err)
	}
	if !strings.HasSuffix(strings.TrimSpace(b.logged()), "stopped") {
		t.Error("it did not stop in order")
	}
}

func TestUpgradeFails(t *testing.T) {
	b := startBroker(t)
	all, _ := programs()
	p := b.peer()
	p.tunnel = p.prepare("node")
	foreign := append([]byte(nil), all["2.0"]...)
	foreign[18], foreign[19] = 0xf3, 0 // e_machine of elf(5): RISC-V
	for i, c := range []struct {
		name    string
		program []byte
		want    string
	}{
		{"missing", nil, "no such file"},
		{"wrong architecture", foreign, "exec format error"},
		{"crash", []byte("#!/bin/sh\necho about to crash >&2\nkill -SEGV $$\n"), "segmentation fault\nabout to crash"},
		{"refusal", []byte("#!/bin/sh\necho the state is of version 9\nexit 1\n"), "exit status 1: the state is of version 9"},
		{"another program", []byte("#!/bin/sh\necho hello\n"), "does not know how"},
		{"damaged", all["2.0"][:100000], ""},
		{"gone after its proof", []byte("#!/bin/sh\nrm $0\necho understood by 3.0\n"), "exec: no such file"},
	} {
		b.install(c.program)
		text, status := b.call("upgrade")
		if status != 1 || !strings.Contains(text, "not upgraded, 1.0 goes on: ") || !strings.Contains(text, c.want) {
			t.Errorf("%s: status %d: %s", c.name, status, text)
		}
		if !strings.Contains(b.logged(), "not upgraded, this program goes on") {
			t.Errorf("%s: not in the log", c.name)
		}
		p.probe()
		other := b.peer() // hooks go on, too
		other.prepare(fmt.Sprint("after", i))
		b.await(fmt.Sprintf("event=session.up tunnel=%d", 101+i))
	}
	b.install(all["2.0"])
	b.configure("\toption timeout '0'\nconfig broker 'lan'\n\tlist port '70000'\n")
	text, status := b.call("upgrade")
	if status != 1 || !strings.Contains(text, "timeout '0'") || !strings.Contains(text, "70000") {
		t.Errorf("a configuration that nothing starts with: status %d: %s", status, text)
	}
	p.probe()
	// What a start bears does not keep the new program away; but it goes on with what the old one had.
	b.configure("\toption timeout '20'\nconfig broker 'lan'\n\tlist port '70000'\n")
	if text, status := b.call("upgrade"); status != 0 {
		t.Fatalf("status %d: %s", status, text)
	}
	b.await("the configuration is not taken error=\"" + b.dir + "/etc/tunneldigger-broker:10: broker 'lan': port '70000': want 1–65535\"")
	p.probe()
	// And then all is well, a changed configuration included.
	b.configure("config broker 'lan'\n\tlist port '" + fmt.Sprint(loopback.Port(t)) + "'\n\tlist address '" + host.String() + "'\n\toption tunnel_id_base '5000'\n")
	if text, status := b.call("upgrade"); status != 0 {
		t.Fatalf("status %d: %s", status, text)
	}
	p.probe()
	if again := p.prepare("node"); !bytes.Equal(again, p.tunnel) {
		t.Errorf("TUNNEL % x, before % x", again, p.tunnel)
	}
	b.await("listening broker=lan")
	if children, _ := exec.Command("ps", "--ppid", fmt.Sprint(b.cmd.Process.Pid), "-o", "stat=").Output(); len(bytes.TrimSpace(children)) > 0 {
		t.Errorf("children are left: %s", children)
	}
}
