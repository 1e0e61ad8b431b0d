package config

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestDifferences(t *testing.T) {
	base := func() *Config {
		return &Config{
			Brokers: []Broker{
				{Name: "wan", Ports: []uint16{53, 123}, MaxTunnels: 10, TunnelIDBase: 100, TunnelTimeout: time.Minute},
				{Name: "lan", Interface: "br-lan", Ports: []uint16{53}, MaxTunnels: 10, TunnelIDBase: 200, TunnelTimeout: time.Minute},
			},
			Bridges: []Bridge{{Name: "bridge0", Interface: "br-mesh"}},
			Hooks:   Hooks{Timeout: 30 * time.Second},
			Log:     Log{Level: Info},
		}
	}
	for _, test := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"nothing", func(*Config) {}, nil},
		{"a number", func(c *Config) { c.Brokers[0].MaxTunnels = 20 }, []string{"broker 'wan': max_tunnels '10' → '20'"}},
		{"on", func(c *Config) { c.Brokers[1].PMTU = 1400 }, []string{"broker 'lan': pmtu unset → '1400'"}},
		{"off", func(c *Config) { c.Brokers[1].Interface = "" }, []string{"broker 'lan': interface 'br-lan' → unset"}},
		{"a list", func(c *Config) { c.Brokers[0].Ports = []uint16{53, 8942} }, []string{"broker 'wan': port '53' '123' → '53' '8942'"}},
		{"addresses", func(c *Config) { c.Brokers[0].Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.1")} },
			[]string{"broker 'wan': address unset → '192.0.2.1'"}},
		{"sections", func(c *Config) { c.Brokers[0].Name = "dsl" }, []string{"broker 'dsl': new", "broker 'wan': removed"}},
		{"order", func(c *Config) { slices.Reverse(c.Brokers) }, nil},
		{"bridges", func(c *Config) { c.Bridges[0].Isolate = true }, []string{"bridge 'bridge0': isolate unset → '1'"}},
		{"hooks and log", func(c *Config) {
			c.Hooks.Program[EventSessionUp], c.Hooks.Timeout, c.Log = "/up 'n' away", time.Second, Log{Level: Debug, Addresses: true, HideUUIDs: true}
		}, []string{"hooks: timeout '30' → '1'", `hooks: session_up unset → '/up '\''n'\'' away'`,
			"log: verbosity 'INFO' → 'DEBUG'", "log: log_ip_addresses unset → '1'",
			"log: log_uuids unset → '0'"}},
		{"everything", func(c *Config) { *c = Config{} }, []string{"hooks: timeout '30' → '0'", "log: verbosity 'INFO' → 'DEBUG'",
			"broker 'wan': removed", "broker 'lan': removed", "bridge 'bridge0': removed"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := base()
			test.change(c)
			var got []string
			for _, change := range Differences(base(), c) {
				got = append(got, change.String())
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			if back := Differences(c, base()); len(back) != len(got) {
				t.Errorf("back: %v", back)
			}
		})
	}
}
