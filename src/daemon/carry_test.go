package daemon

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/config/uci"
	"tunneldigger/src/control"
	"tunneldigger/src/cookie"
	"tunneldigger/src/hook"
	"tunneldigger/src/logline"
	"tunneldigger/src/sock"
)

// Every field of what a daemon is made of is carried over an upgrade, or it is known why not. Who adds one finds it here.
func TestFieldsAreCarried(t *testing.T) {
	for _, c := range []struct {
		value any
		known string
	}{
		{Daemon{}, "config jar sections serial ports hooks control store started hooksRun moved moving failures rises unborn confined " + // carried
			"read log datapath signals incoming clock version " + // made anew
			"poller wake now promptly retryAt creates queue effects event buffer padded listenFirst replied " + // of a turn, or found out again
			"quiet lists verifier moveNext " + // begin anew: windows of the log, files, answers
			"stopBy upgrading"}, // there is no upgrade while stopping, and only one at a time
		{section{}, "number config core listeners complete opened leaving stale waitsFor silentErrors careful"},           // stale: only during a reload
		{port{}, "id section listener fd peer local name index master isolated rise stored changed silentErrors traffic"}, // traffic is read again
		{rise{}, "port facts mtu since held"},
		{rises{}, "queue newcomer"},
		{store{}, "systemd file changed told retryAt"},
		{storeMessage{}, "name port file"},
	} {
		typ := reflect.TypeOf(c.value)
		for i := range typ.NumField() {
			if name := typ.Field(i).Name; !slices.Contains(strings.Fields(c.known), name) {
				t.Errorf("%v.%s: carry it (carry.go, decode.go, restore.go), or say here why not", typ, name)
			}
		}
	}
}

func parse(text string) (*config.Config, error) { return uci.Parse("carried", []byte(text)) }

// state is that of a daemon with a section, as it is written, and what read it.
func state(t testing.TB) ([]byte, Options) {
	t.Helper()
	c, err := parse("config broker 'wan'\n\tlist port '8942'\n")
	if err != nil {
		t.Fatal(err)
	}
	server, err := control.New(func(*control.Conn, []string) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	d := &Daemon{
		config: c, version: "1.0", jar: cookie.New([16]byte{1}), control: server, serial: 7,
		hooks: hook.New(1, logline.New(&lines{}, logline.Error, false), func() {}), unborn: map[uint64]struct{}{9: {}},
	}
	d.add(&c.Brokers[0], 10)
	at := netip.MustParseAddrPort("192.0.2.1:4711")
	p := &port{
		id: 105, section: d.sections[0], listener: 3, fd: 9, peer: sock.NewPeer(at), local: netip.MustParseAddrPort("192.0.2.2:8942"),
		name: "l2tp105-105", master: "br-mesh", isolated: true, stored: true,
	}
	p.rise = &rise{port: p, mtu: 1400, held: make([]broker.Effect, 1)}
	d.ports.add(p)
	d.store.file = -1
	return d.appendState(nil, 5), Options{Config: c, NoDatapath: true, Parse: parse}
}

// A state that is cut off is refused, wherever that is, unless it ends behind a field.
func TestProve(t *testing.T) {
	all, o := state(t)
	if err := Prove(o, all); err != nil {
		t.Fatal(err)
	}
	c, _, err := understand(o, all)
	if err != nil || c.version != "1.0" || c.serial != 7 || c.caller != 5 || len(c.unborn) != 1 || len(c.sections) != 1 || c.sections[0].name != "wan" {
		t.Errorf("%v: read %+v", err, c)
	}
	if len(c.ports) != 1 {
		t.Fatalf("%d ports", len(c.ports))
	}
	p := c.ports[0]
	if p.peer.Addr() != netip.MustParseAddrPort("192.0.2.1:4711") || !p.rising || p.mtu != 1400 || !p.hooked || p.section != 0 {
		t.Errorf("read %+v", p)
	}
	p.peer = sock.Peer{}
	if want := (port{id: 105, listener: 3, fd: 9, local: netip.MustParseAddrPort("192.0.2.2:8942"), name: "l2tp105-105", master: "br-mesh",
		isolated: true, stored: true}); !reflect.DeepEqual(p.port, want) {
		t.Errorf("read %+v", p.port)
	}
	refused := 0
	for n := range all {
		if Prove(o, all[:n]) != nil {
			refused++
		}
	}
	if refused < len(all)*9/10 {
		t.Errorf("%d of %d cuts were refused", refused, len(all))
	}
}

// Whatever a state says, it is refused or taken, and nothing panics.
func FuzzProve(f *testing.F) {
	all, o := state(f)
	f.Add(all)
	f.Fuzz(func(t *testing.T, b []byte) { _ = Prove(o, b) })
}
