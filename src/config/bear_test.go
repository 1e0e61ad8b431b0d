package config_test

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"tunneldigger/src/config"
	"tunneldigger/src/config/classic"
	"tunneldigger/src/config/uci"
)

// Files that the Python broker started with, and those that come near them: what a start makes of each, with which
// notices; check says the same and calls those in faults faults; a reload refuses these, unless it has them already.
func TestStart(t *testing.T) {
	const (
		c = "[broker]\n" // a classic file; what has no "[" is a UCI file
		u = "config broker 'wan'\n"
	)
	for _, test := range []struct {
		name, text string
		has        string // lines of the configuration, as UCI, between "; "
		hasNot     string
		faults     string // as start and check say them, without the file's name
		notices    string
	}{
		{"tunnel IDs from 0", c + "tunnel_id_base=0\nmax_tunnels=256\n", "tunnel_id_base '1'; max_tunnels '256'", "",
			"2: broker: tunnel_id_base '0': want 1–65535 (a start takes 1)", ""},
		{"tunnel IDs past the end", c + "tunnel_id_base=65000\n", "tunnel_id_base '65000'; max_tunnels '536'", "",
			"2: broker: tunnel_id_base 65000 with max_tunnels 1024 ends at 66023: want 65535 at most (a start takes max_tunnels 536)", ""},
		{"tunnel IDs past the end, UCI", u + "\toption max_tunnels '65535'\n", "tunnel_id_base '100'; max_tunnels '65436'", "",
			"2: broker 'wan': tunnel_id_base 100 with max_tunnels 65535 ends at 65634: want 65535 at most (a start takes max_tunnels 65436)",
			"2: broker 'wan': connection_rate_limit lets one tunnel in every 0.2 s: after a restart 65535 nodes, as many as max_tunnels allows, take 3 hours 38 minutes to come back; with 0.004 it is five minutes"},
		{"no tunnels", c + "max_tunnels=0\n", "max_tunnels '1'", "", "2: broker: max_tunnels '0': want 1–65535 (a start takes 1)", ""},
		{"no number", c + "max_tunnels=many\n", "max_tunnels '1024'", "", "2: broker: max_tunnels 'many': want 1–65535 (a start takes the default)", ""},
		{"one port of a list", c + "port=53, 123x ,8942\n", "port '53'; port '8942'", "port '123'", "2: broker: port '123x': want 1–65535 (a start leaves it out)", ""},
		{"port 0 and beyond", u + "\tlist port '0'\n\tlist port '8942'\n\tlist port '65536'\n", "port '8942'", "port '53'",
			"2: broker 'wan': port '0': want 1–65535 (a start leaves it out)\n4: broker 'wan': port '65536': want 1–65535 (a start leaves it out)", ""},
		{"an empty port", c + "port=53,,8942,\n", "port '53'; port '8942'", "port '123'", "", ""},
		{"ports twice", c + "port=53,53\n", "port '53'", "port '123'", "", "2: broker: port '53' is covered by another one already"},
		{"an address that is none", c + "address=192.0.2.1 192.0.2.256\n", "address '192.0.2.1'", "",
			"2: broker: address '192.0.2.256': want an IPv4 or IPv6 address of this host, not multicast, not IPv6 link-local, without zone; or its name (a start leaves it out)", ""},
		{"a host's name", c + "address=gw-1.example.net\n", "address 'gw-1.example.net'", "", "", ""},
		{"MTU below", c + "pmtu=1200\n", "pmtu '1280'", "", "2: broker: pmtu '1200': want 0 or 1280–8946 (a start takes 1280)", ""},
		{"MTU above", u + "\toption pmtu '9000'\n", "pmtu '8946'", "", "2: broker 'wan': pmtu '9000': want 0 or 1280–8946 (a start takes 8946)", ""},
		{"MTU below nothing", c + "pmtu=-1\n", "pmtu '1280'", "", "2: broker: pmtu '-1': want 0 or 1280–8946 (a start takes 1280)", ""},
		{"no discovery", c + "pmtu_discovery=false\n", "pmtu '1446'", "", "", "2: broker: pmtu_discovery is obsolete: switched off it means pmtu '1446', which is what to write"},
		{"no discovery, UCI", u + "\toption pmtu_discovery '0'\n", "pmtu '1446'", "", "",
			"2: broker 'wan': pmtu_discovery is obsolete: switched off it means pmtu '1446', which is what to write"},
		{"no discovery, with pmtu", c + "pmtu=0\npmtu_discovery=No\n", "", "pmtu", "", "3: broker: pmtu_discovery is obsolete and ignored: pmtu says it"},
		{"discovery neither nor", c + "pmtu_discovery=maybe\n", "", "pmtu", "2: broker: pmtu_discovery 'maybe': want 0 or 1 (a start takes the default)",
			"2: broker: pmtu_discovery is obsolete and ignored: the MTU is discovered where pmtu is 0"},
		{"a short time-out", u + "\toption tunnel_timeout '5'\n", "tunnel_timeout '10'", "", "2: broker 'wan': tunnel_timeout '5': want 10–3600 seconds (a start takes 10)", ""},
		{"a long time-out", c + "tunnel_timeout=7200\n", "tunnel_timeout '3600'", "", "2: broker: tunnel_timeout '7200': want 10–3600 seconds (a start takes 3600)", ""},
		{"numbers as Python has them", c + "max_tunnels= +1_0\nconnection_rate_limit=2e-1\nconnection_rate_limit_per_ip_count=007\nconnection_rate_limit_per_ip_time=6E1\n",
			"max_tunnels '10'; connection_rate_limit '0.2'; connection_rate_limit_per_ip_count '7'; connection_rate_limit_per_ip_time '60'", "", "", ""},
		{"a rate below nothing", c + "connection_rate_limit=-1\n", "connection_rate_limit '0'", "",
			"2: broker: connection_rate_limit '-1': want 0 or 0.001–3600 seconds (a start takes 0)", ""},
		{"a rate above", c + "connection_rate_limit=inf\nmax_tunnels=1\n", "connection_rate_limit '3600'", "",
			"2: broker: connection_rate_limit 'inf': want 0 or 0.001–3600 seconds (a start takes 3600)",
			"2: broker: connection_rate_limit lets one tunnel in every 3600 s: after a restart 1 nodes, as many as max_tunnels allows, take 1 hours 0 minutes to come back; with 300 it is five minutes"},
		{"the rate of old files", c + "connection_rate_limit=10\nmax_tunnels=60\n", "connection_rate_limit '10'", "", "",
			"2: broker: connection_rate_limit lets one tunnel in every 10 s: after a restart 60 nodes, as many as max_tunnels allows, take 10 minutes to come back; with 5 it is five minutes"},
		{"limits beyond", c + "connection_rate_limit_per_ip_count=-5\nconnection_rate_limit_per_ip_time=999999\n", "", "connection_rate_limit_per_ip_count",
			"2: broker: connection_rate_limit_per_ip_count '-5': want 0–1000000 (a start takes 0)\n" +
				"3: broker: connection_rate_limit_per_ip_time '999999': want 0 or 0.001–86400 seconds (a start takes 86400)",
			"2: broker: the limit is off, it needs connection_rate_limit_per_ip_count and connection_rate_limit_per_ip_time"},
		{"several values", c + "max_tunnels=5\n 6\n", "max_tunnels '6'", "", "3: broker: max_tunnels '6': want one value only, there is '5' on line 2 (a start takes the last one)", ""},
		{"truth as Python has it", c + "[log]\nlog_ip_addresses=TRUE\n", "log_ip_addresses '1'", "", "", ""},
		{"neither true nor false", c + "[log]\nlog_ip_addresses=2\n", "", "log_ip_addresses", "3: log: log_ip_addresses '2': want 0 or 1 (a start takes the default)", ""},
		{"verbosity of Python", c + "[log]\nverbosity=NOTSET\n", "verbosity 'WARNING'", "", "", ""},
		{"verbosity of nobody", c + "[log]\nverbosity=LOUD\n", "verbosity 'INFO'", "",
			"3: log: verbosity 'LOUD': want DEBUG, INFO, WARNING, ERROR, CRITICAL, FATAL, WARN, NOTSET (a start takes the default)", ""},
		{"logs of hooks", c + "[log]\nscript_log=/var/log/hooks.log\nfilename=td.log\n", "", "script_log", "",
			"3: log: script_log is obsolete and ignored: what hooks print is in the log\n4: log: filename is obsolete and ignored: the log goes to standard error"},
		{"a hook of a newer broker", c + "[hooks]\nsession.ready=/srv/ready.sh\nsession.up=/srv/up.sh\n", "session_up '/srv/up.sh'", "/srv/ready.sh",
			"3: hooks: unknown option 'session.ready' (a start ignores it)", ""},
		{"a hook's old name", c + "[hooks]\nbroker.tunnel-connection-threshold=/srv/limit.sh\n", "broker_connection_rate_limit '/srv/limit.sh'", "", "",
			"3: hooks: broker.tunnel-connection-threshold is the old name of broker.connection-rate-limit"},
		{"relative hooks", c + "[hooks]\nsession.up=scripts/up.sh\nsession.down=./down.sh\n", "session_up '/srv/td/scripts/up.sh'; session_down '/srv/td/down.sh'", "", "",
			"3: hooks: session.up 'scripts/up.sh' is taken as '/srv/td/scripts/up.sh', from the folder of this file\n" +
				"4: hooks: session.down './down.sh' is taken as '/srv/td/down.sh', from the folder of this file"},
		{"an unknown option", c + "max_tunnel=5\ncomment=ours\n", "max_tunnels '1024'", "comment",
			"2: broker: unknown option 'max_tunnel', did you mean 'max_tunnels'? (a start ignores it)\n3: broker: unknown option 'comment' (a start ignores it)", ""},
		{"an unknown option, UCI", u + "\toption comment 'roof, 3rd floor'\n", "", "comment", "2: broker 'wan': unknown option 'comment' (a start ignores it)", ""},
		{"an unknown section", c + "[bridge]\nmtu=1446\n", "", "bridge", "2: unknown section type 'bridge' (a start ignores it)", ""},
		{"an unknown section, UCI", u + "config bride\n\toption interface 'br-mesh'\n", "", "br-mesh", "2: unknown section type 'bride', did you mean 'bridge'? (a start ignores it)", ""},
		{"defaults", "[DEFAULT]\nbase=/srv/td\nlog_ip_addresses=yes\n[broker]\nport=53\n[hooks]\nsession.up=%(base)s/up.sh\n[log]\n",
			"session_up '/srv/td/up.sh'; log_ip_addresses '1'", "option base", "", ""},
		{"a reference", c + "net=192.0.2\naddress=%(net)s.1\n", "address '192.0.2.1'", "net ", "", ""},
		{"a reference to nothing", c + "[hooks]\nsession.up=%(base)s/up.sh\n", "session_up '/srv/td/%(base)s/up.sh'", "",
			"3: session.up: '%(base)s/up.sh': there is no option 'base' in this section or in [DEFAULT] (a start takes it as it stands)",
			"3: hooks: session.up '%(base)s/up.sh' is taken as '/srv/td/%(base)s/up.sh', from the folder of this file"},
		{"comments behind values", c + "port=53,123 ; DNS, NTP\nmax_tunnels=5 # few\n", "port '53'; port '123'; max_tunnels '5'", "port '8942'",
			"2: port: '53,123 ; DNS, NTP': want a comment on a line of its own (a start takes what stands before it)\n" +
				"3: max_tunnels: '5 # few': want a comment on a line of its own (a start takes what stands before it)", ""},
		{"a section twice", c + "port=53\n[log]\nverbosity=ERROR\n[broker]\nmax_tunnels=5\n", "port '53'; max_tunnels '5'; verbosity 'ERROR'", "",
			"5: [broker] is there already, on line 1 (a start reads both)", ""},
		{"an option twice", c + "port=53\nport=123\n", "port '123'", "port '53'", "3: broker: port is there already, on line 2 (a start takes this one)", ""},
		{"text behind a header", "[broker] the one\nport=53\n", "port '53'", "", "1: [broker]: 'the one' stands behind it: want it on a line of its own (a start ignores it)", ""},
		{"logs twice", u + "config log\n\toption verbosity 'ERROR'\n\toption log_ip_addresses '1'\nconfig log\n\toption verbosity 'DEBUG'\n", "verbosity 'DEBUG'; log_ip_addresses '1'", "",
			"5: log: there is such a section on line 2 already: want one (a start reads both, and of an option in both this one)", ""},
		{"bridges of one MTU", u + "config bridge 'a'\n\toption mtu '1446'\n\toption interface 'br-a'\nconfig bridge 'b'\n\toption mtu '1446'\n\toption interface 'br-b'\n\toption isolate '1'\n",
			"interface 'br-b'; isolate '1'", "br-a",
			"5: bridge 'b': the section on line 2 takes the same tunnels: give one of them another mtu, port or broker (a start takes this one alone)", ""},
		{"a bridge of no MTU", u + "config bridge 'a'\n\toption mtu '1200'\n\toption interface 'br-a'\n", "", "br-a",
			"3: bridge 'a': mtu '1200': want 0 or 1280–8946 (a start leaves the section out)", ""},
		{"a bridge without interface", u + "config bridge 'a'\n\toption mtu '1446'\n", "", "bridge",
			"2: bridge 'a': interface is missing: want a bridge or a batman-adv interface (a start leaves the section out)", ""},
		{"a bridge that is no name", u + "config bridge 'a'\n\toption interface 'br mesh'\n", "", "bridge",
			"3: bridge 'a': interface 'br mesh': want the name of an interface, at most 15 bytes without blank, '/' and ':' (a start leaves the section out)", ""},
		{"isolation neither nor", u + "config bridge 'a'\n\toption interface 'br-a'\n\toption isolate 'y'\n", "interface 'br-a'", "isolate",
			"4: bridge 'a': isolate 'y': want 0 or 1 (a start takes the default)", ""},
		{"a section that is off", u + "config broker 'x'\n\toption enabled '0'\n\toption uuid_policy 'x'\n", "broker 'wan'", "broker 'x'",
			"4: broker 'x': uuid_policy 'x': want any, replace, refuse (a start leaves the section out, as it is not enabled)", ""},
		{"one section of two", u + "config broker 'x'\n\tlist port 'http'\n\toption tunnel_id_base 5000\n", "broker 'wan'", "broker 'x'",
			"3: broker 'x': port 'http': want 1–65535 (a start leaves the section out)", ""},
		{"an interface that is none, of two", u + "config broker 'x'\n\toption interface 'a/b'\n", "broker 'wan'", "broker 'x'",
			"3: broker 'x': interface 'a/b': want the name of an interface, at most 64 bytes without blank, '/' and ':' (a start leaves the section out)", ""},
	} {
		parse := func(text string) (*config.Config, error) {
			if strings.HasPrefix(text, "[") || strings.HasPrefix(text, "\n[") {
				return classic.Parse("f", "/srv/td", text)
			}
			return uci.Parse("f", text)
		}
		cfg, err := parse(test.text)
		if cfg == nil {
			t.Errorf("%s: does not start: %v", test.name, err)
			continue
		}
		faults, _ := err.(config.Faults)
		if (err == nil) != (test.faults == "") || !reflect.DeepEqual(faults, cfg.Faults) {
			t.Errorf("%s: got %v, faults %v", test.name, err, cfg.Faults)
		}
		var reports []string
		for _, f := range faults {
			reports = append(reports, strings.TrimPrefix(f.Report(), "f:"))
		}
		if got := strings.Join(reports, "\n"); got != test.faults {
			t.Errorf("%s: faults\n%s\nwant\n%s", test.name, got, test.faults)
		}
		if got := strings.ReplaceAll("\n"+strings.Join(cfg.Notices, "\n"), "\nf:", "\n")[1:]; got != test.notices && "\n"+got != test.notices {
			t.Errorf("%s: notices\n%s\nwant\n%s", test.name, got, test.notices)
		}
		text := config.FormatUCI(cfg)
		for _, want := range strings.Split(test.has, "; ") {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", test.name, want, text)
			}
		}
		if test.hasNot != "" && strings.Contains(text, test.hasNot) {
			t.Errorf("%s: %q is in\n%s", test.name, test.hasNot, text)
		}
		// What it starts with is right, and so an upgrade carries it over.
		again, err := uci.Parse("g", text)
		if err != nil || len(config.Differences(cfg, again)) > 0 {
			t.Errorf("%s: written and read again: %v, %v", test.name, err, config.Differences(cfg, again))
		}
		// The same file again, and with a line more before everything, has nothing new in it.
		if moved, _ := parse("\n" + test.text); moved == nil || len(moved.Faults.Beyond(cfg.Faults)) > 0 {
			t.Errorf("%s: new in the same file: %v", test.name, moved)
		}
		if news := cfg.Faults.Beyond(nil); len(news) != len(cfg.Faults) {
			t.Errorf("%s: new to a configuration without faults: %v", test.name, news)
		}
	}
}

