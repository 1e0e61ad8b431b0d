package daemon

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/config"
	"tunneldigger/src/logline"
	"tunneldigger/src/test/loopback"
	"tunneldigger/src/wire"
)

// lines is a log that tests can wait on.
type lines struct {
	mutex sync.Mutex
	all   []string
	grown chan struct{}
}

func (l *lines) Write(b []byte) (int, error) {
	l.mutex.Lock()
	l.all = append(l.all, string(b))
	l.mutex.Unlock()
	select {
	case l.grown <- struct{}{}:
	default:
	}
	return len(b), nil
}

// await waits for a line with this text.
func (l *lines) await(t *testing.T, text string) {
	t.Helper()
	l.awaitMany(t, text, 1)
}

// awaitMany waits for so many of them.
func (l *lines) awaitMany(t *testing.T, text string, many int) {
	t.Helper()
	late := time.After(2 * time.Minute)
	for {
		l.mutex.Lock()
		found := 0
		for _, line := range l.all {
			if strings.Contains(line, text) {
				found++
			}
		}
		l.mutex.Unlock()
		if found >= many {
			return
		}
		select {
		case <-l.grown:
		case <-late:
			t.Fatalf("%d lines with %q, want %d, in\n%s", found, text, many, l.text())
		}
	}
}

func (l *lines) text() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return strings.Join(l.all, "")
}

// running is a daemon without datapath on a port of loopback.
type running struct {
	*testing.T
	log     *lines
	signals chan os.Signal
	ended   chan error
	at      *net.UDPAddr
	socket  string // for commands

	mutex  sync.Mutex
	config *config.Config // what it reads at a reload
	fault  error
}

// host is where daemons listen, and only they.
var host = loopback.Host()

func freePort(t testing.TB) uint16 {
	t.Helper()
	return loopback.Port(t)
}

// serve starts a daemon; its socket is at the given path, or one of its own.
func serve(t *testing.T, change func(*config.Config), socket ...string) *running {
	t.Helper()
	port := freePort(t)
	c := &config.Config{
		Brokers: []config.Broker{{
			Name: "wan", Addresses: []netip.Addr{host}, Ports: []uint16{port},
			MaxTunnels: 16, TunnelIDBase: 100, TunnelTimeout: time.Minute,
		}},
		Hooks: config.Hooks{Timeout: 10 * time.Second},
		Log:   config.Log{Level: config.Debug, Addresses: true},
	}
	if change != nil {
		change(c)
	}
	r := &running{
		T: t, log: &lines{grown: make(chan struct{}, 1)}, signals: make(chan os.Signal, 2), ended: make(chan error, 1),
		at:     &net.UDPAddr{IP: host.AsSlice(), Port: int(port)},
		socket: filepath.Join(t.TempDir(), "socket"),
	}
	r.config = c
	if len(socket) > 0 {
		r.socket = socket[0]
	}
	go func() {
		r.ended <- Run(Options{Config: c, Read: r.read, Log: logline.New(r.log, logline.Debug, false), NoDatapath: true, Signals: r.signals, Socket: r.socket, Version: "1.2.3"})
	}()
	t.Cleanup(func() { r.stop() })
	return r
}

// stop ends the daemon and waits until it has.
func (r *running) stop() {
	r.Helper()
	select {
	case r.signals <- unix.SIGTERM:
	default:
	}
	select {
	case err := <-r.ended:
		r.ended <- err
		if err != nil {
			r.Errorf("the daemon ended with %v", err)
		}
	case <-time.After(2 * time.Minute):
		r.Fatal("the daemon does not stop")
	}
}

// talk is a client's socket.
type talk struct {
	*net.UDPConn
	t *testing.T
}

func (r *running) dial() *talk {
	r.Helper()
	c, err := net.DialUDP("udp", nil, r.at)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { c.Close() })
	return &talk{c, r.T}
}

// ask sends and waits for an answer of the wanted type.
func (k *talk) ask(request []byte, want wire.Type) wire.Message {
	k.t.Helper()
	if request != nil {
		if _, err := k.Write(request); err != nil {
			k.t.Fatal(err)
		}
	}
	buffer := make([]byte, 2048)
	_ = k.SetReadDeadline(time.Now().Add(2 * time.Minute))
	for {
		n, err := k.Read(buffer)
		if err != nil {
			k.t.Fatalf("waiting for %v: %v", want, err)
		}
		if m, err := wire.Parse(buffer[:n]); err == nil && m.Type == want {
			return m
		}
	}
}

func (k *talk) prepare(uuid string) []byte {
	k.t.Helper()
	m := k.ask(wire.AppendCookieRequest(nil), wire.TypeCookie)
	return wire.AppendPrepare(nil, m.Payload, []byte(uuid), 7, wire.UniqueSessionID)
}

