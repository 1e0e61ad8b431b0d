//go:build vm || native

package e2e

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// traveller is a client whose path changes.
type traveller struct {
	name     string
	host     *Host
	broker   string // address and port
	overhead int    // from the path's MTU to the tunnel's
	inner    [2]netip.Addr
	iface    string // at the broker
	mtu      [2]func() int
	index    [2]int
}

// The MTU of a path goes from 1500 to 1400 and back: the tunnels over it follow, full frames pass in one piece, no tunnel ends and
// the broker has next to nothing to do. One path is IPv4, one IPv6, and one has no ICMP on it.
func TestPathMTU(t *testing.T) {
	w := New(t)
	server := w.Host("broker")
	second := server.Addr4.Next()
	server.IP("addr add " + second.String() + "/29 dev eth0")
	all := []*traveller{
		{name: "four", broker: server.Addr4.String() + ":8942", overhead: 54},
		{name: "six", broker: "[" + server.Addr6.String() + "]:8942", overhead: 74},
		{name: "dark", broker: second.String() + ":8942", overhead: 54},
	}
	b := server.StartBroker("config broker 'wan'\n\tlist port '8942'\n\toption connection_rate_limit '0'\n", 8942)
	for i, v := range all {
		v.host = w.Host(v.name)
		v.host.StartClient("-f", "-u", v.name, "-b", v.broker, "-i", "tun0")
		v.iface = b.tunnelOf(v.name)
		for side, end := range v.ends(server) {
			v.inner[side] = netip.AddrFrom4([4]byte{198, 51, 100, byte(129 + 4*i + side)})
			v.mtu[side], v.index[side] = end.host.mtuOf(end.iface), end.host.WaitLink(end.iface, soon).Index
			end.host.IP("addr add " + v.inner[side].String() + "/30 dev " + end.iface)
		}
	}
	// No router tells the dark client, nor the broker about it, that a packet was too large.
	dark := all[2].host
	w.batch(dark.edge(), "rule add ipproto icmp blackhole")
	w.batch(server.edge(), "rule add to "+second.String()+" ipproto icmp blackhole")

	followed := func(path int) {
		t.Helper()
		began := time.Now()
		waiting := map[string]func() bool{}
		for _, v := range all {
			v.host.SetPath(Path{MTU: path})
			for side, who := range []string{"broker", "client"} {
				waiting[v.name+" at the "+who] = func() bool { return v.mtu[side]() == path-v.overhead }
			}
		}
		if path < 1500 {
			// As long as nobody has noticed, routers cut IPv4 packets in pieces: the count that must not rise below does rise. An IPv6
			// packet is lost, and the broker is told.
			cut := w.fragments(server, all)
			if err := all[0].ping(server, 1500, 0); err != nil {
				t.Error(err)
			}
			if w.fragments(server, all) == cut {
				t.Error("a packet larger than the path is not seen in the count of fragments")
			}
			_, _ = server.Try("ping", "-n", "-c", "1", "-W", "1", "-s", fmt.Sprint(1500-all[1].overhead-28), all[1].inner[1].String())
		}
		var took []string
		w.Wait(soon, fmt.Sprintf("every tunnel follows the path to %d", path), func() bool {
			for what, there := range waiting {
				if there() {
					took = append(took, fmt.Sprintf("%s %.1f s", what, time.Since(began).Seconds()))
					delete(waiting, what)
				}
			}
			return len(waiting) == 0
		})
		t.Logf("path of %d followed: %s", path, strings.Join(took, ", "))
	}
	whole := func(path int) {
		t.Helper()
		before := w.fragments(server, all)
		for _, v := range all {
			for side := range v.inner {
				if err := v.ping(server, path, side); err != nil {
					t.Errorf("%s, path of %d: %v", v.name, path, err)
				}
			}
		}
		if cut := w.fragments(server, all) - before; cut != 0 {
			t.Errorf("path of %d: %d fragments", path, cut)
		}
	}
	// The broker's first round, within the first second, is over when these pings are.
	whole(1500)
	followed(1400)
	whole(1400)
	// What the broker does meanwhile is in proportion to what it hears and says; a loop that does not sleep makes thousands of calls a second.
	before := server.datagrams()
	calls, total := b.calls(func() { followed(1500) }), 0
	for _, n := range calls {
		total += n
	}
	moved := server.datagrams() - before
	t.Logf("%d datagrams, %d system calls: %v", moved, total, calls)
	if moved == 0 || total > 20*moved+200 {
		t.Errorf("%d system calls for %d datagrams", total, moved)
	}
	whole(1500)
	for _, v := range all {
		for side, end := range v.ends(server) {
			if l := end.host.WaitLink(end.iface, soon); l.Index != v.index[side] {
				t.Errorf("%s on %s is another interface now", end.iface, end.host.Name)
			}
		}
	}
	if strings.Contains(b.Log(), "tunnel closed") {
		t.Error("a tunnel was closed")
	}
}

