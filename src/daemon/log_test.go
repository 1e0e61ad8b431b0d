package daemon

import (
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/logline"
	"tunneldigger/src/wire"
)

func TestLimitedLog(t *testing.T) {
	var out strings.Builder
	l := limitedLog{log: logline.New(&out, logline.Debug, false), kinds: make(map[string]*logKind)}
	count := func(n int, allow func() bool) (allowed int) {
		for range n {
			if allow() {
				allowed++
			}
		}
		return allowed
	}
	const now = 100 * time.Second
	for name, c := range map[string]struct {
		allow func() bool
		want  int
	}{
		"a":           {func() bool { return l.allow(now, "a") }, logBurst},
		"b":           {func() bool { return l.allow(now, "b") }, logBurst},
		"up":          {func() bool { return l.upTo(now, "up", 50) }, 50},
		"one tunnel":  {func() bool { return l.allowTunnel(now, "mtu", 1) }, logBurst},
		"another one": {func() bool { return l.allowTunnel(now, "mtu", 2) }, logBurst},
	} {
		if got := count(100, c.allow); got != c.want {
			t.Errorf("%s: %d lines, want %d", name, got, c.want)
		}
	}
	l.flush(now + logWindow - 1)
	if out.Len() != 0 {
		t.Errorf("within the window: %s", out.String())
	}
	l.flush(now + logWindow)
	for _, want := range []string{"kind=a count=80\n", "kind=b count=80\n", "kind=up count=50\n", "kind=mtu count=160\n"} {
		if !strings.Contains(out.String(), "warning: lines held back "+want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if !l.allow(now+logWindow, "a") || !l.allowTunnel(now+logWindow, "mtu", 1) {
		t.Error("nothing in the next window")
	}
}

// Whatever a client does, its address and its UUID stay out of the log.
func TestLogHidesClients(t *testing.T) {
	r := serve(t, func(c *config.Config) {
		c.Log = config.Log{Level: config.Debug, HideUUIDs: true}
		c.Brokers[0].MaxTunnels = 2
		c.Brokers[0].PerIP = config.Rate{Count: 3, Time: time.Hour}
	})
	r.log.await(t, "listening")
	dial := func() *talk {
		c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 77)}, r.at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return &talk{c, t}
	}
	one, two, three := dial(), dial(), dial()
	one.connect("secret-one")
	two.connect("secret-two")
	three.ask(three.prepare("secret-one"), wire.TypeError)
	one.ask(wire.AppendLimit(nil, 1, 1000), wire.TypeRelAck)
	one.ask([]byte{0x80, 0x73, 0xa7, 1, byte(wire.TypeLimit), 4, 0, 9, 7, 0, 0, 0}, wire.TypeRelAck)
	if _, err := one.Write(wire.AppendErrorReason(nil, wire.ReasonClientShutdown)); err != nil {
		t.Fatal(err)
	}
	r.log.await(t, "the client closed it")
	for _, text := range []string{"tunnel up", "client refused", "bandwidth limit", "a LIMIT that can't be understood"} {
		r.log.await(t, text)
	}
	r.stop()
	log := r.log.text()
	if strings.Contains(log, "secret") || strings.Contains(log, "127.0.0.77") {
		t.Errorf("the log says too much:\n%s", log)
	}
	// The same UUID is the same everywhere, another one another.
	seen := map[string]int{}
	for _, found := range regexp.MustCompile(` uuid=([0-9a-f]{8}) `).FindAllStringSubmatch(log+" ", -1) {
		seen[found[1]]++
	}
	if len(seen) != 2 {
		t.Errorf("UUIDs %v in\n%s", seen, log)
	}
}
