package status

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"tunneldigger/src/broker"
)

var update = flag.Bool("update", false, "write the golden files anew")

// nasty is what a UUID or a section's name would be if nobody had looked at it.
const nasty = "a\"b\\c\nd\x1b[31m\xff,e\u00e9}"

func fixture() (*Report, []Tunnel) {
	stats := broker.Stats{Cookies: 120, Usages: 300, Prepares: 130, Repeats: 4, Opened: 110}
	stats.Drops[broker.DropCookie] = 7
	stats.Reasons[broker.RefusedFull], stats.Reasons[broker.ClosedTimeout] = 5, 90
	stats.Setup.Sum = 1234567 * time.Microsecond
	stats.Setup.Buckets[2], stats.Setup.Buckets[5], stats.Setup.Buckets[16] = 60, 48, 2
	r := &Report{
		Version: "1.2.3", PID: 77, Started: 1700000000, Uptime: 26*time.Hour + 90*time.Second, Memory: 9_437_184,
		Hooks: Hooks{Running: 1, Waiting: 2, Ended: 220, Failed: 3}, SendFailures: 6, Frames: []Count{{"session", 11}, {"runt", 0}},
		Sections: []Section{{
			Name: "wan", Interface: "eth0", Datapath: "user", Tunnels: 3, Limit: 1024, Queued: 2, Unattached: 1, UnattachedTotal: 14, HookFailed: 2, Draining: true, CloseRate: 30, Stats: stats,
			Limits: broker.Limits{Addresses: 9, HeldAddresses: 2, UUIDs: 8, HeldUUIDs: 1},
			Refusals: []Refusal{
				{UUID: `my\x20node`, Peer: netip.MustParseAddrPort("198.51.100.9:5"), Reason: broker.RefusedUUID, Detail: "it has a blank", Ago: time.Second, Count: 3},
				{Reason: broker.RefusedUUID, Detail: "it is empty", Ago: 61 * time.Second, Count: 1},
				{UUID: "lost", Reason: broker.RefusedDenied, Ago: time.Hour, Count: 1},
			},
			Listeners: []Listener{
				{netip.MustParseAddrPort("192.0.2.1:53"), ""}, {netip.MustParseAddrPort("192.0.2.1:123"), "UDP is in use by " + nasty},
				{netip.MustParseAddrPort("[2001:db8::1]:53"), ""}, {netip.MustParseAddrPort("[2001:db8::1]:123"), "it is in use by ntpd"},
			},
		}, {Name: nasty, Datapath: "kernel", WaitsFor: "interface x\n: no such device", Limit: 5,
			Listeners: []Listener{{netip.MustParseAddrPort("0.0.0.0:53"), "interface x\n: no such device"}}}},
	}
	peer, local := netip.MustParseAddrPort("198.51.100.7:1234"), netip.MustParseAddrPort("192.0.2.1:53")
	facts := broker.Facts{Serial: 1, Tunnel: 100, Session: 100, MTU: 1446, Peer: peer, Local: local, UUID: "client-1"}
	one := Tunnel{
		TunnelInfo: broker.TunnelInfo{Facts: facts, State: "up", Opened: 1000 * time.Second, Heard: 4999 * time.Second, Bandwidth: 2000, Features: 1},
		Now:        5000*time.Second + 250*time.Millisecond, Section: "wan", Master: "br-mesh",
		Traffic: Traffic{RxBytes: 1_234_567, RxPackets: 999, TxBytes: 1 << 63, TxPackets: 123_456},
	}
	two := one
	two.Tunnel, two.Session, two.UUID, two.Hidden, two.Master, two.Bandwidth, two.State = 65535, 1, nasty, true, "", 0, "closing"
	two.Unattached, two.HookFailed = "no bridge section fits MTU 1446", "session.up: /x/y: exit status 1 "+nasty
	three := one
	three.Tunnel, three.Session, three.State, three.Opened, three.Traffic, three.Section = 101, 101, "creating", 0, Traffic{}, nasty
	three.Peer = netip.MustParseAddrPort("[2001:db8:1:2:3:4:5:6]:65535")
	return r, []Tunnel{one, three, two}
}

