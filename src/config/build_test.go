package config_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/config/classic"
	"tunneldigger/src/config/uci"
)

// one gives the only broker of a UCI file with these option lines.
func one(t *testing.T, lines string) config.Broker {
	t.Helper()
	cfg, err := uci.Parse("f", "config broker 'wan'\n"+lines+"\n")
	if err != nil {
		t.Fatalf("%s: %v", lines, err)
	}
	if len(cfg.Brokers) != 1 {
		t.Fatalf("%s: %d brokers, want 1", lines, len(cfg.Brokers))
	}
	return cfg.Brokers[0]
}

func TestDefaults(t *testing.T) {
	broker := config.Broker{
		Name: "broker0", Ports: []uint16{53, 123, 8942}, MaxTunnels: 1024, TunnelIDBase: 100,
		TunnelTimeout: 60 * time.Second, AnswerRate: 5000, RateInterval: 200 * time.Millisecond,
	}
	want := config.Config{
		Brokers: []config.Broker{broker},
		Hooks:   config.Hooks{VerifyCache: time.Minute, Timeout: 30 * time.Second},
		Log:     config.Log{Level: config.Info},
	}
	got, err := uci.Parse("f", "config broker")
	if err != nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("UCI: got %+v, %v\nwant %+v", got, err, want)
	}
	// The reference broker waits 120 s and has no option for it.
	want.Brokers[0].Name, want.Brokers[0].TunnelTimeout = "broker", 120*time.Second
	got, err = classic.Parse("f", "/srv", "[broker]")
	if err != nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("classic: got %+v, %v\nwant %+v", got, err, want)
	}
	got, err = uci.Parse("f", "")
	if err != nil || got.Brokers != nil {
		t.Errorf("empty file: got %+v, %v, want no broker and no fault", got, err)
	}
}

