package daemon

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/control"
	"tunneldigger/src/datapath"
	"tunneldigger/src/logline"
	"tunneldigger/src/status"
	"tunneldigger/src/survey"
	"tunneldigger/src/tunnels"
	"tunneldigger/src/wire"
)

// written is as much of the JSON as is looked at here.
type written struct {
	Version string
	Hooks   struct{ Running, Waiting int }
	Brokers []struct {
		Tunnels, Limit, Opened int
		Listening              []string
		Setup                  struct{ Count int }
	}
	Tunnels []struct {
		ID       uint32
		UUID     string
		Endpoint *string
		State    string
		Rx_bytes uint64
		Tx_bytes uint64
	}
}

func (r *running) json() (w written) {
	r.Helper()
	body, err := r.call("status", "json")
	if err != nil {
		r.Fatal(err)
	}
	if err := json.Unmarshal([]byte(body), &w); err != nil {
		r.Fatalf("%v in\n%s", err, body)
	}
	return w
}

func TestStatus(t *testing.T) {
	r := serve(t, nil)
	r.log.await(t, "listening")
	one := r.dial()
	one.connect("one")
	r.dial().connect("two")
	r.log.await(t, "tunnel up broker=wan tunnel=101")
	w := r.json()
	if w.Version != "1.2.3" || len(w.Brokers) != 1 || w.Brokers[0].Tunnels != 2 || w.Brokers[0].Limit != 16 ||
		len(w.Brokers[0].Listening) != 1 || w.Brokers[0].Listening[0] != r.at.String() || w.Brokers[0].Setup.Count != 2 {
		t.Errorf("%+v", w)
	}
	if len(w.Tunnels) != 2 || w.Tunnels[0].ID != 100 || w.Tunnels[1].UUID != "two" || w.Tunnels[1].State != "up" ||
		w.Tunnels[0].Endpoint == nil || *w.Tunnels[0].Endpoint != one.LocalAddr().String() {
		t.Errorf("%+v", w.Tunnels)
	}
	r.says("l2tp101-101", "status")
	r.says("2 of 16", "status")
	r.says("want status", "status", "xml")
	r.says("tunneldigger_tunnels{broker=\"wan\"} 2\n", "status", "prometheus")
	r.says(`tunneldigger_tunnel_mtu_bytes{broker="wan",interface="l2tp100-100",uuid="one"} 1446`, "status", "prometheus", "tunnels")
	if body, err := r.call("status", "prometheus"); err != nil || strings.Contains(body, "uuid=") {
		t.Errorf("metrics of tunnels that nobody asked for: %v", err)
	}
}

func TestStatusHides(t *testing.T) {
	r := serve(t, func(c *config.Config) { c.Log.Addresses, c.Log.HideUUIDs = false, true })
	r.log.await(t, "listening")
	one := r.dial()
	one.connect("identity")
	w := r.json()
	if len(w.Tunnels) != 1 || w.Tunnels[0].Endpoint != nil {
		t.Fatalf("%+v", w.Tunnels)
	}
	for _, words := range [][]string{{"status"}, {"status", "prometheus", "tunnels"}} {
		if body, err := r.call(words...); err != nil || strings.Contains(body, one.LocalAddr().String()) || strings.Contains(body, "identity") {
			t.Errorf("%v: %v\n%s", words, err, body)
		}
	}
	r.says("is being closed", "kick", w.Tunnels[0].UUID)
}

// Whatever comes to the socket, clients are served and so is who asks well.
func TestSocketUnderSiege(t *testing.T) {
	r := serve(t, nil)
	r.log.await(t, "listening")
	dial := func() int {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: r.socket}); err != nil && err != unix.EAGAIN {
			t.Fatal(err)
		}
		return fd
	}
	held := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := held()
	for range control.MaxCallers - 1 { // who never read
		fd := dial()
		defer unix.Close(fd)
		_, _ = unix.Write(fd, []byte("status json\n"))
	}
	r.dial().connect("during")
	garbage := []string{"", "\n", "\x00\xff\x80\n", strings.Repeat("A", 1<<16), "status json", "status json\n", "kick \x1b]0;x\n"}
	for i := range 1000 {
		fd := dial()
		_, _ = unix.Write(fd, []byte(garbage[i%len(garbage)]))
		unix.Close(fd)
	}
	r.dial().connect("after")
	if w := r.json(); len(w.Tunnels) != 2 {
		t.Errorf("%+v", w.Tunnels)
	}
	if grown := held() - before; grown > 1<<20 {
		t.Errorf("%d bytes more are held", grown)
	}
}

