package config

import "testing"

func TestApplyDevices(t *testing.T) {
	for _, test := range []struct{ text, name, want string }{
		{"wan pppoe-wan\nwan6 eth0\n", "wan", "pppoe-wan"},
		{"wan pppoe-wan\nwan6 eth0\n", "wan6", "eth0"},
		{"wan pppoe-wan\n", "eth1", "eth1"},
		{"wan pppoe-wan\n", "", ""},
		{"wan\n", "wan", ":wan"},
		{"", "wan", "wan"},
		{"  wan   eth0  ", "wan", "eth0"},
		{"one two three\n\n", "one", "one"},
	} {
		c := Config{Brokers: []Broker{{Interface: "lo"}, {Interface: test.name}}, Bridges: []Bridge{{Interface: test.name}}}
		c.ApplyDevices(test.text)
		if got := c.Brokers[1].Interface; got != test.want || c.Bridges[0].Interface != test.want || c.Brokers[0].Interface != "lo" {
			t.Errorf("%q with %q is %q, want %q", test.name, test.text, got, test.want)
		}
	}
}
