package simulate

import (
	"testing"
	"time"

	"tunneldigger/src/config"
)

// A gateway with three hundred clients is rebooted and knows nothing of them: they are back at the pace that it is set to,
// none is refused, none has to find out by itself, from addresses of their own or behind one.
func TestReboot(t *testing.T) {
	const clients = 300
	for _, c := range []struct {
		interval time.Duration
		site     bool
	}{{0, false}, {50 * ms, false}, {50 * ms, true}} {
		w, sv, nodes := scene(config.Broker{MaxTunnels: 1024, RateInterval: c.interval}, clients)
		for _, n := range nodes {
			if c.site {
				n.Addr = nodes[0].Addr
			}
			w.After(w.upTo(s), n.Start)
		}
		run(t, w, 60*s)
		if n := connected(nodes); n != clients {
			t.Fatalf("%+v: %d clients are connected", c, n)
		}
		sv.Kill(s)
		run(t, w, s)
		began, most := w.now, 8*s
		if c.interval > 0 {
			most = 6*s + clients*c.interval*12/10
		}
		for connected(nodes) < clients && w.now-began < most {
			run(t, w, 100*ms)
		}
		stats := sv.core.Stats()
		if n := connected(nodes); n != clients {
			t.Errorf("%+v: %d clients are connected %v after the reboot, %d were told", c, n, most, stats.Told)
		}
		for reason, n := range stats.Reasons {
			if n > 0 {
				t.Errorf("%+v: %d for reason %d", c, n, reason)
			}
		}
		t.Logf("%+v: all within %v", c, w.now-began)
	}
}
