package classic

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/config"
	"tunneldigger/src/config/uci"
)

// The options that the reference broker's example file has.
const example = `[broker]
; a comment
address=127.0.0.1
port=53,123,8942
interface=lo
max_tunnels=1024
tunnel_id_base=100
connection_rate_limit=0.1
connection_rate_limit_per_ip_count=20
connection_rate_limit_per_ip_time=60
pmtu=0

[log]
verbosity=DEBUG
log_ip_addresses=false

[hooks]
# a comment
session.up=/srv/up.sh
session.pre-down=
session.down=/srv/down.sh
session.mtu-changed=/srv/mtu.sh
broker.connection-rate-limit=/srv/limit.sh
`

func TestExample(t *testing.T) {
	got, err := Parse("f", "/srv", example)
	want := &config.Config{
		Brokers: []config.Broker{{
			Name: "broker", Interface: "lo", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Ports: []uint16{53, 123, 8942},
			MaxTunnels: 1024, TunnelIDBase: 100, TunnelTimeout: 120 * time.Second, AnswerRate: 5000, RateInterval: time.Second / 10,
			PerIP: config.Rate{Count: 20, Time: time.Minute},
		}},
		Hooks: config.Hooks{VerifyCache: time.Minute, Timeout: 30 * time.Second, Program: [config.EventCount]string{
			config.EventSessionUp: "/srv/up.sh", config.EventSessionDown: "/srv/down.sh",
			config.EventMTUChanged: "/srv/mtu.sh", config.EventRateLimit: "/srv/limit.sh",
		}},
		Log: config.Log{Level: config.Debug},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v, %v\nwant %+v", got, err, want)
	}
	text := config.FormatUCI(got)
	if got, err := uci.Parse("f", text); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("converted: got  %+v, %v\nwant %+v\n%s", got, err, want, text)
	}
}

