package daemon

import (
	"strings"
	"testing"
	"time"

	"tunneldigger/src/bridges"
	"tunneldigger/src/config"
	"tunneldigger/src/config/uci"
)

// configured puts the bridge and client sections of a text into force, as a reload does.
func (d *Daemon) configured(t *testing.T, text string) {
	t.Helper()
	c, err := uci.Parse("text", "config broker 'wan'\n\tlist port '8942'\n\n"+text)
	if err != nil {
		t.Fatal(err)
	}
	whole := *d.config
	whole.Bridges, whole.Clients = c.Bridges, c.Clients
	d.use(&whole)
	d.links.Follow(d.now)
	d.interfacesChanged()
	d.tunnels.MoveAll()
	d.due(0)
}

// Bridges that a section has the broker make come and go with tunnels and their MTUs, and go at the end.
func TestBridgesOfSections(t *testing.T) {
	d, k, log := faked(t)
	d.configured(t, "config bridge 'mesh'\n\toption interface 'digger%m'\n\toption create '1'\n\toption isolate '1'\n\tlist address '198.51.100.1/24'\n\toption table '142'\n"+
		"\nconfig bridge 'one'\n\toption interface 'br-one'\n\toption create '1'\n\toption mtu '1281'\n"+
		"\nconfig client\n\toption uuid 'special'\n\toption bridge 'one'\n")
	p := d.bring(t, 20000, "plain")
	l := k.Named(p.Interface)
	m := k.Links[l.Master]
	if m == nil || m.Name != "digger1446" || m.MTU != 1446 || !l.Isolated || !m.Up || m.Alias != "tunneldigger-broker /run/socket" || len(k.Rules) != 2 || len(k.Addresses) != 1 {
		t.Fatalf("%+v on %+v, rules %v, addresses %v", l, m, k.Rules, k.Addresses)
	}
	d.interfacesChanged()
	log.await(t, "bridge made interface=digger1446")
	s := d.bring(t, 20001, "special")
	if m := k.Links[k.Named(s.Interface).Master]; m == nil || m.Name != "br-one" || d.first().Unattached != "" {
		t.Errorf("the client with a section of its own is on %+v", m)
	}
	d.tunnels.SetMTU(d.now, p.ID, 1346)
	if m := k.Links[l.Master]; m == nil || m.Name != "digger1346" {
		t.Errorf("moved to %+v", m)
	}
	d.due(5 * time.Second)
	log.await(t, "bridge removed, as it has no tunnels interface=digger1446")
	// A reload: another address, another table, the client as all others.
	d.configured(t, "config bridge 'mesh'\n\toption interface 'digger%m'\n\toption create '1'\n\tlist address '198.51.100.2/24'\n\toption table '143'\n")
	d.due(5 * time.Second)
	if l.Isolated || len(k.Addresses) != 2 || k.Addresses[0].Prefix.String() != "198.51.100.2/24" || len(k.Rules) != 4 || k.Rules[0].Table != 143 || k.Named("br-one") != nil {
		t.Errorf("%+v, rules %v, addresses %v", l, k.Rules, k.Addresses)
	}
	d.links.RemoveBridges()
	d.interfacesChanged()
	if len(k.Rules)+len(k.Addresses) != 0 || k.Named("digger1346") != nil || k.Named("digger1446") != nil {
		t.Errorf("left are %v, %v", k.Rules, k.Addresses)
	}
}

// What keeps a bridge from being made keeps a section from listening, or a reload from being taken, in words.
func TestBridgesThatCannotBe(t *testing.T) {
	d, k, _ := faked(t)
	k.Add("digger1446", "veth", 1500)
	with := func(text string) *config.Config {
		c, err := uci.Parse("text", "config broker 'wan'\n\tlist port '8942'\n\nconfig bridge\n\toption create '1'\n"+text)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	d.config.Bridges = with("\toption interface 'digger%m'\n").Bridges
	if err := d.bridges.Ready(d.now, d.links, "wan"); err == nil || !strings.Contains(err.Error(), "interface digger1446 is there and is no bridge") {
		t.Errorf("%v", err)
	}
	if got := d.bridges.Missing(d.now, d.links); len(got) != 1 {
		t.Errorf("missing %q", got)
	}
	c := with("\toption interface 'br'\n\toption table 'no-such-table'\n")
	if faults := bridges.TableFaults(c); len(faults) != 1 || !strings.Contains(faults[0].Error(), "bridge 'bridge0': routing table 'no-such-table'") {
		t.Errorf("%v", faults)
	}
	now, _ := d.running()
	if _, err := now.Plan(c); err == nil || !strings.Contains(err.Error(), "no-such-table") {
		t.Errorf("a reload gives %v", err)
	}
	c = with("\toption interface 'br'\n")
	c.Clients = []config.Client{{Name: "x", TunnelID: d.config.Brokers[0].TunnelIDBase}}
	if _, err := now.Plan(c); err == nil || !strings.Contains(err.Error(), "client 'x': tunnel_id") {
		t.Errorf("a reload gives %v", err)
	}
	d.config.Bridges = c.Bridges
	if err := d.bridges.Ready(d.now, d.links, "wan"); err != nil {
		t.Error(err)
	}
}

// A node's own ID and limit reach the data path.
func TestClientSections(t *testing.T) {
	d, k, _ := faked(t)
	d.configured(t, "config client\n\toption uuid 'one'\n\toption tunnel_id '17'\n\toption bandwidth_down '500'\n")
	p := d.bring(t, 20000, "one")
	if l := k.Named(p.Interface); p.ID != 17 || l == nil || l.Kbit != 500 {
		t.Errorf("tunnel %d, %+v", p.ID, l)
	}
	k.Tunnels[17], k.Tunnels[18] = true, true
	d.configured(t, "config client\n\toption uuid 'two'\n\toption tunnel_id '18'\n")
	if _, err := d.carriers.Kernel.Sweep(d.free); err != nil || k.Tunnels[18] || !k.Tunnels[17] {
		t.Errorf("left are %v, %v", k.Tunnels, err)
	}
}