// What stops a start: what leaves nothing to serve, what libuci or Python refuse, and wrong values of options that the
// Python broker did not have.
func TestStops(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"no address is right", "[broker]\naddress=192.0.2.256\n", "f:2: broker: address '192.0.2.256'"},
		{"no port is right", "[broker]\nport=http\n", "f:2: broker: port 'http': want 1–65535"},
		{"no interface", "[broker]\ninterface=my device\n", "f:2: broker: interface 'my device'"},
		{"no section is right", "config broker a\n\tlist port x\nconfig broker b\n\toption interface 'a b'\n\toption tunnel_id_base 5000\n", "f:2: broker 'a': port 'x'"},
		{"no line of the form", "[broker]\nport\n", "f:2: 'port': want a line of the form name = value"},
		{"before a section", "port=53\n[broker]\n", "f:1: option 'port' stands before the first section"},
		{"UCI that libuci refuses", "config broker\n\toption 'port 53\n", "a quote ' is opened here and never closed"},
		{"a policy", "config broker\n\toption uuid_policy some\n", "f:2: broker 'broker0': uuid_policy 'some': want any, replace, refuse"},
		{"a list", "config broker\n\toption deny_list deny\n", "f:2: broker 'broker0': deny_list 'deny': want an absolute path"},
		{"a bandwidth", "[broker]\nbandwidth_down_max=2M\n", "f:2: broker: bandwidth_down_max '2M': want 0–100000000 kbit/s"},
		{"hooks of ours", "config broker\nconfig hooks\n\toption session_up 'up.sh'\n", "f:3: hooks: session_up 'up.sh': want an absolute path"},
		{"a hook of ours", "[broker]\n[hooks]\nsession.verify=/a\tb\n", "f:3: hooks: session.verify '/a\\tb': want an absolute path"},
		{"a bridge for nobody", "config broker\nconfig bridge\n\toption interface br0\n\toption broker wan\n", "f:4: bridge 'bridge0': broker 'wan'"},
		{"a bridge for no port", "config broker\nconfig bridge\n\toption interface br0\n\tlist port 54\n", "f:4: bridge 'bridge0': port '54'"},
		{"two of one port", "config broker a\nconfig broker b\n\toption tunnel_id_base 5000\n", "f:2: broker 'b': port '53': broker 'a' on line 1 listens there too"},
	} {
		parse := uci.Parse
		if strings.HasPrefix(test.text, "[") || !strings.HasPrefix(test.text, "config") {
			parse = func(name, text string) (*config.Config, error) { return classic.Parse(name, "/srv", text) }
		}
		cfg, err := parse("f", test.text)
		faults, _ := err.(config.Faults)
		if cfg != nil || !faults.Stop() || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %+v, %v, want %q", test.name, cfg, err, test.want)
		}
	}
}