// datagrams tells how many UDP datagrams programs on the host have sent and taken in.
func (h *Host) datagrams() (n int) {
	h.World.T.Helper()
	err := h.Do(func() error {
		for _, file := range []string{"snmp", "snmp6"} {
			text, err := os.ReadFile("/proc/thread-self/net/" + file)
			if err != nil {
				return err
			}
			for _, line := range strings.Split(string(text), "\n") {
				var in, none, errors, out int
				if c, _ := fmt.Sscanf(line, "Udp: %d %d %d %d", &in, &none, &errors, &out); c == 4 {
					n += in + out
				}
				if c, _ := fmt.Sscanf(line, "Udp6InDatagrams %d", &in); c == 1 {
					n += in
				}
				if c, _ := fmt.Sscanf(line, "Udp6OutDatagrams %d", &out); c == 1 {
					n += out
				}
			}
		}
		return nil
	})
	if err != nil {
		h.World.T.Fatal(err)
	}
	return n
}

type end struct {
	host  *Host
	iface string
}

// ends are the broker's and the client's.
func (v *traveller) ends(server *Host) [2]end { return [2]end{{server, v.iface}, {v.host, "tun0"}} }

// ping sends frames of the tunnel's MTU from one side to the other.
func (v *traveller) ping(server *Host, path, from int) error {
	return v.ends(server)[from].host.Ping(v.inner[1-from], "-M", "do", "-s", strconv.Itoa(path-v.overhead-28))
}

// fragments counts the packets that any machine of the world has cut or put together.
func (w *World) fragments(server *Host, all []*traveller) (n int) {
	w.T.Helper()
	names := []string{"core", server.Name, server.edge()}
	for _, v := range all {
		names = append(names, v.host.Name, v.host.edge())
	}
	for _, name := range names {
		err := within(name, func() error {
			here, err := countFragments()
			n += here
			return err
		})
		if err != nil {
			w.T.Fatal(err)
		}
	}
	return n
}

func countFragments() (n int, err error) {
	// A line of names, then one of their values.
	text, err := os.ReadFile("/proc/thread-self/net/snmp")
	if err != nil {
		return 0, err
	}
	lines := strings.Split(string(text), "\n")
	names, values := strings.Fields(lines[0]), strings.Fields(lines[1])
	for i, name := range names {
		if name == "FragCreates" || name == "ReasmReqds" {
			add, err := strconv.Atoi(values[i])
			if err != nil {
				return 0, err
			}
			n += add
		}
	}
	// A name and its value in each line.
	text, err = os.ReadFile("/proc/thread-self/net/snmp6")
	if err != nil {
		return 0, err
	}
	for scan := bufio.NewScanner(strings.NewReader(string(text))); scan.Scan(); {
		var name string
		var value int
		if _, err := fmt.Sscan(scan.Text(), &name, &value); err != nil {
			return 0, err
		}
		if name == "Ip6FragCreates" || name == "Ip6ReasmReqds" {
			n += value
		}
	}
	return n, nil
}
