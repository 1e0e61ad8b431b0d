//go:build vm || native

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// reported is as much of status --json as is looked at here.
type reported struct {
	Brokers []struct {
		Tunnels, Limit int
		Draining       bool
		Setup          struct {
			Count       int
			Sum_seconds float64
		}
	}
	Tunnels []reportedTunnel
}

type reportedTunnel struct {
	ID                                         int
	UUID, Interface, State                     string
	Bridge, Endpoint                           *string
	MTU                                        int
	Rx_bytes, Rx_packets, Tx_bytes, Tx_packets uint64
	Limit_kbit                                 int
	Age_seconds                                float64
}

func (b *Broker) status(w *World) (r reported) {
	w.T.Helper()
	text := b.Call(w, "status", "--json")
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		w.T.Fatalf("status --json: %v in\n%s", err, text)
	}
	return r
}

// counters are those of ip -s link: received bytes and packets, transmitted bytes and packets.
func (h *Host) counters(name string) (c [4]uint64) {
	h.World.T.Helper()
	var links []struct {
		Stats64 struct {
			Rx, Tx struct{ Bytes, Packets uint64 }
		}
	}
	text := h.Run("ip", "-s", "-j", "link", "show", "dev", name)
	if err := json.Unmarshal([]byte(text), &links); err != nil || len(links) != 1 {
		h.World.T.Fatalf("ip -s link: %v in %s", err, text)
	}
	s := links[0].Stats64
	return [4]uint64{s.Rx.Bytes, s.Rx.Packets, s.Tx.Bytes, s.Tx.Packets}
}

// What status says of real tunnels is what the kernel says, and kick closes the one that is meant.
func TestStatus(t *testing.T) {
	w := New(t)
	server := w.Host("broker")
	server.IP("link add br-mesh mtu 1446 type bridge", "link set br-mesh up")
	broker := server.StartBroker("config broker 'wan'\n\tlist port '8942'\n\nconfig bridge\n\toption interface 'br-mesh'\n\n"+
		"config log\n\toption log_ip_addresses '1'\n", 8942)
	at4, at6 := server.Addr4.String()+":8942", "["+server.Addr6.String()+"]:8942"
	clients := map[string]*Host{}
	for name, args := range map[string][]string{"alice": {"-b", at4}, "bob": {"-b", at6}, "carol": {"-b", at4, "-L", "2000"}} {
		clients[name] = w.Host(name)
		clients[name].StartClient(append([]string{"-f", "-u", name, "-i", "tun0"}, args...)...)
	}
	for n, name := range []string{"alice", "bob", "carol"} {
		clients[name].WaitLink("tun0", soon)
		clients[name].IP(fmt.Sprintf("addr add 198.51.100.%d/25 dev tun0", 130+n))
	}
	server.IP("addr add 198.51.100.129/25 dev br-mesh")
	w.Wait(soon, "the broker's ends attached", func() bool {
		attached := 0
		for _, l := range server.Links("l2tp") {
			if l.Master == "br-mesh" {
				attached++
			}
		}
		return attached == 3
	})
	for _, name := range []string{"alice", "bob", "carol"} {
		clients[name].Run("ping", "-q", "-c", "5", "-i", "0.2", "-s", "1000", "198.51.100.129")
	}
	if text := broker.Call(w, "status"); !strings.Contains(text, "3 of 1024") {
		t.Errorf("status:\n%s", text)
	}
	ids := map[string]int{}
	w.Wait(soon, "counters that agree with ip -s link", func() bool {
		before := map[string][4]uint64{}
		for _, name := range server.LinkNames("l2tp") {
			before[name] = server.counters(name)
		}
		r := broker.status(w)
		if len(r.Tunnels) != 3 || len(before) != 3 || r.Brokers[0].Tunnels != 3 || r.Brokers[0].Setup.Count != 3 || r.Brokers[0].Setup.Sum_seconds <= 0 {
			t.Fatalf("%+v", r)
		}
		equal := true
		for _, tun := range r.Tunnels {
			ids[tun.UUID] = tun.ID
			want := 0
			if tun.UUID == "carol" {
				want = 2000
			}
			if tun.State != "up" || tun.MTU < 1400 || tun.Bridge == nil || *tun.Bridge != "br-mesh" || tun.Endpoint == nil || tun.Limit_kbit != want || tun.Rx_bytes < 5000 {
				t.Fatalf("%+v", tun)
			}
			equal = equal && before[tun.Interface] == [4]uint64{tun.Rx_bytes, tun.Rx_packets, tun.Tx_bytes, tun.Tx_packets}
			// What came between, such as IPv6's own, may have been counted or not.
			for i, n := range []uint64{tun.Rx_bytes, tun.Rx_packets, tun.Tx_bytes, tun.Tx_packets} {
				if after := server.counters(tun.Interface); n < before[tun.Interface][i] || n > after[i] {
					t.Fatalf("%+v, but ip said %v before and %v after", tun, before[tun.Interface], after)
				}
			}
		}
		return equal
	})
	metrics := broker.Call(w, "status", "--prometheus", "--tunnels")
	if series := fmt.Sprintf(`tunneldigger_tunnel_mtu_bytes{broker="wan",interface="l2tp%d-%d",uuid="alice"}`, ids["alice"], ids["alice"]); !strings.Contains(metrics, series) {
		t.Errorf("no %s in\n%s", series, metrics)
	}

	// Kicked, a client comes back by itself; the others notice nothing.
	gone := func(id int) bool {
		return !strings.Contains(" "+strings.Join(server.LinkNames("l2tp"), " ")+" ", fmt.Sprintf(" l2tp%d-%d ", id, id))
	}
	for _, kick := range []struct{ who, word string }{{"alice", fmt.Sprint(ids["alice"])}, {"bob", "bob"}} {
		if text := broker.Call(w, "kick", kick.word); !strings.Contains(text, "is being closed") {
			t.Errorf("kick %s: %s", kick.word, text)
		}
		w.Wait(soon, "end of "+kick.who+"'s tunnel", func() bool { return gone(ids[kick.who]) })
	}
	w.Wait(soon, "three tunnels again", func() bool { return len(broker.status(w).Tunnels) == 3 })
	if gone(ids["carol"]) {
		t.Error("carol's tunnel was closed, too")
	}
	if text, err := w.try(w.Program("tunneldigger-broker"), "kick", "nobody", "--socket", broker.socket()); err == nil || !strings.Contains(text+err.Error(), `no tunnel has the ID or UUID "nobody"`) {
		t.Errorf("kick nobody: %s %v", text, err)
	}
}

