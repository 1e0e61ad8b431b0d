package survey

import (
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/bridges"
	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/cookie"
	"tunneldigger/src/datapath"
	"tunneldigger/src/datapath/carriers"
	"tunneldigger/src/hook"
	"tunneldigger/src/hook/events"
	"tunneldigger/src/journal"
	"tunneldigger/src/listen"
	"tunneldigger/src/logline"
	"tunneldigger/src/status"
	"tunneldigger/src/tunnels"
	"tunneldigger/src/wire"
)

// surveyed is a Broker of two sections: that of number 2 has so many tunnels that stand, each with an interface.
func surveyed(t *testing.T, many int) *Broker {
	t.Helper()
	c := &config.Config{Brokers: []config.Broker{{Name: "one", MaxTunnels: 4, TunnelIDBase: 1}, {Name: "two", MaxTunnels: 10, TunnelIDBase: 100, PMTU: 1446}}, Log: config.Log{Addresses: true}}
	log := logline.New(io.Discard, logline.Error, false)
	links := datapath.New()
	paths := carriers.NewNone(links, nil, nil, 0)
	jar := cookie.New([16]byte{1})
	b := &Broker{
		Version: "1.2.3", Started: time.Second, Unsent: 5, Now: func() time.Duration { return time.Minute }, Marks: new(status.Marks), Journal: journal.New(log, c.Log),
		Hooks: events.New(&c.Hooks, log, func() {}, func(int) string { return "" }), Tunnels: tunnels.New(links, bridges.New(c), nil, 0), Links: links, Carriers: paths,
	}
	b.Hooks.Counts = hook.Counts{Ended: 3, Failed: 1}
	for i, number := range []int{0, 2} {
		s := Section{Section: &tunnels.Section{Number: number, Config: &c.Brokers[i], Path: paths.None}, Refusals: new(status.Refusals), Loosened: 7}
		s.Core = broker.New(c.Brokers[i], broker.Options{Jar: jar, Random: func() uint32 { return 1 }, MaxTunnels: c.Brokers[i].MaxTunnels})
		s.Listen = listen.New(number, s.Config, func(listen.Listener) {})
		b.Sections = append(b.Sections, s)
	}
	s := &b.Sections[1]
	for i := range many {
		peer := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(20000+i))
		issued := jar.Issue(peer, cookie.Tick(0))
		ev := broker.Event{Kind: broker.EventDatagram, Peer: peer, Local: netip.MustParseAddrPort("198.51.100.1:53")}
		ev.Data = wire.AppendPrepare(nil, issued[:], []byte{'a' + byte(i)}, 1, wire.UniqueSessionID)
		id := s.Core.Handle(0, &ev, nil)[0].Tunnel
		s.Core.Handle(0, &broker.Event{Kind: broker.EventCreated, Tunnel: id, Up: true}, nil)
		info, _ := s.Core.Next(id)
		end := &tunnels.Tunnel{ID: id, Section: s.Section, Interface: info.Interface()}
		if err := b.Tunnels.Inherit(0, end, &info, -1, datapath.Known{}); err != nil {
			t.Fatal(err)
		}
		links.Add(&datapath.Request{ID: id, Interface: end.Interface}, int(id))
	}
	return b
}

func written(t *testing.T, w *status.Writer) (text string) {
	t.Helper()
	for more := true; more; {
		var piece []byte
		piece, more = w.Write(nil)
		text += string(piece)
	}
	return text
}

