package bridges

import (
	"net/netip"
	"testing"

	"tunneldigger/src/broker"
	"tunneldigger/src/config"
	"tunneldigger/src/datapath"
)

// A tunnel goes where its client's section, or else the first that fits it, wants it.
func TestPlan(t *testing.T) {
	p := New(&config.Config{
		Brokers: []config.Broker{{Name: "wan", Ports: []uint16{53}}},
		Bridges: []config.Bridge{{Name: "sized", Interface: "br-%m", MTU: 1400, Create: true, Isolate: true, Table: "142"}, {Name: "special", Interface: "br-special"}},
		Clients: []config.Client{{UUID: "one", Bridge: "special", TunnelID: 17, BandwidthDown: 500}},
	})
	for _, c := range []struct {
		uuid string
		mtu  int
		want datapath.Want
	}{
		{"plain", 1400, datapath.Want{MTU: 1400, Bridge: "br-1400", Isolated: true, Kbit: 9}},
		{"one", 1400, datapath.Want{MTU: 1400, Bridge: "br-special", Kbit: 9}},
		{"plain", 1300, datapath.Want{MTU: 1300, Bridge: "br-special", Kbit: 9}},
	} {
		got := datapath.Want{MTU: c.mtu, Bridge: "before", Isolated: true, Kbit: 9}
		if p.Fill(&got, "wan", c.uuid, 53); got != c.want {
			t.Errorf("%s, MTU %d: %+v, want %+v", c.uuid, c.mtu, got, c.want)
		}
	}
	if c := p.Client("one"); c != (broker.Client{Tunnel: 17, Bandwidth: 500}) || p.Client("plain") != (broker.Client{}) || !p.IsNodes(17) || p.IsNodes(18) {
		t.Errorf("the client: %+v", c)
	}
	if own := p.Own("br-1400"); own == nil || own.MTU != 1400 || own.Table != "142" || p.Own("br-x") != nil || p.Own("br-special") != nil {
		t.Errorf("own: %+v", own)
	}
	if !p.Is("br-special") || p.Is("br-x") {
		t.Error("which bridges there are")
	}
}

// Only where there are bridge sections, and none fits, is a tunnel loose.
func TestLoose(t *testing.T) {
	f := &broker.Facts{MTU: 1400, Local: netip.MustParseAddrPort("192.0.2.1:53")}
	for want, bridges := range map[bool][]config.Bridge{true: {{Interface: "br", MTU: 1300}}, false: nil} {
		if got := New(&config.Config{Bridges: bridges}).Loose("wan", f); got != want {
			t.Errorf("%v: %v", bridges, got)
		}
	}
}