// Every broker option: what it takes, what comes of it, and what it refuses.
func TestBrokerOptions(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		option string
		get    func(config.Broker) any
		good   map[string]any
		want   string // of the message
		bad    []string
	}{
		{"interface", func(b config.Broker) any { return b.Interface },
			map[string]any{"wan": "wan", "eth0.1": "eth0.1", "": "", strings.Repeat("x", 64): strings.Repeat("x", 64)},
			"the name of an interface, at most 64 bytes without blank, '/' and ':'",
			[]string{"a b", "a/b", "eth0:1", ".", "..", "a\tb", "\xff", strings.Repeat("x", 65)}},
		{"max_tunnels", func(b config.Broker) any { return b.MaxTunnels },
			map[string]any{"1": 1, "64000": 64000, " 12 ": 12, "": 1024, "+5": 5, "1_000": 1000, "007": 7},
			"1–65535", []string{"0", "-1", "65536", "1.5", "0x10", "1e3", "1__0", "_1", "+-1", "many", "-99999999999999999999", "99999999999999999999"}},
		{"tunnel_id_base", func(b config.Broker) any { return b.TunnelIDBase },
			map[string]any{"1": uint32(1), "64000": uint32(64000), "0100": uint32(100)},
			"1–65535", []string{"0", "-1", "65536", "x"}},
		{"tunnel_timeout", func(b config.Broker) any { return b.TunnelTimeout },
			map[string]any{"10": 10 * s, "60": 60 * s, "3600": 3600 * s, "12.5": 12500 * time.Millisecond},
			"10–3600 seconds", []string{"0", "9.9", "3601", "60s", "-60", "1e4"}},
		{"pmtu", func(b config.Broker) any { return b.PMTU },
			map[string]any{"0": 0, "1280": 1280, "1446": 1446, "8946": 8946},
			"0 or 1280–8946", []string{"1", "1279", "8947", "auto"}},
		{"connection_rate_limit", func(b config.Broker) any { return b.RateInterval },
			map[string]any{"0": 0 * s, "0.0": 0 * s, "0.2": s / 5, "10": 10 * s, ".5": s / 2, "0.001": s / 1000, "1.001": 1001 * s / 1000, "3600": 3600 * s,
				"1e1": 10 * s, "+2.5E-1": s / 4, "1_0": 10 * s, "-0": 0 * s, "0.0036e6": 3600 * s, "1e-30": 0 * s},
			"0 or 0.001–3600 seconds", []string{"0.0001", "3601", "-1", "-inf", "inf", "nan", "0x1p-2", "1e", "1e1.0", "e1", ".", "1_", "_1", "0,2", "1" + strings.Repeat("0", 400)}},
		{"connection_rate_limit_per_ip_count", func(b config.Broker) any { return b.PerIP.Count },
			map[string]any{"0": 0, "5": 0}, // off: no time
			"0–1000000", []string{"1000001", "-1", "1.5"}},
		{"connection_rate_limit_per_ip_time", func(b config.Broker) any { return b.PerIP.Time },
			map[string]any{"0": 0 * s, "60": 0 * s}, // off: no count
			"0 or 0.001–86400 seconds", []string{"86401", "-1", "1h"}},
		{"connection_rate_limit_per_uuid_count", func(b config.Broker) any { return b.PerUUID.Count },
			map[string]any{"0": 0}, "0–1000000", []string{"1000001"}},
		{"connection_rate_limit_per_uuid_time", func(b config.Broker) any { return b.PerUUID.Time },
			map[string]any{"0": 0 * s}, "0 or 0.001–86400 seconds", []string{"86401"}},
		{"uuid_policy", func(b config.Broker) any { return b.UUIDPolicy },
			map[string]any{"any": config.UUIDAny, "replace": config.UUIDReplace, "Refuse": config.UUIDRefuse},
			"any, replace, refuse", []string{"none", "0"}},
		{"datapath", func(b config.Broker) any { return b.Datapath },
			map[string]any{"auto": config.DatapathAuto, "kernel": config.DatapathKernel, "User": config.DatapathUser},
			"auto, kernel, user", []string{"none", "1"}},
		{"allow_list", func(b config.Broker) any { return b.AllowList },
			map[string]any{"/etc/tunneldigger/allow": "/etc/tunneldigger/allow", "/a b'c": "/a b'c", "": ""},
			"an absolute path", []string{"allow", "./allow", "/a\nb", "/a\x01", "/\xff", "/" + strings.Repeat("x", 4095)}},
		{"deny_list", func(b config.Broker) any { return b.DenyList },
			map[string]any{"/deny": "/deny"}, "an absolute path", []string{"deny"}},
		{"bandwidth_down_max", func(b config.Broker) any { return b.BandwidthDownMax },
			map[string]any{"0": uint32(0), "2000": uint32(2000), "100000000": uint32(100000000)},
			"0–100000000 kbit/s", []string{"100000001", "-1", "2M"}},
		{"bandwidth_down_default", func(b config.Broker) any { return b.BandwidthDownDefault },
			map[string]any{"0": uint32(0), "512": uint32(512)}, "0–100000000 kbit/s", []string{"100000001"}},
		{"answer_rate_limit", func(b config.Broker) any { return b.AnswerRate },
			map[string]any{"0": 0, "1000000": 1000000, "": 5000}, "0–1000000 a second", []string{"1000001", "-1"}},
		{"port", func(b config.Broker) any { return fmt.Sprint(b.Ports) },
			map[string]any{"1": "[1]", "65535": "[65535]", "53 123\t8942": "[53 123 8942]", "53,123, 8942": "[53 123 8942]", "": "[53 123 8942]", "5,5": "[5]"},
			"1–65535", []string{"0", "65536", "-1", "http", "53;", "5.3"}},
		{"address", func(b config.Broker) any { return fmt.Sprint(b.Addresses) },
			map[string]any{"192.0.2.1": "[192.0.2.1]", "2001:DB8::1": "[2001:db8::1]", "0.0.0.0": "[0.0.0.0]", "": "[]",
				"192.0.2.1,2001:db8::1": "[192.0.2.1 2001:db8::1]", "192.0.2.1 192.0.2.1": "[192.0.2.1]",
				"0.0.0.0 192.0.2.1": "[0.0.0.0]", "192.0.2.1 2001:db8::1 0.0.0.0": "[2001:db8::1 0.0.0.0]"},
			"an IPv4 or IPv6 address of this host, not multicast, not IPv6 link-local, without zone; or its name",
			[]string{"-host", "192.0.2.256", "192.0.2.1:53", "[2001:db8::1]", "fe80::1", "2001:db8::1%eth0", "::ffff:192.0.2.1", "224.0.0.1", "ff02::1", "255.255.255.255"}},
	} {
		for value, want := range c.good {
			if got := c.get(one(t, "option "+c.option+" \""+value+"\"")); got != want {
				t.Errorf("%s %q: got %v, want %v", c.option, value, got, want)
			}
		}
		for _, value := range c.bad {
			_, err := uci.Parse("f", "config broker 'wan'\n\n\toption "+c.option+" \""+value+"\"\n")
			want := "f:3: broker 'wan': " + c.option + " " + config.Quote(strings.TrimSpace(value)) + ": want " + c.want
			if first, _, _ := strings.Cut(fmt.Sprint(err), "\n"); first != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		}
	}
}