// Clients that choose by usage leave out a broker that is being drained, whose tunnels stay; drain off brings it back.
func TestStatusDrain(t *testing.T) {
	w := New(t)
	const config = "config broker 'wan'\n\tlist port '8942'\n\toption max_tunnels '%d'\n"
	one, two := w.Host("one"), w.Host("two")
	first := one.StartBroker(fmt.Sprintf(config, 100), 8942)
	two.StartBroker(fmt.Sprintf(config, 10), 8942)
	at := func(h *Host) string { return h.Addr4.String() + ":8942" }
	join := func(name string, args ...string) {
		t.Helper()
		h := w.Host(name)
		h.StartClient(append([]string{"-f", "-a", "-u", name, "-i", "tun0"}, args...)...)
		h.WaitLink("tun0", soon)
	}
	tunnels := func(want1, want2 int) {
		t.Helper()
		if a, b := len(one.LinkNames("l2tp")), len(two.LinkNames("l2tp")); a != want1 || b != want2 {
			t.Fatalf("%d and %d tunnels, want %d and %d", a, b, want1, want2)
		}
	}
	both := []string{"-b", at(one), "-b", at(two)}
	join("weight", "-b", at(two))
	join("alice", both...)
	tunnels(1, 1)
	before := one.Links("l2tp")[0].Index

	if text := first.Call(w, "drain"); !strings.Contains(text, "1 stay") {
		t.Errorf("drain: %s", text)
	}
	join("bob", both...)
	tunnels(1, 2)
	if r := first.status(w); !r.Brokers[0].Draining || one.Links("l2tp")[0].Index != before {
		t.Errorf("%+v, interface %d, before %d", r, one.Links("l2tp")[0].Index, before)
	}
	first.Call(w, "drain", "off")
	join("carol", both...)
	tunnels(2, 2)

	// Released slowly, the first one's clients go to the second.
	first.Call(w, "drain", "--close-rate", "60")
	w.Wait(soon, "all tunnels on the second", func() bool {
		return len(one.LinkNames("l2tp")) == 0 && len(two.LinkNames("l2tp")) == 4
	})
}
