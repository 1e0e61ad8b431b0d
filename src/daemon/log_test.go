package daemon

import (
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

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