func TestEnabled(t *testing.T) {
	for value, want := range map[string]int{
		"1": 1, "yes": 1, "on": 1, "true": 1, "enabled": 1, "True": 1, "": 1,
		"0": 0, "no": 0, "off": 0, "false": 0, "disabled": 0,
	} {
		cfg, err := uci.Parse("f", "config broker\n\toption enabled '"+value+"'\n")
		if err != nil || len(cfg.Brokers) != want {
			t.Errorf("enabled %q: got %+v, %v, want %d brokers", value, cfg, err, want)
		}
	}
	// What is switched off is checked, but does not get in the way of others.
	_, err := uci.Parse("f", "config broker\n\toption enabled 0\n\toption port x\n")
	if want := "f:3: broker 'broker0': port 'x': want 1–65535"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	cfg, err := uci.Parse("f", "config broker a\n\toption enabled 0\nconfig broker b\nconfig bridge\n\toption interface br0\n\toption broker a\n")
	if err != nil || len(cfg.Brokers) != 1 || cfg.Brokers[0].Name != "b" || len(cfg.Bridges) != 0 {
		t.Errorf("got %+v, %v, want broker b alone", cfg, err)
	}
}

func TestOtherOptions(t *testing.T) {
	cfg, err := uci.Parse("f", `
config hooks
	option directory '/etc/hotplug.d/tunneldigger'
	option timeout '5'
	option session_up '/up'
	option session_pre_down '/pre down'
	option session_down '/down'
	option session_mtu_changed '/mtu'
	option broker_connection_rate_limit '/rate'
	option session_verify '/verify'
config log
	option verbosity 'warn'
	option log_ip_addresses 'yes'
	option log_uuids 'off'
config bridge
	option mtu '1446'
	option interface 'br-mesh'
	option isolate '1'
	option broker 'wan'
	list port '123'
	list port '53'
config broker 'wan'
config bridge 'rest'
	option interface 'bat0'
`)
	if err != nil {
		t.Fatal(err)
	}
	if want := (config.Hooks{Directory: "/etc/hotplug.d/tunneldigger", Timeout: 5 * time.Second, VerifyCache: time.Minute, Program: [config.EventCount]string{
		config.EventSessionUp: "/up", config.EventSessionPreDown: "/pre down", config.EventSessionDown: "/down",
		config.EventMTUChanged: "/mtu", config.EventRateLimit: "/rate", config.EventVerify: "/verify",
	}}); cfg.Hooks != want {
		t.Errorf("hooks: got %+v, want %+v", cfg.Hooks, want)
	}
	if want := (config.Log{Level: config.Warning, Addresses: true, HideUUIDs: true}); cfg.Log != want {
		t.Errorf("log: got %+v, want %+v", cfg.Log, want)
	}
	if want := []config.Bridge{
		{Name: "bridge0", MTU: 1446, Interface: "br-mesh", Isolate: true, Broker: "wan", Ports: []uint16{123, 53}},
		{Name: "rest", Interface: "bat0"},
	}; !reflect.DeepEqual(cfg.Bridges, want) {
		t.Errorf("bridges: got %+v, want %+v", cfg.Bridges, want)
	}
	for i, word := range []string{"DEBUG", "INFO", "WARNING", "ERROR"} {
		cfg, err := uci.Parse("f", "config log\n\toption verbosity "+word)
		if err != nil || cfg.Log.Level != config.Level(i) || cfg.Log.Level.String() != word {
			t.Errorf("verbosity %s: got %+v, %v", word, cfg, err)
		}
	}
}