func (k *talk) connect(uuid string) uint32 {
	k.t.Helper()
	id, f, err := wire.ParseTunnel(k.ask(k.prepare(uuid), wire.TypeTunnel).Payload)
	if err != nil || f != wire.UniqueSessionID {
		k.t.Fatalf("TUNNEL: %d %v %v", id, f, err)
	}
	return id
}

func TestServe(t *testing.T) {
	r := serve(t, nil)
	r.log.await(t, "listening")
	one, two := r.dial(), r.dial()
	if a, b := one.connect("one"), two.connect("two"); a != 100 || b != 101 {
		t.Errorf("IDs %d and %d", a, b)
	}
	// Handshake messages and tunnel messages arrive on the tunnel's socket now.
	one.ask(one.prepare("one"), wire.TypeTunnel)
	one.ask(wire.AppendUsageRequest(nil, 0), wire.TypeUsage)
	if m := one.ask(wire.AppendPMTUD(nil, 1300), wire.TypePMTUDAck); m.Payload[0] != 1300>>8 || m.Payload[1] != 1300&0xff {
		t.Errorf("PMTUD_ACK %v", m.Payload)
	}
	one.ask(wire.AppendLimit(nil, 1, 1000), wire.TypeRelAck)
	if _, err := two.Write(wire.AppendErrorReason(nil, wire.ReasonClientShutdown)); err != nil {
		t.Fatal(err)
	}
	r.log.await(t, "the client closed it")
	r.signals <- unix.SIGHUP
	r.log.await(t, "reloaded, nothing has changed")
	r.signals <- unix.SIGTERM
	if reason, ok := wire.ParseError(one.ask(nil, wire.TypeError).Payload); !ok || reason != wire.ReasonBrokerShutdown {
		t.Errorf("ERROR %v %v", reason, ok)
	}
	r.stop()
}

func TestAnotherIdentityOnTheSamePort(t *testing.T) {
	r := serve(t, nil)
	r.log.await(t, "listening")
	k := r.dial()
	first := k.connect("one")
	if second := k.connect("two"); second == first {
		t.Errorf("tunnel %d twice", first)
	}
	r.log.await(t, "another identity")
}

func TestHooks(t *testing.T) {
	dir := t.TempDir()
	said := filepath.Join(dir, "said")
	script := "#!/bin/sh\necho \"$ACTION $TUNNEL_ID $SESSION_ID $INTERFACE $MTU $UUID $BROKER $# $1 $9\" >>" + said + "\necho heard of $UUID\n"
	path := filepath.Join(dir, "hooks", "10-say")
	if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(script), 0o755)); err != nil {
		t.Fatal(err)
	}
	r := serve(t, func(c *config.Config) { c.Hooks.Directory = filepath.Dir(path) })
	r.log.await(t, "listening")
	port := r.at.Port
	k := r.dial()
	k.connect("abc")
	r.log.await(t, "line=\"heard of abc\"")
	r.stop()
	text, err := os.ReadFile(said)
	tail := " 100 100 l2tp100-100 1446 abc wan 9 100 " + strconv.Itoa(port) + "\n"
	if want := "session.up" + tail + "session.pre-down" + tail + "session.down" + tail; err != nil || string(text) != want {
		t.Errorf("got %q %v, want %q", text, err, want)
	}
}

func TestVerifyHookRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "verify")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n[ \"$4\" = good ]\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := serve(t, func(c *config.Config) { c.Hooks.Program[config.EventVerify] = path })
	r.log.await(t, "listening")
	r.dial().connect("good")
	bad := r.dial()
	bad.ask(bad.prepare("bad"), wire.TypeError)
	r.log.await(t, "the session.verify hook refused")
}

func TestFaultsAtStart(t *testing.T) {
	taken, err := net.ListenUDP("udp4", &net.UDPAddr{IP: host.AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		name   string
		config config.Config
		want   string
	}{
		{"nothing enabled", config.Config{}, "no broker section is enabled"},
		{"port in use", config.Config{Brokers: []config.Broker{{
			Name: "wan", Addresses: []netip.Addr{host}, MaxTunnels: 1, TunnelIDBase: 1,
			Ports: []uint16{uint16(taken.LocalAddr().(*net.UDPAddr).Port)},
		}}}, "there is nowhere to listen: UDP " + host.String() + ":"},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := &lines{grown: make(chan struct{}, 1)}
			err := Run(Options{Config: &c.config, Log: logline.New(log, logline.Debug, false), NoDatapath: true})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestWaitsForItsInterface(t *testing.T) {
	r := serve(t, func(c *config.Config) { c.Brokers[0].Interface = "missing0" })
	r.log.await(t, "waiting to listen")
	r.log.await(t, "missing0")
}
