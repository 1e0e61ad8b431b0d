package config_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"tunneldigger/src/config"
	"tunneldigger/src/config/uci"
)

const ownBridges = `config broker 'wan'
	list port '8942'
	list port '53'
config bridge 'mesh'
	option interface 'digger%m'
	option create '1'
	list address '198.51.100.1/24'
	list address '2001:db8::1/64'
	option table 'mesh'
	option priority '900'
	option isolate '1'
	list port '8942'
config bridge 'rest'
	option interface 'br-rest'
	option create '1'
	option table '0x10'
config client
	option uuid 'node-17'
	option tunnel_id '17'
	option bandwidth_down '20000'
	option bridge 'mesh'
config client 'last'
	option uuid 'node-18'
`

func TestOwnBridges(t *testing.T) {
	cfg, err := uci.Parse("f", ownBridges)
	if err != nil || cfg.Notices != nil {
		t.Fatal(err, cfg)
	}
	if want := []config.Bridge{
		{Name: "mesh", Interface: "digger%m", Isolate: true, Ports: []uint16{8942}, Create: true, Table: "mesh", Priority: 900,
			Addresses: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24"), netip.MustParsePrefix("2001:db8::1/64")}},
		{Name: "rest", Interface: "br-rest", Create: true, Table: "16", Priority: 1000},
	}; !reflect.DeepEqual(cfg.Bridges, want) {
		t.Errorf("got  %+v\nwant %+v", cfg.Bridges, want)
	}
	if want := []config.Client{{Name: "client0", UUID: "node-17", TunnelID: 17, BandwidthDown: 20000, Bridge: "mesh"}, {Name: "last", UUID: "node-18"}}; !reflect.DeepEqual(cfg.Clients, want) {
		t.Errorf("got  %+v\nwant %+v", cfg.Clients, want)
	}
	if got := cfg.Bridges[0].Device(1446) + " " + cfg.Bridges[1].Device(1446); got != "digger1446 br-rest" {
		t.Errorf("devices %s", got)
	}
	again, err := uci.Parse("g", config.FormatUCI(cfg))
	if err != nil || !reflect.DeepEqual(again, cfg) {
		t.Errorf("written and read again: %+v, %v\nwant %+v", again, err, cfg)
	}
	other, err := uci.Parse("f", strings.NewReplacer("'900'", "'901'", "'17'", "'18'", "2001:db8::1", "2001:db8::2").Replace(ownBridges))
	if err != nil {
		t.Fatal(err)
	}
	var changes []string
	for _, c := range config.Differences(cfg, other) {
		changes = append(changes, c.String())
	}
	want := "bridge 'mesh': address '198.51.100.1/24' '2001:db8::1/64' → '198.51.100.1/24' '2001:db8::2/64'; bridge 'mesh': priority '900' → '901'; client 'client0': tunnel_id '17' → '18'"
	if got := strings.Join(changes, "; "); got != want {
		t.Errorf("changes %s\nwant    %s", got, want)
	}
}

func TestOwnBridgeFaults(t *testing.T) {
	const bridge, client = "config broker wan\nconfig bridge m\n\toption interface b\n", "config broker wan\nconfig client\n\toption uuid a\n"
	for _, c := range []struct{ text, want string }{
		{bridge + "\tlist address 198.51.100.1/24", "f:4: bridge 'm': address is only for a bridge that the broker makes: want create '1' with it"},
		{bridge + "\toption table mesh", "f:4: bridge 'm': table is only for a bridge that the broker makes: want create '1' with it"},
		{bridge + "\toption priority 5", "f:4: bridge 'm': priority is only for a bridge that the broker makes: want create '1' with it"},
		{bridge + "\toption create 1\n\toption priority 5", "f:5: bridge 'm': priority is that of the rule for table: want a table, too"},
		{bridge + "\toption create 1\n\toption table 0", "f:5: bridge 'm': table '0': want a routing table: 1–4294967295, or a name of rt_tables"},
		{bridge + "\toption create 1\n\toption table 'a b'", "f:5: bridge 'm': table 'a b': want a routing table: 1–4294967295, or a name of rt_tables"},
		{bridge + "\toption create 1\n\toption table m\n\toption priority 32766", "f:6: bridge 'm': priority '32766': want 1–32765"},
		{bridge + "\toption create 1\n\tlist address 198.51.100.1", "f:5: bridge 'm': address '198.51.100.1': want an IPv4 or IPv6 address with the length of its prefix, as in 198.51.100.1/24"},
		{bridge + "\toption create 1\n\tlist address 198.51.100.0/24", "f:5: bridge 'm': address '198.51.100.0/24': want an address in the network, not the network's own"},
		{bridge + "\toption create 1\n\tlist address ff02::1/64", "f:5: bridge 'm': address 'ff02::1/64': want an IPv4 or IPv6 address with the length of its prefix, as in 198.51.100.1/24"},
		{bridge + "\toption create 1\nconfig bridge n\n\toption interface b\n\toption mtu 1400", "f:6: bridge 'n': interface 'b': the section on line 2 has it, too, and makes it in another way: " +
			"want the same create, address, table, priority and isolate"},
		{"config broker\nconfig bridge m\n\toption interface 'tunneldigger%m'", "f:3: bridge 'm': interface 'tunneldigger%m': want %m once, and 13 bytes at most with it"},
		{"config broker\nconfig bridge m\n\toption interface 'a%m%m'", "f:3: bridge 'm': interface 'a%m%m': want %m once, and 13 bytes at most with it"},
		{"config broker\nconfig client", "f:2: client 'client0': uuid is missing: want that of the node that the section is for"},
		{client + "config client b\n\toption uuid a", "f:5: client 'b': uuid 'a': the section on line 2 is for it, too: want one"},
		{client + "\toption tunnel_id 5\nconfig client b\n\toption uuid b\n\toption tunnel_id 5", "f:7: client 'b': tunnel_id 5: the section on line 2 has it: want another one"},
		{client + "\toption tunnel_id 100", "f:2: client 'client0': tunnel_id 100: broker 'wan' gives away 100–1123: want one outside of it"},
		{client + "\toption tunnel_id 0", "f:4: client 'client0': tunnel_id '0': want 1–65535"},
		{client + "\toption bridge mesh\nconfig bridge mseh\n\toption interface b", "f:4: client 'client0': bridge 'mesh': want the name of a bridge section, did you mean 'mseh'?"},
		{"config broker\nconfig client\n\toption uuid 'a b'", "f:3: client 'client0': uuid 'a b': want a UUID that clients can have: "},
	} {
		cfg, err := uci.Parse("f", c.text)
		if got := fmt.Sprint(err); cfg != nil && !strings.Contains(c.want, "%m") || got != c.want && !(strings.HasSuffix(c.want, ": ") && strings.HasPrefix(got, c.want)) {
			t.Errorf("%q:\ngot  %v, %v\nwant %s", c.text, cfg, err, c.want)
		}
	}
}

// Some thousand clients: reading them is quick enough for a reload under way.
func TestManyClients(t *testing.T) {
	var text strings.Builder
	text.WriteString("config broker wan\n\toption tunnel_id_base 20000\nconfig bridge mesh\n\toption interface br0\n")
	const many = 5000
	for i := range many {
		fmt.Fprintf(&text, "config client\n\toption uuid node-%d\n\toption tunnel_id %d\n\toption bandwidth_down 1000\n\toption bridge mesh\n", i, i+1)
	}
	cfg, err := uci.Parse("f", text.String())
	if err != nil || len(cfg.Clients) != many || cfg.Clients[many-1].TunnelID != many {
		t.Fatalf("%v, %d clients", err, len(cfg.Clients))
	}
	if changes := config.Differences(cfg, cfg); len(changes) != 0 {
		t.Errorf("differs from itself: %v", changes)
	}
}