func TestBridgeFor(t *testing.T) {
	const west, east = 10001, 10002
	cfg := config.Config{Bridges: []config.Bridge{
		{Interface: "rest"}, {Interface: "mtu", MTU: 1400}, {Interface: "wan", Broker: "wan"},
		{Interface: "both", Broker: "wan", MTU: 1400}, {Interface: "other", Broker: "lan", MTU: 1446},
		{Interface: "west", Ports: []uint16{10000, west}}, {Interface: "west1400", Ports: []uint16{west}, MTU: 1400},
		{Interface: "east", Ports: []uint16{east}, Broker: "wan"},
	}}
	for _, c := range []struct {
		broker string
		mtu    int
		port   uint16
		want   string
	}{
		{"x", 1446, 53, "rest"}, {"x", 1400, 53, "mtu"}, {"wan", 1446, 53, "wan"}, {"wan", 1400, 53, "both"}, {"lan", 1446, 53, "other"}, {"lan", 1400, 53, "mtu"},
		{"wan", 1446, west, "west"}, {"wan", 1400, west, "west1400"}, {"wan", 1400, 10000, "west"},
		{"wan", 1400, east, "east"}, {"lan", 1400, east, "mtu"},
	} {
		if got := cfg.BridgeFor(c.broker, c.mtu, c.port); got == nil || got.Interface != c.want {
			t.Errorf("%s %d %d: got %+v, want %s", c.broker, c.mtu, c.port, got, c.want)
		}
	}
	if got := (&config.Config{Bridges: cfg.Bridges[4:]}).BridgeFor("wan", 1446, 53); got != nil {
		t.Errorf("got %+v, want none", got)
	}
	section := config.Broker{Name: "lan", Ports: []uint16{53, west}}
	var takes []string
	for i := range cfg.Bridges {
		if cfg.Bridges[i].Takes(&section) {
			takes = append(takes, cfg.Bridges[i].Interface)
		}
	}
	if got := strings.Join(takes, " "); got != "rest mtu other west west1400" {
		t.Errorf("sections that tunnels of lan can have: %s", got)
	}
}