// Names of hosts become addresses; what can't is left out, and said.
func TestResolve(t *testing.T) {
	find := func(name string) ([]netip.Addr, error) {
		var all []netip.Addr
		for _, a := range strings.Fields(map[string]string{
			"both": "2001:db8::5 192.0.2.5 ::ffff:192.0.2.6", "six": "fe80::1 2001:db8::6", "far": "ff02::1", "a": "192.0.2.1",
		}[name]) {
			all = append(all, netip.MustParseAddr(a))
		}
		if all == nil {
			return nil, errors.New("no such host")
		}
		return all, nil
	}
	const second = "config broker b\n\toption tunnel_id_base 5000\n"
	for _, test := range []struct{ name, text, want, faults string }{
		{"IPv4 before IPv6", "config broker a\n\tlist address both\n", "[192.0.2.5 192.0.2.6]", ""},
		{"IPv6 alone", "config broker a\n\tlist address six\n\tlist address 192.0.2.7\n", "[192.0.2.7 2001:db8::6]", ""},
		{"one that is unknown", "config broker a\n\tlist address none\n\tlist address 192.0.2.7\n", "[192.0.2.7]",
			"f: broker 'a': address 'none': no such host (a start leaves it out)"},
		{"none that is known", "config broker a\n\tlist address none\n" + second + "\tlist address a\nconfig bridge\n\toption broker a\n\toption interface br0\n", "[192.0.2.1]",
			"f: broker 'a': address 'none': no such host (a start leaves it out)\n" +
				"f: broker 'a': no address is left: want one that is right (a start leaves the section out until a reload finds an address)"},
		{"nothing to listen on", "config broker a\n\tlist address far\n", "",
			"f: broker 'a': address 'far': it has no address to listen on (a start leaves it out)\n" +
				"f: broker 'a': no address is left: want one that is right (a start leaves the section out until a reload finds an address)\n" +
				"f: nothing is left to serve: want a broker section with an address"},
		{"one that another section has", "config broker a\n\tlist address a\n\tlist address 192.0.2.7\n" + second + "\tlist address 192.0.2.1\n", "[192.0.2.7] [192.0.2.1]",
			"f: broker 'a': address 'a': broker 'b' listens on 192.0.2.1, too: want another port or address (a start leaves it out)"},
		{"two of one name", "config broker a\n\tlist address a\n" + second + "\tlist address 192.0.2.7\n\tlist address a\n", "[192.0.2.1] [192.0.2.7]",
			"f: broker 'b': address 'a': broker 'a' listens on 192.0.2.1, too: want another port or address (a start leaves it out)"},
	} {
		cfg, err := uci.Parse("f", test.text)
		if err != nil {
			t.Fatal(err)
		}
		cfg, err = cfg.Resolve("f", find)
		var got, reports []string
		if cfg != nil {
			for _, b := range cfg.Brokers {
				if b.Names != nil {
					t.Errorf("%s: names are left: %q", test.name, b.Names)
				}
				got = append(got, "["+stringsOf(b.Addresses)+"]")
			}
			for _, b := range cfg.Bridges {
				t.Errorf("%s: bridge of a section that is left out: %+v", test.name, b)
			}
		}
		faults, _ := err.(config.Faults)
		for _, f := range faults {
			reports = append(reports, f.Report())
		}
		if strings.Join(got, " ") != test.want || strings.Join(reports, "\n") != test.faults {
			t.Errorf("%s: got %q,\n%s\nwant %s,\n%s", test.name, got, strings.Join(reports, "\n"), test.want, test.faults)
		}
	}
}

func stringsOf(addrs []netip.Addr) string {
	var all []string
	for _, a := range addrs {
		all = append(all, a.String())
	}
	return strings.Join(all, " ")
}

// :: alone is IPv4, too, where no IPv4 is beside it.
func TestBothFamilies(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"config broker a\n\tlist address ::\n", ":: 0.0.0.0"},
		{"config broker a\n\tlist address ::\n\tlist address 192.0.2.1\n", ":: 192.0.2.1"},
		{"config broker a\n\tlist address 2001:db8::1\n", "2001:db8::1"},
		{"config broker a\n", ""},
		{"config broker a\n\tlist address ::\nconfig broker b\n\tlist address 0.0.0.0\n\toption tunnel_id_base 5000\n", "::"},
		{"config broker a\n\tlist address ::\nconfig broker b\n\tlist address 0.0.0.0\n\toption port 54\n\toption tunnel_id_base 5000\n", ":: 0.0.0.0"},
	} {
		cfg, err := uci.Parse("f", test.text)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			cfg.BothFamilies()
			if got := stringsOf(cfg.Brokers[0].Addresses); got != test.want {
				t.Errorf("%s: got %s, want %s", test.text, got, test.want)
			}
		}
	}
}
