package file

import (
	"path/filepath"
	"strings"
	"testing"

	"tunneldigger/src/config"
	"tunneldigger/src/config/classic"
	"tunneldigger/src/config/uci"

	"os"
)

// Older is the folder with the default files of the Python broker's releases and of OpenWrt's packages, reconstructed:
// the e2e test starts a broker with each.
const older = "../testdata/older"

// What becomes of each of the older default files: none has a fault.
func TestOlder(t *testing.T) {
	const (
		classicLines = "interface 'eth0'; address '192.0.2.1'; port '53'; port '123'; port '8942'; tunnel_id_base '100'"
		uciLines     = "interface 'wan'; port '53'; port '123'; port '8942'; max_tunnels '1024'; tunnel_id_base '100'; tunnel_timeout '60'; verbosity 'INFO'"
	)
	want := map[string]struct {
		has     string
		notices string // the options that they are about, in their order
	}{
		"server-0.1.cfg": {classicLines + "; max_tunnels '1024'; tunnel_timeout '60'; verbosity 'DEBUG'",
			"max_cookies port_base pmtu_discovery namespace check_modules filename"},
		"server-0.1-fixed.cfg": {classicLines + "; pmtu '1446'; verbosity 'INFO'", "max_cookies port_base pmtu_discovery namespace check_modules filename script_log"},
		"server-0.2.cfg":       {classicLines + "; max_tunnels '1024'; tunnel_timeout '120'", "port_base namespace check_modules filename"},
		"server-0.3.cfg":       {classicLines + "; max_tunnels '1024'; tunnel_timeout '120'", "port_base namespace check_modules filename"},
		"server-2018.cfg":      {classicLines + "; max_tunnels '1024'; connection_rate_limit '10'", "port_base namespace connection_rate_limit"},
		"server-2020.cfg":      {classicLines + "; max_tunnels '256'; connection_rate_limit_per_ip_count '30'; connection_rate_limit_per_ip_time '60'", "broker.tunnel-connection-threshold"},
		"server-0.4.cfg":       {classicLines + "; max_tunnels '256'; connection_rate_limit '0.2'", ""},
		"openwrt-2015.uci":     {uciLines + "; connection_rate_limit '0.2'", "max_cookies port_base pmtu_discovery namespace filename"},
		"openwrt-2020.uci":     {uciLines + "; connection_rate_limit '10'; mtu '1446'; interface 'br-mesh'", "max_cookies port_base namespace connection_rate_limit filename"},
		"openwrt-2023.uci":     {uciLines + "; connection_rate_limit '0.2'; mtu '1446'; interface 'br-mesh'; isolate '1'", "max_cookies port_base namespace filename"},
	}
	files, err := os.ReadDir(older)
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d files, want %d: %v", len(files), len(want), err)
	}
	for _, entry := range files {
		name := entry.Name()
		text, err := os.ReadFile(filepath.Join(older, name))
		if err != nil {
			t.Fatal(err)
		}
		var c *config.Config
		if strings.HasSuffix(name, ".cfg") {
			c, err = classic.Parse(name, "/srv", string(text))
		} else {
			c, err = uci.Parse(name, string(text))
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		formatted := config.FormatUCI(c)
		for _, line := range strings.Split(want[name].has, "; ") {
			if !strings.Contains(formatted, " "+line+"\n") {
				t.Errorf("%s: no %q in\n%s", name, line, formatted)
			}
		}
		var about []string
		for _, n := range c.Notices {
			_, n, _ = strings.Cut(n, ": ") // the place
			_, n, _ = strings.Cut(n, ": ") // the section
			option, _, _ := strings.Cut(n, " ")
			about = append(about, strings.TrimSuffix(option, ":"))
		}
		if got := strings.Join(about, " "); got != want[name].notices {
			t.Errorf("%s: notices about %q, want %q:\n%s", name, got, want[name].notices, strings.Join(c.Notices, "\n"))
		}
	}
}
