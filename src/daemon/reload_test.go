package daemon

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

func (r *running) read() (*config.Config, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.config, r.fault
}

// edit changes what the next reload reads.
func (r *running) edit(change func(*config.Config)) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	c := *r.config
	c.Brokers = slices.Clone(c.Brokers)
	change(&c)
	r.config = &c
}

// refuse makes the next reload fail with these faults, or with none succeed.
func (r *running) refuse(fault error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.fault = fault
}

// reload changes the configuration of the running daemon; its answer must have
// these texts.
func (r *running) reload(change func(*config.Config), want ...string) {
	r.Helper()
	r.edit(change)
	body, err := r.call("reload")
	for _, text := range want {
		if err != nil || !strings.Contains(body, text) {
			r.Errorf("reload: got %q, %v, want %q", body, err, text)
		}
	}
}

// at makes clients use another port.
func (r *running) port(port uint16) *running {
	other := &running{T: r.T, log: r.log, socket: r.socket, at: &net.UDPAddr{IP: r.at.IP, Port: int(port)}}
	return other
}

// stands checks that a tunnel answers what only a tunnel does.
func (k *talk) stands() {
	k.t.Helper()
	k.ask(wire.AppendPMTUD(nil, 1300), wire.TypePMTUDAck)
}

// insist is ask for where a hook is being started: until that has begun to run,
// it holds sockets open that were closed, and they take their last datagrams along.
func (k *talk) insist(request []byte, want wire.Type) wire.Message {
	k.t.Helper()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-again.C:
				_, _ = k.Write(request)
			case <-done:
				return
			}
		}
	}()
	return k.ask(request, want)
}

// shut checks that nobody listens at the port.
func (r *running) shut() {
	r.Helper()
	k := r.dial()
	_ = k.SetDeadline(time.Now().Add(2 * time.Minute))
	if _, err := k.Write(wire.AppendUsageRequest(nil, 0)); err != nil {
		r.Fatal(err)
	}
	if _, err := k.Read(make([]byte, 100)); !errors.Is(err, unix.ECONNREFUSED) {
		r.Errorf("port %d: %v", r.at.Port, err)
	}
}

func TestReload(t *testing.T) {
	r := serve(t, nil)
	r.log.await(t, "listening")
	old, added := uint16(r.at.Port), freePort(t)
	one := r.dial()
	one.connect("one")
	r.reload(func(*config.Config) {}, "Nothing has changed.\n")
	if n := r.log.count("listening"); n != 1 {
		t.Errorf("it listened %d times", n)
	}
	r.reload(func(c *config.Config) {
		c.Brokers[0].Ports = []uint16{added, old}
		c.Brokers[0].MaxTunnels = 17
		c.Log.Level = config.Info
	}, "Reloaded.\n", "broker 'wan': max_tunnels '16' → '17'\n", "log: verbosity 'DEBUG' → 'INFO'\n", "broker 'wan': port '")
	one.stands()
	two := r.port(added).dial()
	if id := two.connect("two"); id != 101 {
		t.Errorf("tunnel %d", id)
	}
	r.dial().connect("three")
	// The old port goes; its tunnels stay, and nobody else is heard there.
	again := one.prepare("one")
	r.reload(func(c *config.Config) { c.Brokers[0].Ports = []uint16{added} }, "Reloaded")
	one.stands()
	r.shut()
	one.ask(again, wire.TypeTunnel)
	r.port(added).dial().connect("four")
	if strings.Contains(r.log.text(), "closed") {
		t.Errorf("a tunnel was closed:\n%s", r.log.text())
	}
	// And comes again.
	r.edit(func(c *config.Config) { c.Brokers[0].Ports = []uint16{added, old} })
	r.signals <- unix.SIGHUP
	r.log.await(t, "reloaded changes=1")
	for r.log.count("reloaded changes=1") < 2 {
		<-r.log.grown
	}
	r.dial().connect("five")
	one.stands()
}

func TestReloadPortsChangeHands(t *testing.T) {
	a, b, c := freePort(t), freePort(t), freePort(t)
	r := serve(t, func(conf *config.Config) {
		conf.Brokers[0].Ports = []uint16{a, b}
		second := conf.Brokers[0]
		second.Name, second.Ports, second.TunnelIDBase = "lan", []uint16{c}, 200
		conf.Brokers = append(conf.Brokers, second)
	})
	r.log.await(t, "listening broker=lan")
	k := r.port(b).dial()
	if id := k.connect("k"); id != 100 {
		t.Fatalf("tunnel %d", id)
	}
	r.reload(func(conf *config.Config) { conf.Brokers[0].Ports, conf.Brokers[1].Ports = []uint16{a}, []uint16{c, b} })
	for want, port := range map[uint32]uint16{101: a, 200: b} {
		if id := r.port(port).dial().connect("new"); id != want {
			t.Errorf("tunnel %d by port %d, want %d", id, port, want)
		}
	}
	k.stands()
	if m := k.ask(k.prepare("k"), wire.TypeTunnel); m.Payload[3] != 100 {
		t.Errorf("another tunnel: %v", m.Payload)
	}
	// Both at once, crosswise.
	r.reload(func(conf *config.Config) { conf.Brokers[0].Ports, conf.Brokers[1].Ports = []uint16{c}, []uint16{b, a} })
	for want, port := range map[uint32]uint16{102: c, 201: a} {
		if id := r.port(port).dial().connect("newer"); id != want {
			t.Errorf("tunnel %d by port %d, want %d", id, port, want)
		}
	}
	k.stands()
}

