package packaging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tunneldigger/src/config/file"
	"tunneldigger/src/config/uci"
)

// What the Python broker's package of OpenWrt had, and what becomes of it.
const pythonConfig = `config broker
	list port '53'
	list port '123'
	list port '8942'
	option interface 'loopback'
	option max_cookies '1024'
	option max_tunnels '1024'
	option port_base '20000'
	option tunnel_id_base '100'
	option tunnel_timeout '60'
	option pmtu '0'
	option namespace 'production'
	option connection_rate_limit '0.2'

config log
	option filename '/dev/null'
	option verbosity 'INFO'
	option log_ip_addresses '0'
`

func TestDefaults(t *testing.T) {
	const hooks = "config hooks 'hooks'\n\toption directory '/etc/hotplug.d/tunneldigger'\n"
	for _, test := range []struct{ name, before, after string }{
		{"old default", pythonConfig, `config broker
	option enabled '0'
	list port '53'
	list port '123'
	list port '8942'
	option max_tunnels '1024'
	option tunnel_id_base '100'
	option tunnel_timeout '60'
	option pmtu '0'
	option connection_rate_limit '0.2'

config log
	option verbosity 'INFO'
	option log_ip_addresses '0'

` + hooks},
		{"in use", strings.Replace(pythonConfig, "loopback", "wan", 1) + "\nconfig bridge\n\toption mtu '1446'\n\toption interface 'br-mesh'\n",
			`config broker
	list port '53'
	list port '123'
	list port '8942'
	option interface 'wan'
	option max_tunnels '1024'
	option tunnel_id_base '100'
	option tunnel_timeout '60'
	option pmtu '0'
	option connection_rate_limit '0.2'

config log
	option verbosity 'INFO'
	option log_ip_addresses '0'

config bridge
	option mtu '1446'
	option interface 'br-mesh'

` + hooks},
		{"without discovery", "config broker 'x'\n\toption pmtu_discovery '0'\n\toption interface 'wan'\n",
			"config broker 'x'\n\toption pmtu '1446'\n\toption interface 'wan'\n\n" + hooks},
		{"without discovery, with pmtu", "config broker 'x'\n\toption pmtu_discovery 'off'\n\toption pmtu '1400'\n",
			"config broker 'x'\n\toption pmtu '1400'\n\n" + hooks},
		{"switched on, on loopback", "config broker 'x'\n\toption enabled '1'\n\toption interface 'loopback'\n",
			"config broker 'x'\n\toption enabled '1'\n\n" + hooks},
		{"hooks of its own", "config broker 'x'\n\toption interface 'wan'\n\nconfig hooks\n\toption timeout '5'\n",
			"config broker 'x'\n\toption interface 'wan'\n\nconfig hooks\n\toption directory '/etc/hotplug.d/tunneldigger'\n\toption timeout '5'\n"},
		{"another directory", "config broker 'x'\n\nconfig hooks 'h'\n\toption directory '/srv/hooks'\n",
			"config broker 'x'\n\nconfig hooks 'h'\n\toption directory '/srv/hooks'\n"},
		{"empty", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRouter(t)
			r.config(test.before)
			path := filepath.Join(r.root, "etc/config/tunneldigger-broker")
			for run := 1; run <= 2; run++ {
				if out, status := r.ash("testdata/openwrt/uci-defaults", "../../files/tunneldigger-broker.defaults"); out != "" || status != 0 {
					t.Errorf("%q, status %d", out, status)
				}
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if string(text) != test.after {
					t.Fatalf("after run %d:\n%s\nwant:\n%s", run, text, test.after)
				}
			}
			c, err := file.UCI(filepath.Dir(path))
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Notices) > 0 {
				t.Errorf("notices: %q", c.Notices)
			}
		})
	}
}

// TestDefaultConfigurations reads the files that the packages bring as the broker would.
func TestDefaultConfigurations(t *testing.T) {
	for path, enabled := range map[string]int{"tunneldigger-broker.config": 0, "server/tunneldigger-broker.config": 1} {
		text, err := os.ReadFile("../../files/" + path)
		if err != nil {
			t.Fatal(err)
		}
		for _, switched := range []string{string(text), strings.ReplaceAll(string(text), "'0'\n\toption interface", "'1'\n\toption interface")} {
			c, err := uci.Parse(path, []byte(switched))
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Brokers) != enabled || len(c.Notices) > 0 {
				t.Errorf("%s: %d broker sections, want %d; notices %q", path, len(c.Brokers), enabled, c.Notices)
			}
			enabled = 1
		}
		// With the comment signs taken off, what they hide is right, too.
		if _, err := uci.Parse(path, []byte(uncomment(string(text)))); err != nil {
			t.Error(err)
		}
	}
}

// uncomment takes the sign off commented-out configuration, which has none between the sign and its first word.
func uncomment(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "#config") || strings.HasPrefix(line, "#\t") {
			lines[i] = line[1:]
		}
	}
	return strings.Join(lines, "\n")
}
