//go:build !mips

// QEMU, under which the tests for mips run, lets a program of theirs start none of their kind.

package daemon

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/config"
	"tunneldigger/src/listen"
	"tunneldigger/src/logline"
)

// alone runs a test once more, as a process in a network of its own, and tells
// whether this is that process.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv("ALONE") == t.Name() {
		tool(t, "ip", "link", "set", "lo", "up")
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), "ALONE="+t.Name())
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = idMap(os.Getuid())
		cmd.SysProcAttr.GidMappings = idMap(os.Getgid())
	}
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	return false
}

func tool(t *testing.T, words ...string) {
	t.Helper()
	if text, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", words, err, text)
	}
}

func idMap(id int) []syscall.SysProcIDMap {
	return []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
}

// take has a port as another program would, until the test gives it back.
func take(t *testing.T, at string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// answers checks that the broker answers at an address of this machine.
func (r *running) answers(at string) {
	r.Helper()
	r.at = net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at))
	r.dial().usage()
}

// The three default ports, one of which is taken at start, freed, and another one
// taken at a reload: the others serve all the while.
func TestPortTaken(t *testing.T) {
	if !alone(t) {
		return
	}
	// ntpd has the port for both families, dnsmasq only for one.
	ntp := take(t, "[::]:123")
	r := serve(t, func(c *config.Config) {
		c.Brokers[0].Addresses, c.Brokers[0].Ports = nil, []uint16{53, 123, 8942}
		c.Brokers[0].TunnelIDBase = 1
	})
	r.log.await(t, "listening broker=wan addresses=4 missing=2")
	who := fmt.Sprintf("daemon.test (process %d): end that one, or set another port", os.Getpid())
	for _, at := range []string{"0.0.0.0:123", "[::]:123"} {
		if n := r.log.count("waiting to listen broker=wan error=\"UDP " + at + " is in use by " + who); n != 1 {
			t.Errorf("%s was named %d times in\n%s", at, n, r.log.text())
		}
	}
	r.answers("127.0.0.1:53")
	r.answers("[::1]:8942")
	r.says("not listening on 0.0.0.0:123: UDP 0.0.0.0:123 is in use by "+who, "status")
	r.says(`tunneldigger_listening{broker="wan",address="::",port="123"} 0`, "status", "prometheus")
	r.says(`tunneldigger_listening{broker="wan",address="0.0.0.0",port="53"} 1`, "status", "prometheus")
	r.says(`{"address":"0.0.0.0","port":123,"listening":false,"why":"UDP 0.0.0.0:123 is in use by `, "status", "json")
	r.says(`{"address":"0.0.0.0","port":8942,"listening":true,"why":null}`, "status", "json")

	ntp.Close()
	r.log.await(t, "listening broker=wan addresses=6\n")
	r.answers("127.0.0.1:123")
	r.answers("[::1]:123")
	if body, err := r.call("status"); err != nil || strings.Contains(body, "not listening") {
		t.Errorf("%v\n%s", err, body)
	}

	dns := take(t, "127.0.0.1:54")
	k := r.dial()
	k.connect("k")
	r.reload(func(c *config.Config) { c.Brokers[0].Ports = []uint16{8942, 54, 1123} },
		"broker 'wan' waits to listen: UDP 0.0.0.0:54 is in use by "+who)
	r.answers("127.0.0.1:8942")
	r.answers("127.0.0.1:1123")
	r.answers("[::1]:54") // a free one of a port that is taken
	k.stands()
	r.log.await(t, "listening broker=wan addresses=5 missing=1")
	before := len(r.log.text())
	dns.Close()
	r.log.awaitBehind(t, before, "listening broker=wan addresses=6\n")
	r.answers("127.0.0.1:54")
	if n := r.log.count("waiting to listen"); n != 3 {
		t.Errorf("%d lines about what is waited for in\n%s", n, r.log.text())
	}
}

// Of two addresses one is not there yet, comes, goes, and comes back.
func TestAddressComesAndGoes(t *testing.T) {
	if !alone(t) {
		return
	}
	tool(t, "ip", "address", "add", "192.0.2.1/32", "dev", "lo")
	listen.AddressGap = listen.RetryGap
	r := serve(t, func(c *config.Config) {
		c.Brokers[0].Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8::1")}
		c.Brokers[0].Ports = []uint16{8942}
	})
	r.log.await(t, "listening broker=wan addresses=1 missing=2\n")
	gone := "waiting to listen broker=wan error=\"UDP 198.51.100.1:8942: this machine does not have the address now\""
	r.log.await(t, gone)
	r.answers("192.0.2.1:8942")
	tool(t, "ip", "address", "add", "198.51.100.1/32", "dev", "lo")
	r.log.await(t, "listening broker=wan addresses=2 missing=1\n")
	r.answers("198.51.100.1:8942")
	tool(t, "ip", "address", "add", "2001:db8::1/128", "dev", "lo", "nodad")
	r.log.await(t, "listening broker=wan addresses=3\n")
	r.answers("[2001:db8::1]:8942")

	k := r.dial()
	k.connect("k")
	before := len(r.log.text())
	tool(t, "ip", "address", "del", "198.51.100.1/32", "dev", "lo")
	r.log.awaitBehind(t, before, gone)
	r.says(`tunneldigger_listening{broker="wan",address="198.51.100.1",port="8942"} 0`, "status", "prometheus")
	r.answers("192.0.2.1:8942")
	before = len(r.log.text())
	tool(t, "ip", "address", "add", "198.51.100.1/32", "dev", "lo")
	r.log.awaitBehind(t, before, "listening broker=wan addresses=3\n")
	r.answers("198.51.100.1:8942")
	k.stands()
	if n := r.log.count(gone); n != 2 {
		t.Errorf("it was said %d times that the address is not there:\n%s", n, r.log.text())
	}
}