func table(r *Report, tunnels []Tunnel) []byte {
	var t Table
	for i := range tunnels {
		t.Measure(&tunnels[i])
	}
	b := t.AppendHead(nil)
	for i := range tunnels {
		b = t.AppendTunnel(b, &tunnels[i])
	}
	b = AppendSummary(b, r)
	for i := range r.Sections {
		b = AppendSection(b, &r.Sections[i])
	}
	return b
}

// pieces writes each piece to an empty slice, as the daemon does.
func inJSON(r *Report, tunnels []Tunnel) []byte {
	b := AppendJSON(nil, r)
	for i := range r.Sections {
		b = append(b, AppendJSONSection(nil, &r.Sections[i], i == 0)...)
	}
	b = append(b, AppendJSONTunnels(nil)...)
	for i := range tunnels {
		b = append(b, AppendJSONTunnel(nil, &tunnels[i], i == 0)...)
	}
	return append(b, AppendJSONEnd(nil)...)
}

func metrics(r *Report, tunnels []Tunnel) (b []byte) {
	for i := range Families {
		b = append(b, AppendFamily(nil, i, r)...)
	}
	for i := range TunnelFamilies {
		b = append(b, AppendTunnelFamily(nil, i)...)
		for j := range tunnels {
			b = append(b, AppendTunnelSample(nil, i, &tunnels[j])...)
		}
	}
	return b
}

// What did not happen is left out of the golden files: there will be more reasons.
var (
	zeros = regexp.MustCompile(`"(closed|refused|dropped)":\{[^}]*\}|(?m)^tunneldigger_(tunnels_closed|clients_refused|datagrams_dropped)_total.* 0\n`)
	zero  = regexp.MustCompile(`"\w+":0,?|,?"\w+":0|^tunneldigger.*\n`)
)

func TestGolden(t *testing.T) {
	r, tunnels := fixture()
	for name, got := range map[string][]byte{
		"table.txt": table(r, tunnels), "status.json": inJSON(r, tunnels), "metrics.txt": metrics(r, tunnels),
	} {
		got = zeros.ReplaceAllFunc(got, func(b []byte) []byte { return zero.ReplaceAll(b, nil) })
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s (go test ./src/status -update writes it):\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestCountsAndSpans(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0", 999: "999", 1000: "1.0k", 9999: "9.9k", 10_000: "10k", 999_999: "999k", 1_000_000: "1.0M", 123_456_789: "123M", 1<<64 - 1: "18E",
	} {
		if got := string(appendCount(nil, n)); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m01s", 3600 * time.Second: "1h00m", 47 * time.Hour: "1d23h",
	} {
		if got := string(appendSpan(nil, d)); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-1: "0", 0: "0", time.Millisecond: "0.001", 1500 * time.Millisecond: "1.5", 10 * time.Second: "10", 2010 * time.Millisecond: "2.01",
	} {
		if got := string(appendSeconds(nil, d)); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestQuantile(t *testing.T) {
	ms := time.Millisecond
	for _, c := range []struct {
		buckets       map[int]uint64
		p50, p95, p99 time.Duration
	}{
		{nil, 0, 0, 0},
		{map[int]uint64{0: 1}, ms, ms, ms},
		{map[int]uint64{0: 100}, ms, ms, ms},
		{map[int]uint64{2: 50, 5: 50}, 4 * ms, 31 * ms, 32 * ms},
		{map[int]uint64{0: 98, 16: 2}, ms, ms, bound(15)},
	} {
		var s broker.Setup
		for i, n := range c.buckets {
			s.Buckets[i] = n
		}
		if a, b, d := quantile(&s, 50), quantile(&s, 95), quantile(&s, 99); a != c.p50 || b != c.p95 || d != c.p99 {
			t.Errorf("%v: %v %v %v, want %v %v %v", c.buckets, a, b, d, c.p50, c.p95, c.p99)
		}
	}
}

// Writing about a tunnel costs no memory, however many there are.
func TestTunnelsCostNoMemory(t *testing.T) {
	_, tunnels := fixture()
	tun := &tunnels[0]
	var table Table
	b := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		b = AppendJSONTunnel(b[:0], tun, false)
		b = AppendTunnelSample(b[:0], 0, tun)
		table.Measure(tun)
		b = table.AppendTunnel(b[:0], tun)
	}); n > 4 { // the interface's name, each time
		t.Errorf("%v allocations", n)
	}
}
