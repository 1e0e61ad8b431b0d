package packaging

import (
	"crypto/md5"
	"fmt"
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
				r.defaults()
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

// TestReloadConfig has the first change after an installation be one for reload_config, which goes by the sums that it made before.
func TestReloadConfig(t *testing.T) {
	const sums = "0123456789abcdef0123456789abcdef  /var/run/config.check/network\n"
	r := newRouter(t)
	r.config(broker("wan", "interface 'wan'"))
	r.defaults()
	if _, err := os.Stat(r.root + "/var/run/config.md5"); err == nil {
		t.Error("sums are made before the first boot has")
	}
	r.write("var/run/config.md5", sums)
	path := filepath.Join(r.root, "var/run/config.md5")
	for range 2 {
		r.defaults()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		config, err := os.ReadFile(r.root + "/etc/config/tunneldigger-broker") // which is what uci show prints here
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%s%x  /var/run/config.check/tunneldigger-broker\n", sums, md5.Sum(config)); string(text) != want {
			t.Errorf("%q, want %q", text, want)
		}
	}
	// One that is there is of the time before the script, which may have changed the file.
	r.write("var/run/config.md5", "f  /var/run/config.check/tunneldigger-broker\n")
	r.defaults()
	if text, _ := os.ReadFile(path); strings.Count(string(text), "\n") != 1 {
		t.Errorf("%q", text)
	}
}

// TestEnabled has a service that was enabled without K10, as Python's was, count as enabled after the upgrade, and no other one.
func TestEnabled(t *testing.T) {
	for links, want := range map[string]string{
		"": "", "S90": "enable\n", "S90 K10": "", "K10": "",
	} {
		r := newRouter(t)
		r.config(broker("wan", "interface 'wan'"))
		r.write("etc/init.d/tunneldigger-broker", "#!/bin/sh\necho $* >>$STATE/called\n")
		r.write("etc/rc.d/S90other", "")
		for _, link := range strings.Fields(links) {
			r.write("etc/rc.d/"+link+"tunneldigger-broker", "")
		}
		r.defaults()
		if called, _ := os.ReadFile(r.state + "/called"); string(called) != want {
			t.Errorf("links %q: called %q, want %q", links, called, want)
		}
	}
}

// defaults runs the script of uci-defaults.
func (r *router) defaults() {
	r.Helper()
	if out, status := r.ash("testdata/openwrt/uci-defaults", "../../files/tunneldigger-broker.defaults"); out != "" || status != 0 {
		r.Errorf("%q, status %d", out, status)
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
			c, err := uci.Parse(path, switched)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Brokers) != enabled || len(c.Notices) > 0 {
				t.Errorf("%s: %d broker sections, want %d; notices %q", path, len(c.Brokers), enabled, c.Notices)
			}
			enabled = 1
		}
		// With the comment signs taken off, what they hide is right, too.
		if _, err := uci.Parse(path, uncomment(string(text))); err != nil {
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