// What convert prints, to the byte.
func TestConvert(t *testing.T) {
	cfg, err := Parse("f", "/srv", example)
	if err != nil {
		t.Fatal(err)
	}
	want := `config broker 'broker'
	option interface 'lo'
	list address '127.0.0.1'
	list port '53'
	list port '123'
	list port '8942'
	option max_tunnels '1024'
	option tunnel_id_base '100'
	option tunnel_timeout '120'
	option connection_rate_limit '0.1'
	option connection_rate_limit_per_ip_count '20'
	option connection_rate_limit_per_ip_time '60'

config hooks
	option timeout '30'
	option session_up '/srv/up.sh'
	option session_down '/srv/down.sh'
	option session_mtu_changed '/srv/mtu.sh'
	option broker_connection_rate_limit '/srv/limit.sh'

config log
	option verbosity 'DEBUG'
`
	if got := config.FormatUCI(cfg); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The files of older versions of the reference broker go on working.
func TestOlderFiles(t *testing.T) {
	cfg, err := Parse("f", "/srv", `[broker]
address=192.0.2.1
port=10060
interface=eth0
max_cookies=50
max_tunnels=50
port_base=20000
tunnel_id_base=100
tunnel_timeout=60
pmtu_discovery=false
namespace=experiments
check_modules=true
[log]
filename=/var/log/tunneldigger-broker.log
verbosity=DEBUG
log_ip_addresses=False
[hooks]
session.up=/srv/session-up.sh
`)
	if err != nil {
		t.Fatal(err)
	}
	want := `f:5: broker: max_cookies is obsolete and ignored: cookies take no memory
f:7: broker: port_base is obsolete and ignored: every tunnel uses the broker's own port
f:10: broker: pmtu_discovery is obsolete: switched off it means pmtu '1446', which is what to write
f:11: broker: namespace is obsolete and ignored: several brokers are several sections
f:12: broker: check_modules is obsolete and ignored: the kernel is asked at start
f:14: log: filename is obsolete and ignored: the log goes to standard error`
	if got := strings.Join(cfg.Notices, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if b := cfg.Brokers[0]; b.TunnelTimeout != time.Minute || b.MaxTunnels != 50 || b.PMTU != 1446 {
		t.Errorf("got %+v", b)
	}
}

// The dialect of Python's configparser.
func TestScan(t *testing.T) {
	val := func(line int, text string) []config.Value { return []config.Value{{Line: line, Text: text}} }
	for _, c := range []struct {
		name, text string
		want       []config.Section
	}{
		{"empty", "\n \n# x\n ; y\n", nil},
		{"both forms", "[a]\nb=c\nd : e = f\ng=h:i", []config.Section{{Type: "a", Line: 1, Options: []config.Option{
			{Name: "b", Line: 2, Values: val(2, "c")}, {Name: "d", Line: 3, Values: val(3, "e = f")}, {Name: "g", Line: 4, Values: val(4, "h:i")}}}}},
		{"case", "[a]\nSession.UP=/X", []config.Section{{Type: "a", Line: 1, Options: []config.Option{{Name: "session.up", Line: 2, Values: val(2, "/X")}}}}},
		{"empty value", "[a]\nb=\nc:", []config.Section{{Type: "a", Line: 1, Options: []config.Option{{Name: "b", Line: 2}, {Name: "c", Line: 3}}}}},
		{"continued", "[a]\nb = 1,\n  2,\n\n# x\n 3\nc=4", []config.Section{{Type: "a", Line: 1, Options: []config.Option{
			{Name: "b", Line: 2, Values: []config.Value{{Line: 2, Text: "1,"}, {Line: 3, Text: "2,"}, {Line: 6, Text: "3"}}},
			{Name: "c", Line: 7, Values: val(7, "4")}}}}},
		{"on the next line", "[a]\nb =\n\t1", []config.Section{{Type: "a", Line: 1, Options: []config.Option{{Name: "b", Line: 2, Values: val(3, "1")}}}}},
		{"header indented", "  [a]\n b=1\n", []config.Section{{Type: "a", Line: 1, Options: []config.Option{{Name: "b", Line: 2, Values: val(2, "1")}}}}},
		{"indented less and less", "[a]\n   b=1\n  c=2\n d=3", []config.Section{{Type: "a", Line: 1, Options: []config.Option{
			{Name: "b", Line: 2, Values: val(2, "1")}, {Name: "c", Line: 3, Values: val(3, "2")}, {Name: "d", Line: 4, Values: val(4, "3")}}}}},
		{"indented more", "[a]\nb=1\n c=2", []config.Section{{Type: "a", Line: 1, Options: []config.Option{
			{Name: "b", Line: 2, Values: []config.Value{{Line: 2, Text: "1"}, {Line: 3, Text: "c=2"}}}}}}},
		{"line ends", "[a]\r\nb=1\rc=2\n", []config.Section{{Type: "a", Line: 1, Options: []config.Option{
			{Name: "b", Line: 2, Values: val(2, "1")}, {Name: "c", Line: 3, Values: val(3, "2")}}}}},
		{"percent", "[a]\nb=1%%2", []config.Section{{Type: "a", Line: 1, Options: []config.Option{{Name: "b", Line: 2, Values: val(2, "1%2")}}}}},
		{"reference", "[a]\nb=%(D)s/%(e)s%%\nd=/%(e)s\nE=x", []config.Section{{Type: "a", Line: 1, Options: []config.Option{
			{Name: "b", Line: 2, Values: val(2, "/x/x%")}, {Name: "d", Line: 3, Values: val(3, "/x"), Variable: true},
			{Name: "e", Line: 4, Values: val(4, "x"), Variable: true}}}}},
		{"reference to lines", "[a]\nb=0,%(c)s\nc=1,\n 2", []config.Section{{Type: "a", Line: 1, Options: []config.Option{
			{Name: "b", Line: 2, Values: []config.Value{{Line: 2, Text: "0,1,"}, {Line: 2, Text: "2"}}},
			{Name: "c", Line: 3, Values: []config.Value{{Line: 3, Text: "1,"}, {Line: 4, Text: "2"}}, Variable: true}}}}},
		{"defaults", "[a]\nb=%(c)s\n[DEFAULT]\nc=1\nb=0\n[d]\nc=%(b)s", []config.Section{
			{Type: "a", Line: 1, Options: []config.Option{{Name: "b", Line: 2, Values: val(2, "1")}, {Name: "c", Line: 4, Values: val(4, "1"), Variable: true}}},
			{Type: "d", Line: 6, Options: []config.Option{{Name: "c", Line: 7, Values: val(7, "0")}, {Name: "b", Line: 5, Values: val(5, "0"), Variable: true}}}}},
		{"comment signs in a value", "[a] ; x\nb=1;2#3", []config.Section{{Type: "a", Line: 1, Options: []config.Option{{Name: "b", Line: 2, Values: val(2, "1;2#3")}}}}},
		{"no quotes", "[a]\nb='1 2'", []config.Section{{Type: "a", Line: 1, Options: []config.Option{{Name: "b", Line: 2, Values: val(2, "'1 2'")}}}}},
	} {
		s := &scanner{}
		s.scan(c.text)
		if got := s.complete(); s.src.Faults != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got  %+v, %v\nwant %+v", c.name, got, s.src.Faults, c.want)
		}
	}
}

func TestMessages(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"port=53", "f:1: option 'port' stands before the first section"},
		{"[broker]\nport", "f:2: 'port': want a line of the form name = value"},
		{"[broker]\n= 5\n", "f:2: '= 5': want a line of the form name = value"},
		{"[broker\nport=5", "f:1: '[broker': want [name] to begin a section"},
		{"[]", "f:1: '[]': want [name] to begin a section"},
		{"[broker] port=5", "f:1: [broker]: 'port=5' stands behind it: want it on a line of its own"},
		{"[broker]\n[log]\n[broker]\nport=x", "f:3: [broker] is there already, on line 1\nf:4: broker: port 'x': want 1–65535"},
		{"[broker]\nport=1\nPort=2", "f:3: broker: port is there already, on line 2"},
		{"[broker]\nport=53 ; DNS", "f:2: port: '53 ; DNS': want a comment on a line of its own"},
		{"[broker]\nport=\t# none", "f:2: port: '# none': want a comment on a line of its own"},
		{"[hooks]\nsession.up=%(dir)s/up", "f:2: session.up: '%(dir)s/up': there is no option 'dir' in this section or in [DEFAULT]"},
		{"[hooks]\nsession.up=/100%/up", "f:2: session.up: '/100%/up': want %(name)s for the value of another option, and %% for a percent sign"},
		{"[hooks]\nsession.up=/%()s", "f:2: session.up: '/%()s': want %(name)s for the value of another option, and %% for a percent sign"},
		{"[hooks]\nsession.up=/%(session.down)s\nsession.down=/%(session.up)s", "f:2: session.up: '/%(session.down)s': its references lead to too many others\n" +
			"f:3: session.down: '/%(session.up)s': its references lead to too many others"},
		{"[broker]\naddress=192.0.2.1\n  port=53", "f:3: broker: address 'port=53': want an IPv4 or IPv6 address of this host, not multicast, not IPv6 link-local, without zone; or its name"},
		{"[broker]\nmax_tunnels=5\n 6", "f:3: broker: max_tunnels '6': want one value only, there is '5' on line 2"},
		{"[broker]\nport=70000", "f:2: broker: port '70000': want 1–65535"},
		{"[broker]\nmax-tunnels=5", "f:2: broker: unknown option 'max-tunnels', did you mean 'max_tunnels'?"},
		{"[hooks]\nsession_up=/x", "f:2: hooks: unknown option 'session_up', did you mean 'session.up'?"},
		{"[Broker]", "f:1: unknown section type 'Broker', did you mean 'broker'?"},
		{"[bridge]\nmtu=5", "f:1: unknown section type 'bridge'"},
		{"[default]\nmtu=5", "f:1: unknown section type 'default'"},
		{"[broker]\npmtu=1\nport=x\n[log]\nverbosity=x", "f:2: broker: pmtu '1': want 0 or 1280–8946\nf:3: broker: port 'x': want 1–65535\n" +
			"f:5: log: verbosity 'x': want DEBUG, INFO, WARNING, ERROR, CRITICAL, FATAL, WARN, NOTSET"},
	} {
		_, err := Parse("f", "/srv", c.text)
		if faults, ok := err.(config.Faults); !ok || faults.Error() != c.want {
			t.Errorf("%q:\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
	_, err := Parse("f", "/srv", strings.Repeat("x\n", 3000))
	if faults, ok := err.(config.Faults); !ok || len(faults) != maxLines+1 {
		t.Errorf("got %d faults, want one for each of the first %d lines and one for the rest", len(faults), maxLines)
	}
}

// References that double each other again and again cost little, also where nothing is at their end.
func TestDoubling(t *testing.T) {
	for _, end := range []string{"", "x"} {
		text := "[hooks]\nsession.up=/%(a0)s\n"
		for i := range 8 {
			text += fmt.Sprintf("a%d=%s\n", i, strings.Repeat(fmt.Sprintf("%%(a%d)s", i+1), 5))
		}
		_, err := Parse("f", "/srv", text+"a8="+end+"\n")
		if want := "f:2: session.up: '/%(a0)s': its references lead to too many others"; !strings.HasPrefix(fmt.Sprint(err), want+"\n") {
			t.Errorf("got %v", err)
		}
	}
	_, err := Parse("f", "/srv", "[hooks]\nsession.up=/"+strings.Repeat("%(a)s", 100)+"\na="+strings.Repeat("x", 1000)+"\n")
	if !strings.Contains(fmt.Sprint(err), "its references make too long a value") {
		t.Errorf("got %v", err)
	}
}

// Whatever is in the file: no panic, faults with lines of the file and in their
// order, and a configuration that survives being written as UCI.
func FuzzClassic(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("[hooks]\nsession.up = /a'b \"c\" %%\n[broker]\nport: 1,\n\t2\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, err := Parse("f", "/srv", string(text))
		if err != nil {
			faults := err.(config.Faults) // nothing else can go wrong
			lines := 1 + strings.Count(string(text), "\n") + strings.Count(string(text), "\r")
			for i, fault := range faults {
				if fault.Line < 1 || fault.Line > lines || i > 0 && fault.Line < faults[i-1].Line || strings.ContainsAny(fault.Error(), "\r\n") {
					t.Errorf("fault %d of %d lines: %q", i, lines, fault.Error())
				}
			}
			if (cfg == nil) != faults.Stop() {
				t.Errorf("got %+v with %v", cfg, faults)
			}
			if cfg == nil {
				return
			}
		}
		again, err := uci.Parse("g", config.FormatUCI(cfg))
		if err != nil {
			t.Fatalf("written and read again: %v", err)
		}
		cfg.Faults, cfg.Notices, again.Notices = nil, nil, nil
		if !reflect.DeepEqual(cfg, again) {
			t.Errorf("got  %+v\nwant %+v", again, cfg)
		}
	})
}