// A section goes and comes back under its name while the old one is still busy
// closing.
func TestReloadSectionGoesAndComes(t *testing.T) {
	dir := t.TempDir()
	path, open := filepath.Join(dir, "hook"), filepath.Join(dir, "open")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n[ $ACTION = session.up ] && echo up $UUID && exit\nwhile ! [ -e "+open+" ]; do sleep 0.02; done\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	other := freePort(t)
	r := serve(t, func(c *config.Config) {
		c.Hooks.Program[config.EventSessionUp], c.Hooks.Program[config.EventSessionPreDown] = path, path
		second := c.Brokers[0]
		second.Name, second.Ports, second.TunnelIDBase = "stays", []uint16{other}, 200
		c.Brokers = append(c.Brokers, second)
	})
	r.log.await(t, "listening broker=stays")
	mine, others := r.dial(), r.port(other).dial()
	mine.connect("mine")
	others.connect("others")
	r.log.await(t, "up mine")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(r.log.text())
		}
	})
	var gone config.Broker
	r.reload(func(c *config.Config) { gone, c.Brokers = c.Brokers[0], c.Brokers[1:] }, "broker 'wan': removed")
	if reason, ok := wire.ParseError(mine.ask(nil, wire.TypeError).Payload); !ok || reason != wire.ReasonBrokerShutdown {
		t.Errorf("ERROR %v %v", reason, ok)
	}
	r.log.await(t, `reason="its broker section was removed"`)
	r.shut()
	others.stands()
	gone.TunnelIDBase = 99 // one of its own, then those that the old one has
	r.reload(func(c *config.Config) { c.Brokers = append(slices.Clone(c.Brokers), gone) }, "broker 'wan': new")
	for _, want := range []uint32{99, 101} {
		if id := r.dial().connect("new"); id != want {
			t.Errorf("tunnel %d, want %d", id, want)
		}
	}
	// The client whose tunnel is being closed is let in when that has gone.
	again := mine.prepare("mine")
	if err := os.WriteFile(open, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.log.await(t, "section gone broker=wan")
	if id, _, _ := wire.ParseTunnel(mine.insist(again, wire.TypeTunnel).Payload); id != 102 {
		t.Errorf("tunnel %d", id)
	}
	others.stands()
	if strings.Contains(r.log.text(), "uuid=others endpoint") && strings.Contains(r.log.text(), "tunnel closed broker=stays") {
		t.Error("the other section's tunnel was closed")
	}
}

func TestReloadRefused(t *testing.T) {
	r := serve(t, nil)
	r.log.await(t, "listening")
	k := r.dial()
	k.connect("k")
	r.refuse(config.Faults{{File: "/etc/x", Line: 3, Text: "port '70000': want 1–65535"}, {File: "/etc/x", Line: 4, Text: "unknown option"}})
	if _, err := r.call("reload"); err == nil || !strings.Contains(err.Error(), "/etc/x:3: port '70000'") || !strings.Contains(err.Error(), "/etc/x:4:") {
		t.Errorf("answer %v", err)
	}
	r.log.await(t, `the configuration is not taken error="/etc/x:3: port '70000': want 1–65535"`)
	r.log.await(t, `the configuration is not taken error="/etc/x:4: unknown option"`)
	r.refuse(nil)
	good := *r.config
	for _, c := range []struct {
		want   string
		change func(*config.Config)
	}{
		{"no broker section is enabled", func(c *config.Config) { c.Brokers = nil }},
		{"overlaps with broker 'wan', which has 100 and 16", func(c *config.Config) {
			c.Brokers[0].TunnelIDBase = 300
			c.Brokers = append(c.Brokers, config.Broker{Name: "b", Ports: []uint16{freePort(t)}, MaxTunnels: 5, TunnelIDBase: 110})
		}},
		{"ends at 65635", func(c *config.Config) { c.Brokers[0].TunnelIDBase, c.Brokers[0].MaxTunnels = 1, 65536 }},
		{"2000 addresses and ports", func(c *config.Config) {
			c.Brokers[0].Addresses, c.Brokers[0].Ports = nil, make([]uint16, 1000)
		}},
	} {
		r.edit(c.change)
		if body, err := r.call("reload"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %q, %v, want %q", body, err, c.want)
		}
		r.edit(func(c *config.Config) { *c = good })
	}
	k.stands()
	r.reload(func(*config.Config) {}, "Nothing has changed.")
	// What can't be changed is named and stays; the rest is done.
	r.reload(func(c *config.Config) { c.Brokers[0].TunnelIDBase, c.Brokers[0].MaxTunnels = 300, 20 },
		"max_tunnels '16' → '20'", "broker 'wan': tunnel_id_base stays 100 until the broker is started anew; the file has 300")
	if id := r.dial().connect("two"); id != 101 {
		t.Errorf("tunnel %d", id)
	}
}