// A status has what each part of the broker says of itself, and every tunnel with its interface's counters.
func TestWriter(t *testing.T) {
	b := surveyed(t, 3)
	old := DeviceFile
	t.Cleanup(func() { DeviceFile = old })
	DeviceFile = filepath.Join(t.TempDir(), "dev")
	if err := os.WriteFile(DeviceFile, []byte("head\nhead\nl2tp101-101: 11 1 0 0 0 0 0 0 22 4 0 0 0 0 0 0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.Marks.Hook(2, &broker.Facts{Tunnel: 101, Serial: 2}, "session.up", io.EOF)
	b.Sections[1].Refusals.Note(0, &broker.Effect{Note: broker.NoteRefused, Reason: broker.RefusedFull, Facts: broker.Facts{UUID: "late"}})
	w, end, err := b.Writer([]string{"json"})
	if err != nil {
		t.Fatal(err)
	}
	text := written(t, w)
	end()
	var got struct {
		Version        string
		Uptime_seconds float64
		Hooks          struct{ Ended, Failed int }
		Send_failures  int
		Brokers        []struct {
			Name, Datapath                                string
			Tunnels, Limit, Unattached_total, Hook_failed int
			Last_refused                                  []struct{ UUID string }
		}
		Tunnels []struct {
			ID                 int
			Broker, UUID       string
			Endpoint           *string
			Hook_failed        *string
			Rx_bytes, Tx_bytes int
		}
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if got.Version != "1.2.3" || got.Uptime_seconds != 59 || got.Hooks.Ended != 3 || got.Hooks.Failed != 1 || got.Send_failures != 5 {
		t.Errorf("%+v in %s", got, text)
	}
	if s := got.Brokers; len(s) != 2 || s[0].Name != "one" || s[0].Tunnels != 0 || s[0].Limit != 4 || s[1].Name != "two" || s[1].Tunnels != 3 || s[1].Limit != 10 ||
		s[1].Datapath != "none" || s[1].Unattached_total != 7 || s[0].Hook_failed != 0 || s[1].Hook_failed != 1 {
		t.Errorf("%+v in %s", s, text)
	}
	for i, tun := range got.Tunnels {
		if tun.ID != 100+i || tun.Broker != "two" || tun.UUID != string(rune('a'+i)) || tun.Endpoint == nil || (tun.ID == 101) != (tun.Rx_bytes == 11 && tun.Tx_bytes == 22) ||
			(tun.ID == 101) != (tun.Hook_failed != nil && *tun.Hook_failed == "session.up: EOF") {
			t.Errorf("%+v", tun)
		}
	}
	if s := got.Brokers; len(s) == 2 && (len(s[0].Last_refused) != 0 || len(s[1].Last_refused) != 1 || s[1].Last_refused[0].UUID != "late") {
		t.Errorf("%+v in %s", s, text)
	}
	if len(got.Tunnels) != 3 {
		t.Errorf("%d tunnels", len(got.Tunnels))
	}
	if _, _, err := b.Writer([]string{"xml"}); err == nil || !strings.Contains(err.Error(), "want status") {
		t.Errorf("%v", err)
	}
}

// Tunnels and sections that go between two pieces are no trouble, and none is there twice.
func TestPlaces(t *testing.T) {
	b := surveyed(t, 3)
	var shown status.Tunnel
	at, ok := b.Tunnel(&shown, status.Place{})
	if !ok || shown.Tunnel != 100 || at != (status.Place{Section: 2, ID: 101}) {
		t.Errorf("%d, then %+v", shown.Tunnel, at)
	}
	b.Sections[1].Core.Handle(0, &broker.Event{Kind: broker.EventLost, Tunnel: 101}, nil)
	b.Sections[1].Core.Handle(0, &broker.Event{Kind: broker.EventDestroyed, Tunnel: 101}, nil)
	for at, ok = b.Tunnel(&shown, at); ok && shown.Tunnel == 101; at, ok = b.Tunnel(&shown, at) { // its hooks may have to hear of it
	}
	if !ok || shown.Tunnel != 102 {
		t.Errorf("%d, %v", shown.Tunnel, ok)
	}
	if _, ok := b.Tunnel(&shown, at); ok {
		t.Errorf("and %d", shown.Tunnel)
	}
	b.Sections = b.Sections[:1]
	if _, ok := b.Tunnel(&shown, at); ok {
		t.Errorf("%d of a section that has gone", shown.Tunnel)
	}
	b = surveyed(t, 1)
	b.Journal.Configure(config.Log{HideUUIDs: true})
	b.Journal.Digest(func(string) uint64 { return 1 })
	if b.Tunnel(&shown, status.Place{}); !shown.Hidden || shown.UUID == "a" {
		t.Errorf("%+v", shown)
	}
}

// Where a section listens, or waits to, is told as long as it is in the configuration.
func TestListeners(t *testing.T) {
	b := surveyed(t, 0)
	for i := range b.Sections {
		s := &b.Sections[i]
		s.Config.Ports = []uint16{53}
		s.Listen.Open(&listen.Host{Ready: func() error { return errors.New("no bridge") }})
		s.Leaving = i == 1
	}
	r := b.report()
	if s := r.Sections; len(s[0].Listeners) != 2 || s[0].Listeners[0].Why != "no bridge" || s[0].WaitsFor != "no bridge" || len(s[1].Listeners) != 0 {
		t.Errorf("%+v", s)
	}
}