func TestOverlaps(t *testing.T) {
	const ids = "option tunnel_id_base 2000\n"
	port := func(p, e string) string {
		return "f:4: broker 'b': port '" + p + "': broker 'a' on line 1 listens there too: want another port, address or interface" + e
	}
	for _, c := range []struct {
		name, a, b string // the options of two brokers, on one line each
		want       string
	}{
		{"nothing shared", "option port 53", ids + "option port 54", ""},
		{"any address", "option port 53", ids + "option port 53", port("53", "")},
		{"one port of several", "option port '1 2 3'", ids + "option port '4 3'", port("3", "")},
		{"IPv4 and IPv6", "option port 53; option address 0.0.0.0", ids + "option port 53; option address ::", ""},
		{"wildcard and one", "option port 53; option address 0.0.0.0", ids + "option port 53; option address 192.0.2.1", port("53", "")},
		{"any and one IPv6", "option port 53", ids + "option port 53; option address 2001:db8::1", port("53", "")},
		{"two addresses", "option port 53; option address 192.0.2.1", ids + "option port 53; option address 192.0.2.2", ""},
		{"one address", "option port 53; option address '192.0.2.1 192.0.2.3'", ids + "option port 53; option address '192.0.2.2 192.0.2.3'", port("53", "")},
		{"two interfaces", "option port 53; option interface x", ids + "option port 53; option interface y", ""},
		{"one interface", "option port 53; option interface x", ids + "option port 53; option interface x", port("53", "")},
		{"one without interface", "option port 53", ids + "option port 53; option interface x", port("53", "")},
		{"one address on two interfaces", "option port 53; option interface x; option address 192.0.2.1",
			ids + "option port 53; option interface y; option address 192.0.2.1", port("53", "")},
		{"IDs side by side", "option port 53; option max_tunnels 100", "option tunnel_id_base 200\noption port 54", ""},
		{"IDs from below", "option port 53; option max_tunnels 101", "option tunnel_id_base 200\noption port 54",
			"f:3: broker 'b': tunnel IDs 200–1223: broker 'a' on line 1 has 100–200: want another tunnel_id_base or a smaller max_tunnels"},
		{"IDs from above", "option port 53; option tunnel_id_base 3023", ids + "option port 54",
			"f:3: broker 'b': tunnel IDs 2000–3023: broker 'a' on line 1 has 3023–4046: want another tunnel_id_base or a smaller max_tunnels"},
		{"disabled", "option enabled 0", ids, ""},
	} {
		_, err := uci.Parse("f", "config broker a; "+c.a+"\nconfig broker b\n"+c.b+"\n")
		if got := fmt.Sprint(err); got != c.want && !(err == nil && c.want == "") {
			t.Errorf("%s: got  %v\nwant %s", c.name, err, c.want)
		}
	}
	// Ports by default are those of the section's line.
	_, err := uci.Parse("f", "config broker a\n\nconfig broker b\n"+ids)
	if want := "f:3: broker 'b': port '53'"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if b := one(t, "option tunnel_id_base 64512"); b.TunnelIDBase != 64512 {
		t.Errorf("the last 1024 IDs: got %+v", b)
	}
	// What is wrong in itself is mended first.
	_, err = uci.Parse("f", "config broker a\n\nconfig broker b\n\toption uuid_policy x\n")
	if want := "f:4: broker 'b': uuid_policy 'x': want any, replace, refuse"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s alone", err, want)
	}
}

