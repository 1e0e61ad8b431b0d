package reload

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"tunneldigger/src/config"
	"tunneldigger/src/phrase"
)

func section(name string, base uint32, most int) config.Broker {
	return config.Broker{Name: name, Ports: []uint16{53}, TunnelIDBase: base, MaxTunnels: most}
}

// running is a broker with two sections.
func running() *Running {
	c := &config.Config{Brokers: []config.Broker{section("wan", 100, 16), section("lan", 200, 16)}}
	return &Running{
		Config: c, Sections: []*config.Broker{&c.Brokers[0], &c.Brokers[1]},
		Carries: func(*config.Broker) error { return nil }, Lists: func(*config.Config) []error { return nil },
	}
}

// What only a running broker knows to be wrong is a fault; every one is said.
func TestPlanRefuses(t *testing.T) {
	carries := errors.New("nothing can carry the frames")
	for want, change := range map[string]func(r *Running, c *config.Config){
		"no broker section is enabled":                             func(_ *Running, c *config.Config) { c.Brokers = nil },
		"overlaps with broker 'wan', which has 100 and 16":         func(_ *Running, c *config.Config) { c.Brokers = append(c.Brokers, section("b", 110, 5)) },
		"'wan': tunnel_id_base, which stays 100, with max_tunnels": func(_ *Running, c *config.Config) { c.Brokers[0] = section("wan", 1, 65536) },
		"2000 addresses and ports":                                 func(_ *Running, c *config.Config) { c.Brokers[0].Ports = make([]uint16, 1000) },
		"broker 'b': " + carries.Error(): func(r *Running, c *config.Config) {
			r.Carries = func(*config.Broker) error { return carries }
			c.Brokers = append(c.Brokers, section("b", 300, 5))
		},
		"256 broker sections": func(r *Running, c *config.Config) {
			r.Leaving = 253
			c.Brokers = append(c.Brokers, section("b", 300, 5))
		},
		"a list is wrong": func(r *Running, _ *config.Config) {
			r.Lists = func(*config.Config) []error { return []error{errors.New("a list is wrong")} }
		},
		"client 'x': tunnel_id 105": func(_ *Running, c *config.Config) {
			c.Clients = []config.Client{{Name: "x", TunnelID: 105}}
		},
		"bridge 'b': routing table 'no-such-table'": func(_ *Running, c *config.Config) {
			c.Bridges = []config.Bridge{{Name: "b", Table: "no-such-table"}}
		},
	} {
		r := running()
		c := *r.Config
		c.Brokers = slices.Clone(c.Brokers)
		change(r, &c)
		if _, err := r.Plan(&c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		c.Bridges = append(c.Bridges, config.Bridge{Name: "other", Table: "nor-this-one"})
		if _, err := r.Plan(&c); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "nor-this-one") {
			t.Errorf("of two faults got %v, want %q", err, want)
		}
	}
}

// Sections go on by name; what can't change under way stays, and is named.
func TestPlan(t *testing.T) {
	r := running()
	r.Confined = true
	c := &config.Config{Brokers: []config.Broker{section("new", 300, 4), section("wan", 400, 32)}, Hooks: config.Hooks{Directory: "/etc/hooks", LeastPrivilege: false}}
	c.Brokers[1].Datapath = config.DatapathUser
	p, err := r.Plan(c)
	if err != nil || !slices.Equal(p.Of, []int{-1, 0}) {
		t.Fatalf("%v: %+v", err, p)
	}
	if b := p.Config.Brokers[1]; b.TunnelIDBase != 100 || b.MaxTunnels != 32 || b.Datapath != r.Sections[0].Datapath || c.Brokers[1].TunnelIDBase != 400 {
		t.Errorf("%+v", b)
	}
	kept := strings.Join(p.Kept, "\n")
	for _, want := range []string{"tunnel_id_base stays 100 until", "the file has 400", "datapath stays", "hooks: there were none"} {
		if !strings.Contains(kept, want) {
			t.Errorf("no %q in %q", want, kept)
		}
	}
	if said := fmt.Sprint(p.Changes); !strings.Contains(said, "max_tunnels") || !strings.Contains(said, "lan") || strings.Contains(said, "tunnel_id_base '") && strings.Contains(said, "wan' tunnel_id_base") {
		t.Errorf("changes %s", said)
	}
	c.Hooks.LeastPrivilege = true
	if p, err := r.Plan(c); err != nil || p.Config.Hooks.LeastPrivilege || !strings.Contains(strings.Join(p.Kept, "\n"), "least_privilege takes effect when") {
		t.Errorf("%v: %+v", err, p)
	}
}

// Tunnels may belong elsewhere by what is said of bridges and clients, and by nothing else.
func TestMoves(t *testing.T) {
	for section, want := range map[string]bool{"bridge 'a'": true, "client 'a'": true, "broker 'bridge a'": false, "hooks": false} {
		if p := (&Plan{Changes: []config.Change{{Section: "log"}, {Section: section}}}); p.Moves() != want {
			t.Errorf("%s: %v", section, !want)
		}
	}
	if new(Plan).Moves() {
		t.Error("by nothing")
	}
}

// A fault that was in the file before is no reason to refuse it, a new one is; after an upgrade neither, if nothing else would change.
func TestRead(t *testing.T) {
	old, fresh := config.Fault{File: "/etc/x", Line: 3, Text: "old", Start: "takes 1"}, config.Fault{File: "/etc/x", Line: 4, Text: "fresh", Start: "takes 1"}
	r := running()
	r.Config.Faults = config.Faults{old}
	for _, c := range []struct {
		faults   config.Faults
		upgraded bool
		other    bool
		taken    bool
	}{
		{config.Faults{old}, false, true, true}, {config.Faults{old, fresh}, false, false, false},
		{config.Faults{old, fresh}, true, false, true}, {config.Faults{old, fresh}, true, true, false},
	} {
		_, err := r.Read(func() (*config.Config, error) {
			next := *r.Config
			next.Brokers = slices.Clone(next.Brokers)
			if c.other {
				next.Brokers[0].MaxTunnels++
			}
			return &next, c.faults
		}, c.upgraded)
		if (err == nil) != c.taken || err != nil && (len(FaultsOf(err)) != 1 || !strings.Contains(err.Error(), "fresh")) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := r.Read(nil, false); err == nil {
		t.Error("read by nobody")
	}
	gone := phrase.Errorf("reading the configuration: %w: write it", fs.ErrNotExist)
	if _, err := r.Read(func() (*config.Config, error) { return nil, gone }, false); err != gone {
		t.Errorf("%v", err)
	}
	// An error that wraps others, or none, is one fault, with all that it says.
	for _, err := range []error{gone, phrase.Errorf("larger than %d bytes", 1), phrase.Errorf("%w: %w", fs.ErrNotExist, fs.ErrExist)} {
		if all := FaultsOf(err); len(all) != 1 || all[0] != err {
			t.Errorf("%q: got %q", err, all)
		}
	}
	if err := (Faults{gone, old}); !errors.Is(err, fs.ErrNotExist) || err.Error() != gone.Error()+"\n"+old.Error() {
		t.Errorf("got %q", err)
	}
}