// Hooks, log level, addresses in the log.
func TestReloadHooksAndLog(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "hook")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho ran for $UUID\n[ $UUID != bad ]\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := serve(t, nil)
	r.log.await(t, "listening")
	r.dial().connect("one")
	r.reload(func(c *config.Config) {
		c.Hooks.Program[config.EventVerify] = path
		c.Log.Addresses = false
	}, "session_verify")
	before := len(r.log.text())
	r.dial().connect("good")
	r.log.await(t, "ran for good")
	bad := r.dial()
	bad.ask(bad.prepare("bad"), wire.TypeError)
	r.log.await(t, "hook refused")
	if after := r.log.text()[before:]; strings.Contains(after, "127.0.0.1") || strings.Contains(after, "ran for one") {
		t.Errorf("the log has\n%s", after)
	}
	r.reload(func(c *config.Config) { c.Log.Level, c.Hooks = config.Error, config.Hooks{} })
	before = len(r.log.text())
	r.dial().connect("bad")
	r.reload(func(*config.Config) {})
	if after := r.log.text()[before:]; after != "" {
		t.Errorf("logged all the same:\n%s", after)
	}
}

// The interface changes: listeners move, tunnels stay where they are.
func TestReloadInterface(t *testing.T) {
	r := serve(t, nil)
	r.log.await(t, "listening")
	k := r.dial()
	k.connect("k")
	r.reload(func(c *config.Config) { c.Brokers[0].Interface = "lo" }, "interface unset → 'lo'")
	r.log.await(t, "listening broker=wan addresses=1 interface=lo")
	r.log.await(t, `configuration changed broker=wan option=interface from="" to='lo'`)
	r.dial().connect("by-lo")
	r.reload(func(c *config.Config) { c.Brokers[0].Interface = ":wan" }, "interface 'lo' → 'wan' (which has no device now)\nbroker 'wan' waits to listen: interface wan has no device now\n")
	k.stands()
	r.shut()
	r.reload(func(c *config.Config) { c.Brokers[0].Interface = "" }, "interface 'wan' (which has no device now) → unset")
	r.dial().connect("again")
	k.stands()
}

// systemd hears when a reload begins and when it has ended, also in vain.
func TestReloadTellsSystemd(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: name}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20})); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", name)
	hear := func(want string) {
		t.Helper()
		for { // other states may come between
			b := make([]byte, 200)
			n, err := unix.Read(fd, b)
			if err != nil {
				t.Fatalf("waiting for %q: %v", want, err)
			}
			if strings.HasPrefix(string(b[:n]), want) {
				return
			}
		}
	}
	r := serve(t, nil)
	hear("READY=1")
	for _, fault := range []error{nil, errors.New("wrong")} {
		r.refuse(fault)
		r.signals <- unix.SIGHUP
		hear("RELOADING=1\nMONOTONIC_USEC=")
		hear("READY=1")
	}
}

// A port changes hands all the time, and nobody who comes by it has to ask twice.
func TestReloadUnderLoad(t *testing.T) {
	a, b := freePort(t), freePort(t)
	r := serve(t, func(c *config.Config) {
		c.Brokers[0].Ports, c.Brokers[0].MaxTunnels = []uint16{a, b}, 1000
		second := c.Brokers[0]
		second.Name, second.Ports, second.TunnelIDBase = "lan", []uint16{freePort(t)}, 2000
		c.Brokers = append(c.Brokers, second)
	})
	r.log.await(t, "listening broker=lan")
	const newcomers = 100
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range newcomers {
			r.port(a).dial().connect("a")
		}
	}()
	for over := false; !over; {
		r.reload(func(c *config.Config) {
			x := 0
			if slices.Contains(c.Brokers[1].Ports, a) {
				x = 1
			}
			c.Brokers[x].Ports = slices.DeleteFunc(slices.Clone(c.Brokers[x].Ports), func(p uint16) bool { return p == a })
			c.Brokers[1-x].Ports = append(slices.Clone(c.Brokers[1-x].Ports), a)
		}, "Reloaded")
		select {
		case <-done:
			over = true
		default:
		}
	}
	r.port(b).dial().connect("last")
	r.log.await(t, "uuid=last")
	if n, up := r.log.count("tunnel closed"), r.log.count("tunnel up"); n != 0 || up != newcomers+1 {
		t.Errorf("%d tunnels were made, %d closed", up, n)
	}
	t.Logf("%d reloads", r.log.count("reloaded changes"))
}