// crowded is a daemon, not running, with n tunnels that stand in its core and an
// interface each in survey.DeviceFile. Sockets it has none.
func crowded(t testing.TB, n int) *Daemon {
	t.Helper()
	var lines strings.Builder
	lines.WriteString("Inter-|   Receive  |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes\n    lo: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n")
	c := &config.Config{Brokers: []config.Broker{{
		Name: "wan", Addresses: []netip.Addr{host}, Ports: []uint16{freePort(t)},
		MaxTunnels: n, TunnelIDBase: 100, TunnelTimeout: time.Hour, PMTU: 1446,
	}}, Log: config.Log{Addresses: true}}
	o := Options{Config: c, Log: logline.New(&lines2{}, logline.Error, false), NoDatapath: true, Socket: filepath.Join(t.TempDir(), "socket")}
	d, err := start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	s := d.sections[0]
	for i := range n {
		peer := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i >> 8)}), uint16(20000+i&0xff))
		ev := broker.Event{Kind: broker.EventDatagram, Peer: peer, Local: netip.MustParseAddrPort("198.51.100.1:53"), Data: wire.AppendCookieRequest(nil)}
		d.effects = s.core.Handle(d.now, &ev, d.effects[:0])
		m, err := wire.Parse(d.effects[0].Message())
		if err != nil {
			t.Fatal(err)
		}
		uuid := fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
		ev.Data = wire.AppendPrepare(nil, m.Payload, []byte(uuid), 1, wire.UniqueSessionID)
		d.effects = s.core.Handle(d.now, &ev, d.effects[:0])
		id := d.effects[0].Tunnel
		d.effects = s.core.Handle(d.now, &broker.Event{Kind: broker.EventCreated, Tunnel: id, Up: true}, d.effects[:0])
		p := &tunnels.Tunnel{ID: id, Section: &s.Section, Interface: fmt.Sprintf("l2tp%d-%d", id, id)}
		if err := d.tunnels.Inherit(d.now, p, &broker.TunnelInfo{}, -1, datapath.Known{}); err != nil {
			t.Fatal(err)
		}
		d.links.Add(&datapath.Request{ID: id, Interface: p.Interface}, int(id))
		fmt.Fprintf(&lines, "%s: %d 1 0 0 0 0 0 0 %d 4 0 0 0 0 0 0\n", p.Interface, 1000000+int(id), 2000000+int(id))
	}
	old := survey.DeviceFile
	t.Cleanup(func() { survey.DeviceFile = old })
	survey.DeviceFile = filepath.Join(t.TempDir(), "dev")
	if err := os.WriteFile(survey.DeviceFile, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return d
}

// lines2 drops the log.
type lines2 struct{}

func (*lines2) Write(b []byte) (int, error) { return len(b), nil }

// However many tunnels there are, what a turn writes and keeps is bounded, and
// the pieces make a whole.
func TestStatusInPieces(t *testing.T) {
	d := crowded(t, 5000)
	for _, words := range []string{"", "json", "prometheus tunnels"} {
		body, c := turns(t, d, append([]string{"status"}, strings.Fields(words)...)...)
		if least := len(body) / (2 * status.PieceBytes); c.turns < least {
			t.Errorf("%q: %d bytes in %d turns", words, len(body), c.turns)
		}
		if n := strings.Count(string(body), "l2tp"); n < 5000 {
			t.Errorf("%q: %d tunnels", words, n)
		}
		if words != "json" {
			continue
		}
		var w written
		if err := json.Unmarshal(body, &w); err != nil || len(w.Tunnels) != 5000 {
			t.Fatalf("%d tunnels, %v", len(w.Tunnels), err)
		}
		for i, tun := range w.Tunnels {
			if id := uint64(100 + i); tun.ID != uint32(id) || tun.Rx_bytes != 1000000+id || tun.Tx_bytes != 2000000+id || tun.State != "up" {
				t.Fatalf("tunnel %d: %+v", i, tun)
			}
		}
	}
}

// Tunnels that come and go while a status is written are no trouble.
func TestStatusWhileTunnelsGo(t *testing.T) {
	d := crowded(t, 300)
	r, _, err := d.survey().Writer([]string{"json"})
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	for more := true; more; {
		var piece []byte
		piece, more = r.Write(nil)
		text = append(text, piece...)
		for id := uint32(100); id < 400; id += 3 {
			d.sections[0].core.Handle(d.now, &broker.Event{Kind: broker.EventLost, Tunnel: id}, nil)
			d.tunnels.Gone(&datapath.Event{Kind: datapath.Destroyed, Tunnel: id})
		}
	}
	var w written
	if err := json.Unmarshal(text, &w); err != nil || len(w.Tunnels) == 0 {
		t.Errorf("%d tunnels, %v", len(w.Tunnels), err)
	}
}
