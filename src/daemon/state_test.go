package daemon

import (
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tunneldigger/src/bridges"
	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/config/uci"
	"tunneldigger/src/control"
	"tunneldigger/src/cookie"
	"tunneldigger/src/datapath"
	"tunneldigger/src/hook/events"
	"tunneldigger/src/listen"
	"tunneldigger/src/logline"
	"tunneldigger/src/poll"
	"tunneldigger/src/successor"
	"tunneldigger/src/survive"
	"tunneldigger/src/tunnels"
)

// Every field of what a daemon is made of is handed over, or it is known why not. Who adds one finds it here.
func TestFieldsAreHandedOver(t *testing.T) {
	for _, c := range []struct {
		value any
		known string
	}{
		{Daemon{}, "history pending turn config jar sections tunnels hooks control store " + // handed over, or see below
			"read log journal carriers links poller wake lists bridges places"}, // made anew, or begin anew: windows of the log, files, answers
		{events.Hooks{}, "Runner Counts config verifier name results held"}, // of the verifier what is asked; answers begin anew; nothing is held any more
		{history{}, "version marks started serial unsent confined moved"},   // handed over
		{pending{}, "signals incoming promptly retryAt " + // made anew, or found out again
			"stopBy upgrade calm remaking"}, // which is of a start only, calm is ended before; there is no upgrade while stopping, and only one at a time
		{section{}, "Section core listen leaving silentErrors loosened refusals"}, // refusals: begin anew
		{tunnels.Section{}, "Number Config Path"},
		{tunnels.Tunnel{}, "ID Section Listener Peer Local Interface Closing Traffic want raises since silent uuid"}, // Traffic is read again; uuid is the core's
		{tunnels.Table{}, "byID rises moving " + // handed over
			"Newcomer links plan poller token creates moveNext results padded"}, // made anew; nothing waits to be made then
	} {
		typ := reflect.TypeOf(c.value)
		for i := range typ.NumField() {
			if name := typ.Field(i).Name; name != "_" && !slices.Contains(strings.Fields(c.known), name) {
				t.Errorf("%v.%s: hand it over (survive/state.go, upgrade.go, restore.go), or say here why not", typ, name)
			}
		}
	}
}

func parse(text string) (*config.Config, error) { return uci.Parse("before", text) }

// standing is a daemon with a section and a tunnel.
func standing(t testing.TB) *Daemon {
	t.Helper()
	c, err := parse("config broker 'wan'\n\tlist port '8942'\n\nconfig bridge\n\toption interface 'br-mesh'\n\toption isolate '1'\n")
	if err != nil {
		t.Fatal(err)
	}
	server, err := control.New(func(*control.Conn, []string) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	log := logline.New(&lines{}, logline.Error, false)
	store, _ := survive.OpenStore(log, [16]byte{1}, nil)
	d := &Daemon{
		config: c, history: history{version: "1.0", serial: 7}, jar: cookie.New([16]byte{1}), control: server, store: store,
		hooks: events.New(&c.Hooks, log, func() {}, func(int) string { return "" }), log: log, bridges: bridges.New(c),
	}
	if d.poller, err = poll.New(); err != nil {
		t.Fatal(err)
	}
	if err := d.makeDatapath(true, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := d.add(&c.Brokers[0], 10); err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort("192.0.2.1:4711")
	p := &tunnels.Tunnel{
		ID: 105, Section: &d.sections[0].Section, Listener: 3, Peer: at, Local: netip.MustParseAddrPort("192.0.2.2:8942"), Interface: "l2tp105-105",
	}
	known := datapath.Known{Is: datapath.Want{Bridge: "br-mesh", Isolated: true}, Sure: true}
	_ = d.tunnels.Inherit(0, p, &broker.TunnelInfo{}, 9, known) // which is no socket
	return d
}

// A state that is cut off is refused, wherever that is, unless it ends behind a field.
func prove(o Options, state []byte) error {
	return successor.Prove(state, o.Config, o.Parse, !o.NoDatapath)
}

func TestProve(t *testing.T) {
	d := standing(t)
	all, o := d.state(5).Append(nil), Options{Config: d.config, NoDatapath: true, Parse: parse}
	if err := prove(o, all); err != nil {
		t.Fatal(err)
	}
	c, err := successor.Understand(all, o.Config, o.Parse)
	if err != nil || c.Version != "1.0" || c.Serial != 7 || c.Caller != 5 || len(c.Sections) != 1 || c.Configs[0].Name != "wan" {
		t.Errorf("%v: read %+v", err, c)
	}
	want := survive.Tunnel{
		ID: 105, Listener: 3, FD: 9, Peer: netip.MustParseAddrPort("192.0.2.1:4711"), Local: netip.MustParseAddrPort("192.0.2.2:8942"),
		Interface: "l2tp105-105", Master: "br-mesh", Isolated: true,
	}
	if len(c.Tunnels) != 1 || !reflect.DeepEqual(c.Tunnels[0], want) {
		t.Errorf("read %+v", c.Tunnels)
	}
	refused := 0
	for n := range all {
		if prove(o, all[:n]) != nil {
			refused++
		}
	}
	if refused < len(all)*9/10 {
		t.Errorf("%d of %d cuts were refused", refused, len(all))
	}
}

// A listener of another section's number, and a section that has no place, are refused.
func TestProveNumbers(t *testing.T) {
	d := standing(t)
	o := Options{Config: d.config, NoDatapath: true, Parse: parse}
	for name, change := range map[string]func(*survive.State){
		"listener": func(s *survive.State) { s.Sections[0].Listeners[listen.Max] = []int{3} },
		"section":  func(s *survive.State) { s.Sections[0].Number = successor.MaxSections },
		"twice":    func(s *survive.State) { s.Sections = append(s.Sections, s.Sections[0]) },
	} {
		st := d.state(-1)
		if change(st); prove(o, st.Append(nil)) == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Version 1.0 kept outside of the core which tunnels are to be raised, and which go without hooks having heard of them: 100 and 101 here; 102 is
// up, and 103 was never made. (testdata: what it wrote.)
func TestVersion10(t *testing.T) {
	all, err := os.ReadFile("testdata/version-1.0.state")
	if err != nil {
		t.Fatal(err)
	}
	d, _ := started(t, 1)
	d.sections[0].listen.CloseAll()
	c, err := successor.Understand(all, nil, parse)
	if err != nil {
		t.Fatal(err)
	}
	d.config, d.sections = c.Config, nil
	if err := d.restore(c, ""); err != nil {
		t.Fatal(err)
	}
	states := map[uint32]string{}
	d.eachTunnel(func(_ *section, t *broker.TunnelInfo) { states[t.Tunnel] = t.State })
	if want := map[uint32]string{100: "answered", 101: "destroying", 102: "up", 103: "creating"}; !maps.Equal(states, want) {
		t.Errorf("states %v, want %v", states, want)
	}
	for _, want := range []bool{true, false} {
		if r, ok := d.tunnels.Raise(d.now); ok != want || ok && r.Event.Tunnel != 100 {
			t.Errorf("raised %v: %+v", ok, r.Event)
		}
	}
	d.handle(d.sections[0], &broker.Event{Kind: broker.EventDestroyed, Tunnel: 101})
	if d.sections[0].core.Holds(101) {
		t.Error("hooks are to hear of a tunnel that never was up")
	}
}

// Whatever a state says, it is refused or taken, and nothing panics.
func FuzzProve(f *testing.F) {
	d := standing(f)
	o := Options{Config: d.config, NoDatapath: true, Parse: parse}
	f.Add(d.state(5).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) { _ = prove(o, b) })
}
