//go:build vm

package e2e

import (
	"math"
	"strings"
	"testing"
	"time"
)

// The harness itself: paths, their MTU as routers tell it, loss, programs and meters.
func TestHarness(t *testing.T) {
	w := New(t)
	a, b := w.Host("a"), w.Host("b")
	if err := a.Ping(b.Addr4); err != nil {
		t.Fatal(err)
	}
	if err := a.Ping(b.Addr6); err != nil {
		t.Fatal(err)
	}

	// 1400 bytes pass unfragmented, 1401 do not, and both ends are told so by a router.
	b.SetPath(Path{MTU: 1400})
	for _, ends := range [][2]*Host{{a, b}, {b, a}} {
		if err := ends[0].Ping(ends[1].Addr4, "-M", "do", "-s", "1372"); err != nil {
			t.Error(err)
		}
		err := ends[0].Ping(ends[1].Addr4, "-M", "do", "-s", "1373", "-c", "1", "-W", "1")
		if err == nil || !strings.Contains(err.Error(), "error") {
			t.Errorf("1401 bytes over a path of 1400: %v, want errors from a router", err)
		}
	}
	if !native { // a machine need not have netem: what is lost there a relay loses, see src/forward
		b.SetPath(Path{Loss: 100})
		if err := a.Ping(b.Addr4, "-c", "1", "-W", "1"); err == nil {
			t.Error("answered over a path that loses everything")
		}
		b.SetPath(Path{Delay: 20 * time.Millisecond, Loss: 10, Duplicate: 10, Reorder: 25})
	}
	b.SetPath(Path{})

	flow := Flow{From: a, To: b, Dst: b.Addr4, Payload: 1000, Kbits: 2000, During: time.Second}
	for try := 1; ; try++ { // a busy machine may stand still for a moment
		if got := flow.Measure().Kbits(0); math.Abs(got-2000) <= 200 {
			break
		} else if try == 5 {
			t.Errorf("offered 2000 kbit/s, measured %.0f", got)
			break
		}
	}

	p := b.Start("shell", "sh", "-c", "echo ready; read line; exit 3")
	if line := p.WaitLog("ready", soon); line != "ready" {
		t.Errorf("logged %q", line)
	}
	if status := p.Wait(soon); status != 3 {
		t.Errorf("exit status %d", status)
	}
	p = b.Start("sleep", "sleep", "1000")
	w.Wait(soon, "the usage of sleep, once it sleeps", func() bool {
		u := p.Usage()
		return u.FDs == 3 && u.Threads == 1 && u.CPU > 0 && u.RSS > 100<<10 && u.RSS < 10<<20
	})
	if status := p.Stop(soon); status != -15 {
		t.Errorf("sleep ended with %d, want minus the signal", status)
	}

	b.IP("link add br0 mtu 1446 type bridge", "link add d0 type dummy", "link set d0 master br0", "link set br0 up",
		"link set d0 type bridge_slave isolated on", "link set d0 up")
	if l := b.WaitLink("d0", soon); l.Master != "br0" || !l.LinkInfo.Port.Isolated || l.MTU != 1500 {
		t.Errorf("links are not read right: %+v", l)
	}
	if names := b.LinkNames("br"); len(names) != 1 || names[0] != "br0" {
		t.Errorf("names of bridges: %q", names)
	}
}