// Every message that is not of a broker option's range, with its line.
func TestMessages(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"config brokr", "f:1: unknown section type 'brokr', did you mean 'broker'?"},
		{"config wifi", "f:1: unknown section type 'wifi'"},
		{"config broker wan\n\n\toption max_tunels 5", "f:3: broker 'wan': unknown option 'max_tunels', did you mean 'max_tunnels'?"},
		{"config broker\n\toption prot 5", "f:2: broker 'broker0': unknown option 'prot', did you mean 'port'?"},
		{"config broker\n\toption zzz ''", "f:2: broker 'broker0': unknown option 'zzz'"},
		{"config log\n\toption verbosity loud", "f:2: log: verbosity 'loud': want DEBUG, INFO, WARNING, ERROR, CRITICAL, FATAL, WARN, NOTSET"},
		{"config log\n\toption log_ip_addresses maybe", "f:2: log: log_ip_addresses 'maybe': want 0 or 1"},
		{"config log\n\n\nconfig log", "f:4: log: there is such a section on line 1 already: want one"},
		{"config hooks\n\toption directory hooks", "f:2: hooks: directory 'hooks': want an absolute path"},
		{"config hooks\n\toption session_down down.sh", "f:2: hooks: session_down 'down.sh': want an absolute path"},
		{"config hooks\n\toption timeout 0", "f:2: hooks: timeout '0': want 1–3600 seconds"},
		{"config hooks\n\toption session_updown /x", "f:2: hooks: unknown option 'session_updown', did you mean 'session_down'?"},
		{"config bridge", "f:1: bridge 'bridge0': interface is missing: want a bridge or a batman-adv interface"},
		{"config bridge\n\toption interface sixteen-bytes-00", "f:2: bridge 'bridge0': interface 'sixteen-bytes-00': want the name of an interface, at most 15 bytes without blank, '/' and ':'"},
		{"config bridge\n\toption interface b\n\toption mtu 1500b", "f:3: bridge 'bridge0': mtu '1500b': want 0 or 1280–8946"},
		{"config bridge\n\toption interface b\n\toption isolate x", "f:3: bridge 'bridge0': isolate 'x': want 0 or 1"},
		{"config broker wan\nconfig bridge m\n\toption interface b\n\toption broker wam", "f:4: bridge 'm': broker 'wam': want the name of a broker section, did you mean 'wan'?"},
		{"config bridge m\n\toption interface b\nconfig bridge n\n\toption interface c", "f:3: bridge 'n': the section on line 1 takes the same tunnels: give one of them another mtu, port or broker"},
		{"config broker\nconfig bridge m\n\toption interface b\n\tlist port 53\n\tlist port 123\nconfig bridge n\n\toption interface c\n\toption port '8942 123'",
			"f:6: bridge 'n': the section on line 2 takes the same tunnels: give one of them another mtu, port or broker"},
		{"config broker\nconfig bridge m\n\toption interface b\n\tlist port 53\n\tlist port 54", "f:5: bridge 'm': port '54': want a port of the broker sections that the bridge is for"},
		{"config broker wan\n\toption port 1\nconfig broker lan\n\toption port 2\n\toption tunnel_id_base 5000\nconfig bridge m\n\toption interface b\n\toption broker wan\n\tlist port 2",
			"f:9: bridge 'm': port '2': want a port of the broker sections that the bridge is for"},
		{"config broker\n\tlist max_tunnels 5\n\tlist max_tunnels 6", "f:3: broker 'broker0': max_tunnels '6': want one value only, there is '5' on line 2"},
		{"config broker\n\tlist port 5\n\tlist port ''", "f:3: broker 'broker0': port '': want a value"},
		{"config broker\n\toption tunnel_id_base 65000", "f:2: broker 'broker0': tunnel_id_base 65000 with max_tunnels 1024 ends at 66023: want 65535 at most"},
		{"config broker\n\toption tunnel_id_base 64513", "f:2: broker 'broker0': tunnel_id_base 64513 with max_tunnels 1024 ends at 65536: want 65535 at most"},
		{"config broker\n\toption max_tunnels 65535", "f:2: broker 'broker0': tunnel_id_base 100 with max_tunnels 65535 ends at 65634: want 65535 at most"},
		{"config broker\n\toption port '" + strings.Repeat("5 ", 65) + "'", "f:2: broker 'broker0': port '5': want at most 64 of them"},
		{strings.Repeat("config broker\n", 65), "f:65: broker 'broker64': want at most 64 broker sections"},
		{"config broker\n\toption port \"a\nb\"", "f:2: broker 'broker0': port 'a\\nb': want 1–65535"},
		{"config broker\n\toption port " + strings.Repeat("9", 100), "f:2: broker 'broker0': port '" + strings.Repeat("9", 60) + "…': want 1–65535"},
	} {
		_, err := uci.Parse("f", c.text)
		if faults, ok := err.(config.Faults); !ok || faults[len(faults)-1].Error() != c.want {
			t.Errorf("%q:\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	_, err := uci.Parse("/etc/config/tunneldigger-broker", `config bridge m
	option broker nobody
	option interface br0
config broker wan
	list port 53
	list port 70000
	option port_bse 1
	option pmtu '1400
	option max_tunnels 0
config log
	optoin verbosity INFO
	option verbosity LOUD
`)
	want := `/etc/config/tunneldigger-broker:2: bridge 'm': broker 'nobody': want the name of a broker section
/etc/config/tunneldigger-broker:6: broker 'wan': port '70000': want 1–65535
/etc/config/tunneldigger-broker:7: broker 'wan': unknown option 'port_bse', did you mean 'port_base'?
/etc/config/tunneldigger-broker:8: a quote ' is opened here and never closed
/etc/config/tunneldigger-broker:9: broker 'wan': max_tunnels '0': want 1–65535
/etc/config/tunneldigger-broker:11: unknown keyword 'optoin': want config, option or list
/etc/config/tunneldigger-broker:12: log: verbosity 'LOUD': want DEBUG, INFO, WARNING, ERROR, CRITICAL, FATAL, WARN, NOTSET`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestNotices(t *testing.T) {
	for _, c := range []struct{ options, want string }{
		{"option max_cookies 1024", "max_cookies is obsolete and ignored: cookies take no memory"},
		{"option port_base 20000", "port_base is obsolete and ignored: every tunnel uses the broker's own port"},
		{"option namespace x", "namespace is obsolete and ignored: several brokers are several sections"},
		{"option check_modules 1", "check_modules is obsolete and ignored: the kernel is asked at start"},
		{"option pmtu_discovery 0", "pmtu_discovery is obsolete: switched off it means pmtu '1446', which is what to write"},
		{"option pmtu_discovery on", "pmtu_discovery is obsolete and ignored: the MTU is discovered where pmtu is 0"},
		{"option pmtu_discovery no; option pmtu 0", "pmtu_discovery is obsolete and ignored: pmtu says it"},
		{"option uuid_policy refuse; option allow_list /a; option deny_list /d", ""},
		{"option connection_rate_limit_per_uuid_count 5; option connection_rate_limit_per_uuid_time 5", ""},
		{"option connection_rate_limit_per_ip_count 5",
			"the limit is off, it needs connection_rate_limit_per_ip_count and connection_rate_limit_per_ip_time"},
		{"option connection_rate_limit_per_ip_time 5",
			"the limit is off, it needs connection_rate_limit_per_ip_count and connection_rate_limit_per_ip_time"},
		{"list port 53; list port 53", "port '53' is covered by another one already"},
		{"list address ::; list address 2001:db8::1", "address '2001:db8::1' is covered by another one already"},
		{"option uuid_policy any; option bandwidth_down_max 5000; option bandwidth_down_default 100", ""},
	} {
		cfg, err := uci.Parse("f", "config broker\n"+c.options)
		want := "f:2: broker 'broker0': " + c.want
		if err != nil || strings.Join(cfg.Notices, "\n") != want && c.want != "" || c.want == "" && cfg.Notices != nil {
			t.Errorf("%s:\ngot  %+v, %v\nwant %s", c.options, cfg, err, want)
		}
	}
	cfg, err := uci.Parse("f", "config broker\noption connection_rate_limit_per_ip_count 5\noption namespace x")
	if err != nil || len(cfg.Notices) != 2 || !strings.HasPrefix(cfg.Notices[0], "f:2: ") || !strings.HasPrefix(cfg.Notices[1], "f:3: ") {
		t.Errorf("got %+v, %v, want two notices in file order", cfg, err)
	}
}

// The UCI file of today's OpenWrt package, and that of the one before.
func TestOpenWrtUpgrade(t *testing.T) {
	cfg, err := uci.Parse("f", `config broker
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
	option connection_rate_limit_per_ip_count '0'
	option connection_rate_limit_per_ip_time '0'

config log
	option filename '/dev/null'
	option verbosity 'INFO'
	option log_ip_addresses '0'

config bridge
	option interface 'br-mybridge'
	option mtu '1446'
	option isolate '1'
`)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Notices) != 4 {
		t.Errorf("got notices %q, want one for each of 4 obsolete options", cfg.Notices)
	}
	cfg.Notices = nil
	if want := (&config.Config{
		Brokers: []config.Broker{{Name: "broker0", Interface: "loopback", Ports: []uint16{53, 123, 8942}, MaxTunnels: 1024,
			TunnelIDBase: 100, TunnelTimeout: time.Minute, AnswerRate: 5000, RateInterval: 200 * time.Millisecond}},
		Bridges: []config.Bridge{{Name: "bridge0", MTU: 1446, Interface: "br-mybridge", Isolate: true}},
		Hooks:   config.Hooks{VerifyCache: time.Minute, Timeout: 30 * time.Second},
		Log:     config.Log{Level: config.Info},
	}); !reflect.DeepEqual(cfg, want) {
		t.Errorf("got %+v\nwant %+v", cfg, want)
	}
}

func TestNames(t *testing.T) {
	cfg, err := uci.Parse("f", `
config broker broker1
	option port 1; option tunnel_id_base 1; option max_tunnels 1
config broker
	option port 2; option tunnel_id_base 2; option max_tunnels 1
config broker
	option port 3; option tunnel_id_base 3; option max_tunnels 1
`)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, b := range cfg.Brokers {
		names = append(names, b.Name)
	}
	if got := strings.Join(names, " "); got != "broker1 broker1_ broker2" {
		t.Errorf("got %s", got)
	}
}

func TestFormatUCI(t *testing.T) {
	hooks := config.Hooks{Timeout: 1500 * time.Millisecond, VerifyTimeoutAccept: true, Parallel: 100, VerifyCache: 1500 * time.Millisecond, LeastPrivilege: true, Directory: "/it's \"odd\" $(x) \\ # ; ü"}
	for e := range hooks.Program {
		hooks.Program[e] = "/hook '" + config.Event(e).String() + "'"
	}
	cfg := &config.Config{
		Brokers: []config.Broker{
			{Name: "wan", Interface: "it's", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
				Ports: []uint16{8942, 53}, MaxTunnels: 10, TunnelIDBase: 1, TunnelTimeout: 61234567891 * time.Nanosecond, PMTU: 1364,
				RateInterval: 1234567 * time.Nanosecond, PerIP: config.Rate{Count: 3, Time: 86399999999999}, PerUUID: config.Rate{Count: 1, Time: time.Millisecond},
				UUIDPolicy: config.UUIDReplace, AllowList: "/a'", DenyList: "/'b'", BandwidthDownMax: 100000000, BandwidthDownDefault: 1, AnswerRate: 1000000},
			{Name: "lan", Ports: []uint16{54}, MaxTunnels: 65525, TunnelIDBase: 11, TunnelTimeout: time.Hour},
		},
		Bridges: []config.Bridge{{Name: "m", Interface: "a'b", Isolate: true, Broker: "wan", Ports: []uint16{53, 8942}}, {Name: "n", MTU: 1280, Interface: "bat0"}},
		Hooks:   hooks,
		Log:     config.Log{Level: config.Error, Addresses: true},
	}
	text := config.FormatUCI(cfg)
	got, err := uci.Parse("f", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	got.Notices = nil
	if !reflect.DeepEqual(got, cfg) {
		t.Errorf("got  %+v\nwant %+v\n%s", got, cfg, text)
	}
}

func TestStrings(t *testing.T) {
	var got []string
	for e := config.Event(0); e <= config.EventCount; e++ {
		got = append(got, e.String())
	}
	want := "session.up session.pre-down session.down session.mtu-changed broker.connection-rate-limit session.verify unknown"
	if strings.Join(got, " ") != want {
		t.Errorf("got %q, want %s", got, want)
	}
	if s := config.Level(9).String(); s != "unknown" {
		t.Errorf("level 9: %s", s)
	}
}
