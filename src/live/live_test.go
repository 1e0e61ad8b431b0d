package live

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

func text(tunnels ...string) []byte {
	return []byte(`{"version":"1","pid":7,"uptime_seconds":90061,"hooks":{"running":1},"brokers":[{"name":"wan","tunnels":` + "2" +
		`,"limit":1024,"queued":3,"draining":false,"listeners":[{"address":"::","why":null}],"closed":{"timeout":9,"draining":true,"tunnels":77}}],"tunnels":[` + strings.Join(tunnels, ",\n") + "]}\n")
}

const (
	alice = `{"id":100,"uuid":"alice","endpoint":null,"interface":"l2tp100-100","bridge":"br-mesh","unattached":null,"hook_failed":null,"broker":"wan","state":"up","mtu":1446,"age_seconds":60,"heard_seconds":1.5,"rx_bytes":1000,"tx_bytes":5000,"limit_kbit":0}`
	bob   = `{"id":101,"uuid":"bob","endpoint":"192.0.2.1:7","interface":"l2tp101-101","bridge":null,"unattached":"no section","hook_failed":"session.up: \u001b[31m","broker":"w\"a\\n","state":"up","mtu":1280,"age_seconds":5,"heard_seconds":20,"rx_bytes":0,"tx_bytes":0,"limit_kbit":2000}`
)

func look(t *testing.T, tunnels ...string) *Look {
	t.Helper()
	l, err := Parse(text(tunnels...))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestParse(t *testing.T) {
	l := look(t, alice, bob)
	if l.PID != 7 || l.Uptime != 90061 || len(l.Sections) != 1 || l.Sections[0] != (Section{"wan", 2, 1024, 3, false}) {
		t.Errorf("%+v", l)
	}
	want := Row{ID: 101, UUID: "bob", Endpoint: "192.0.2.1:7", Interface: "l2tp101-101", Broker: `w"a\n`, Note: "no section; session.up: ?[31m", State: "up", MTU: 1280,
		Limit: 2000, Age: 5, Heard: 20, RxRate: -1, TxRate: -1}
	if len(l.Rows) != 2 || l.Rows[1] != want {
		t.Errorf("%+v\nwant %+v", l.Rows, want)
	}
	for _, wrong := range []string{"", "[]", "{", `{"a"`, `{"a":}`, `{"a":1,}`, `{"a":"\u12"}`, `{"a":"b`, `{"a":"\`, `{1:2}`, `{"a" 1}`, strings.Repeat(`{"a":`, 50)} {
		if _, err := Parse([]byte(wrong)); err == nil {
			t.Errorf("%q is understood", wrong)
		}
	}
}

// What package status writes is understood.
func TestParseStatus(t *testing.T) {
	golden, err := os.ReadFile("../status/testdata/status.json")
	if err != nil {
		t.Fatal(err)
	}
	l, err := Parse(golden)
	if err != nil || len(l.Sections) != 2 || len(l.Rows) != 3 || l.Sections[0].Name != "wan" || l.Sections[0].Limit != 1024 || l.Rows[0].Rx != 1234567 || l.Rows[0].Bridge != "br-mesh" {
		t.Errorf("%v %+v", err, l)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(text(alice, bob))
	f.Add([]byte(`{"brokers":[{"name":"\ud800"}],"tunnels":[[{"id":-1}]]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := Parse(b)
		if err != nil {
			return
		}
		v := View{Width: 80, Height: 24}
		for _, line := range v.Lines(l) {
			if utf8.RuneCountInString(line) > 80 || strings.ContainsAny(line, "\x1b\n\r\x00") {
				t.Errorf("%q", line)
			}
		}
	})
}

func TestRates(t *testing.T) {
	later := func(s string, change ...string) string { return strings.NewReplacer(change...).Replace(s) }
	first := look(t, alice, bob)
	second := look(t, later(alice, `"rx_bytes":1000`, `"rx_bytes":2000`, `"age_seconds":60`, `"age_seconds":62`), later(bob, `"age_seconds":5`, `"age_seconds":1`))
	second.Since(first, 2)
	if r := second.Rows[0]; r.RxRate != 4000 || r.TxRate != 0 {
		t.Errorf("%+v", r)
	}
	if r := second.Rows[1]; r.RxRate >= 0 { // it is younger than before: another one
		t.Errorf("%+v", r)
	}
	third := look(t, alice)
	third.Since(nil, 2)
	third.Since(second, 0)
	if third.Rows[0].RxRate >= 0 {
		t.Errorf("%+v", third.Rows[0])
	}
}

func TestView(t *testing.T) {
	l := look(t, alice, bob)
	l.Rows[0].RxRate, l.Rows[0].TxRate = 1.5e6, 200
	for _, c := range []struct {
		name string
		view View
		want []string // the beginning of each line
	}{
		{"all", View{}, []string{"2 of 1024 tunnels, 3 wait, from them 1.5 Mbit/s, to them 200 bit/s, up for 1d1h", "+TUNNEL  UUID", "    100  alice", "    101  bob"}},
		{"by traffic", View{Column: 2, Descending: true}, []string{"2 of", " TUNNEL  UUID", "    100", "    101"}},
		{"found", View{Filter: "SILENT no"}, []string{`2 of 1024 tunnels, 3 wait, from them 1.5 Mbit/s, to them 200 bit/s, up for 1d1h; 1 with "SILENT no"`, "+TUNNEL", "    101  bob"}},
		{"finding", View{Filter: "x", Finding: true}, []string{"find: x_", "+TUNNEL"}},
		{"small", View{Width: 20, Height: 3, First: 9}, []string{"2 of 1024 tunnels, …", "+TUNNEL  UUID       "[:13], "    101  bob        "[:12]}},
		{"tiny", View{Width: 1, Height: 1}, []string{"…", "…"}},
	} {
		got := c.view.Lines(l)
		if len(got) != len(c.want) {
			t.Errorf("%s: %q", c.name, got)
			continue
		}
		for i := range got {
			if !strings.HasPrefix(strings.TrimPrefix(got[i], " "), strings.TrimPrefix(c.want[i], " ")) || c.view.Width > 0 && utf8.RuneCountInString(got[i]) > c.view.Width {
				t.Errorf("%s: line %d is %q, want %q", c.name, i, got[i], c.want[i])
			}
		}
	}
	v := View{}
	v.Sort(2)
	if v.Column != 2 || !v.Descending {
		t.Errorf("%+v", v)
	}
	v.Sort(2)
	v.Sort(1)
	v.Sort(-1)
	if v.Column != Columns()-1 || v.Descending {
		t.Errorf("%+v", v)
	}
}
