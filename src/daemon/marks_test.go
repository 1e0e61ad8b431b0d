package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/wire"
)

// A tunnel that no bridge section fits is said once for each MTU, counted, and shown.
func TestUnattached(t *testing.T) {
	r := serve(t, func(c *config.Config) {
		c.Bridges = []config.Bridge{{Name: "bridge0", Interface: "br-mesh", MTU: 1400}}
		c.Brokers[0].PMTU = 1400
	})
	r.log.await(t, "listening")
	fits := r.dial()
	fits.connect("fits")
	shows := func(of, ever string, texts ...string) {
		t.Helper()
		r.eventually(`tunneldigger_unattached{broker="wan"} `+of+"\n", "status", "prometheus")
		r.eventually(`tunneldigger_unattached_total{broker="wan"} `+ever+"\n", "status", "prometheus")
		for _, text := range texts {
			r.eventually(text, "status", "json")
		}
	}
	shows("0", "0", `"unattached":"waits for br-mesh"`) // one fits, whose bridge is not there
	const said = "warning: no bridge section fits tunnels like this one"

	// The others follow when the section has another MTU: no section fits them.
	r.reload(func(c *config.Config) { c.Brokers[0].PMTU = 1380 }, "pmtu")
	why := "no bridge section fits MTU 1380 and port "
	r.log.await(t, said)
	r.dial().connect("two")
	r.dial().connect("three")
	shows("3", "3", `"unattached":"`+why, `"unattached":3,`)
	r.says("  ! "+why, "status")
	r.says("not attached: 3: tunnels that no bridge section fits\n", "status")
	if n := r.log.count(said); n != 1 || !strings.Contains(r.log.text(), "broker=wan mtu=1380 port=") {
		t.Errorf("said %d times:\n%s", n, r.log.text())
	}

	// One that goes is not counted any more; a section that fits cures the rest.
	fits.Write(wire.AppendErrorReason(nil, wire.ReasonClientShutdown))
	r.log.await(t, "tunnel closed")
	shows("2", "3")
	r.reload(func(c *config.Config) {
		c.Bridges = append(c.Bridges, config.Bridge{Name: "bridge1", Interface: "br-all"})
	})
	shows("0", "3")
	r.reload(func(c *config.Config) { c.Bridges = c.Bridges[:1] })
	shows("2", "5")
	r.reload(func(c *config.Config) { c.Bridges = nil }) // hooks do it
	shows("0", "5")
}

// A hook that has failed is shown at its tunnel, until it runs well or the tunnel goes.
func TestHookFailedIsShown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n[ $UUID = good ] || exit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := serve(t, func(c *config.Config) {
		c.Hooks.Program[config.EventSessionUp], c.Hooks.Program[config.EventMTUChanged] = path, path
		c.Brokers[0].PMTU = 1400
	})
	r.log.await(t, "listening")
	r.dial().connect("good")
	bad := r.dial()
	bad.connect("bad")
	r.log.await(t, "hook failed")
	r.eventually(`"hook_failed":"session.up: `+path+`: exit status 3"`, "status", "json")
	r.says(`"hook_failed":1,`, "status", "json")
	r.says("  ! session.up: "+path+": exit status 3\n", "status")
	r.says(`tunneldigger_hook_failed{broker="wan"} 1`, "status", "prometheus")
	r.says(`tunneldigger_tunnel_hook_failed{broker="wan",interface="l2tp101-101",uuid="bad"} 1`, "status", "prometheus", "tunnels")
	r.says(`tunneldigger_tunnel_hook_failed{broker="wan",interface="l2tp100-100",uuid="good"} 0`, "status", "prometheus", "tunnels")

	r.reload(func(c *config.Config) { c.Brokers[0].PMTU = 1380 })
	r.eventually(`"hook_failed":"session.mtu-changed: `, "status", "json")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.reload(func(c *config.Config) { c.Brokers[0].PMTU = 1360 })
	r.eventually(`"hook_failed":0,`, "status", "json")
}

// eventually waits until a command's answer has a text.
func (r *running) eventually(text string, words ...string) {
	r.Helper()
	var body string
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if body, _ = r.call(words...); strings.Contains(body, text) {
			return
		}
	}
	r.Fatalf("no %q in\n%.2000s", text, body)
}
