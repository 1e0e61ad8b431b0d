package command

import (
	"strings"
	"testing"

	"tunneldigger/src/broker"
)

func TestDrain(t *testing.T) {
	for _, c := range []struct {
		words, fault string
		want         Drain
		was, answer  string // when it was draining, and when it was not
	}{
		{"", "", Drain{On: true}, "Draining: no new tunnels; 5 stay.\n", "Draining: no new tunnels; 5 stay.\n"},
		{"off", "", Drain{}, "New tunnels are taken again.\n", "It was not draining.\n"},
		{"close-rate 6000", "", Drain{true, 6000}, "Draining: no new tunnels; of 5, 6000 a minute are closed in each broker section.\n", "Draining: no new tunnels; of 5, 6000 a minute are closed in each broker section.\n"},
		{"close-rate 1", "", Drain{true, 1}, "Draining: no new tunnels; of 5, 1 a minute are closed in each broker section.\n", "Draining: no new tunnels; of 5, 1 a minute are closed in each broker section.\n"},
		{"close-rate 0", "close rate \"0\": want tunnels a minute, 1–6000", Drain{}, "", ""},
		{"close-rate 6001", "1–6000", Drain{}, "", ""},
		{"close-rate many", "1–6000", Drain{}, "", ""},
		{"close-rate", "want drain, drain off, or drain close-rate N", Drain{}, "", ""},
		{"on", "want drain", Drain{}, "", ""},
		{"off now", "want drain", Drain{}, "", ""},
	} {
		d, err := ParseDrain(strings.Fields(c.words))
		if c.fault != "" {
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%q: %v", c.words, err)
			}
			continue
		}
		if err != nil || d != c.want || d.Answer(true, 5) != c.was || d.Answer(false, 5) != c.answer {
			t.Errorf("%q: %+v, %v, %q, %q", c.words, d, err, d.Answer(true, 5), d.Answer(false, 5))
		}
	}
}

// An ID goes before a UUID of the same text; what does not stand is found and left alone.
func TestKick(t *testing.T) {
	all := []broker.TunnelInfo{
		{Facts: broker.Facts{Tunnel: 100, UUID: "101"}, State: "up"}, {Facts: broker.Facts{Tunnel: 101, UUID: "b"}, State: "answered"},
		{Facts: broker.Facts{Tunnel: 102, UUID: "b"}, State: "up"}, {Facts: broker.Facts{Tunnel: 103, UUID: "c"}, State: "closing"},
		{Facts: broker.Facts{Tunnel: 104, UUID: "0"}, State: "up"},
	}
	for word, want := range map[string]string{
		"101": "Tunnel 101 of <b> is being closed.\n", "100": "Tunnel 100 of <101> is being closed.\n",
		"b": "Tunnel 101 of <b> is being closed.\nTunnel 102 of <b> is being closed.\n", "<b>": "Tunnel 101 of <b> is being closed.\nTunnel 102 of <b> is being closed.\n",
		"0": "Tunnel 104 of <0> is being closed.\n",
		"c": "it does not stand: it is on its way up or down already", "103": "it does not stand: it is on its way up or down already",
		"99": "no tunnel has the ID or UUID \"99\"", "4294967396": "no tunnel has the ID or UUID \"4294967396\"",
	} {
		k, err := ParseKick([]string{word})
		if err != nil {
			t.Fatal(err)
		}
		closed := 0
		for _, is := range []func(*broker.TunnelInfo, string) bool{k.ByID, k.ByUUID} {
			for i := range all {
				if is(&all[i], "<"+all[i].UUID+">") {
					closed++
				}
			}
		}
		text, err := k.Answer()
		if err != nil {
			text = err.Error()
		}
		if text != want || closed != strings.Count(want, "closed") {
			t.Errorf("%s: %d closed, %q", word, closed, text)
		}
	}
	for _, words := range [][]string{nil, {"a", "b"}} {
		if _, err := ParseKick(words); err == nil {
			t.Errorf("%q is understood", words)
		}
	}
}

func TestFaults(t *testing.T) {
	if err := Unknown("x\n"); err.Error() != `unknown command "x\n": want one of drain, kick, reload, status, upgrade` {
		t.Error(err)
	}
	if err := Alone([]string{"reload", "now"}); err == nil || err.Error() != "reload takes no words" || Alone([]string{"reload"}) != nil {
		t.Error(err)
	}
}