// awaitBehind waits for a text in what is written from a place on.
func (l *lines) awaitBehind(t *testing.T, place int, text string) {
	t.Helper()
	late := time.After(2 * time.Minute)
	for !strings.Contains(l.text()[place:], text) {
		select {
		case <-l.grown:
		case <-late:
			t.Fatalf("no line with %q in\n%s", text, l.text()[place:])
		}
	}
}

// Where every port is taken nobody can be served: the start fails, with one line that
// names them all.
func TestAllPortsTaken(t *testing.T) {
	if !alone(t) {
		return
	}
	take(t, "0.0.0.0:53")
	take(t, "[::]:8942")
	one := config.Broker{Name: "one", Ports: []uint16{53}, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, MaxTunnels: 1, TunnelIDBase: 1}
	two := config.Broker{Name: "two", Ports: []uint16{8942}, MaxTunnels: 1, TunnelIDBase: 2, TunnelTimeout: time.Minute}
	start := func(b ...config.Broker) (*Daemon, string, error) {
		log := &lines{grown: make(chan struct{}, 1)}
		d, err := start(Options{Config: &config.Config{Brokers: b}, Log: logline.New(log, logline.Debug, false), NoDatapath: true})
		if err == nil {
			t.Cleanup(d.close)
		}
		return d, log.text(), err
	}
	_, said, err := start(one, two)
	if err == nil || strings.Contains(err.Error(), "\n") || said != "" {
		t.Fatalf("got %v, said %q", err, said)
	}
	for _, at := range []string{"127.0.0.1:53", "0.0.0.0:8942", "[::]:8942"} {
		if !strings.Contains(err.Error(), "UDP "+at+" is in use by daemon.test (process ") {
			t.Errorf("%s is not named in %v", at, err)
		}
	}
	many := two
	for port := range uint16(20) {
		take(t, fmt.Sprintf("[::]:%d", 9000+port))
		many.Ports = append(many.Ports, 9000+port)
	}
	if _, _, err := start(many); err == nil || !strings.HasSuffix(err.Error(), "; and 34 more") {
		t.Errorf("got %v", err)
	}

	// What may still come is waited for, also where all the rest is taken.
	two.Ports = []uint16{8942}
	for _, b := range []config.Broker{
		{Name: "address", Ports: []uint16{53}, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.9")}},
		{Name: "device", Ports: []uint16{53}, Interface: "none0"},
		{Name: "name", Ports: []uint16{53}, Interface: config.NoDevice + "mesh"},
	} {
		b.MaxTunnels, b.TunnelIDBase, b.TunnelTimeout = 1, 3, time.Minute
		d, said, err := start(b, two)
		if err != nil || d.sections[0].listen.Len()+d.sections[1].listen.Len() != 0 || !strings.Contains(said, "waiting to listen broker="+b.Name) {
			t.Errorf("%s: %v\n%s", b.Name, err, said)
		}
	}
}

// check names what could not be listened on now, and not what the broker itself has.
func TestCheckPorts(t *testing.T) {
	if at := os.Getenv("TAKE"); at != "" {
		take(t, at)
		fmt.Println("taken")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	if !alone(t) {
		return
	}
	c := &config.Config{Brokers: []config.Broker{{Name: "wan", Ports: []uint16{53, 123}}, {Name: "lan", Interface: "none0", Ports: []uint16{53}},
		{Name: "one", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Ports: []uint16{54}}}}
	const lacks = "broker 'one': UDP 192.0.2.1:54: this machine does not have the address now"
	want := func(lines ...string) {
		t.Helper()
		if got := listen.Check(c); !slices.Equal(got, lines) {
			t.Errorf("got %q, want %q", got, lines)
		}
	}
	want(lacks)
	own := take(t, "0.0.0.0:53") // a broker that runs is called like this program
	want(lacks)
	own.Close()
	// The program of the test under another name.
	ntpd := filepath.Join(t.TempDir(), "ntpd")
	if err := os.Symlink(os.Args[0], ntpd); err != nil {
		t.Fatal(err)
	}
	other := exec.Command(ntpd, "-test.run=^"+t.Name()+"$")
	other.Env = append(os.Environ(), "TAKE=127.0.0.1:123")
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err == nil {
		err = other.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	want(fmt.Sprintf("broker 'wan': UDP 0.0.0.0:123 is in use by ntpd (process %d): end that one, or set another port", other.Process.Pid), lacks)
	in.Close()
	if err := other.Wait(); err != nil {
		t.Error(err)
	}
	want(lacks)
}
