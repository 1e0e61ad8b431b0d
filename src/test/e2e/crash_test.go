//go:build vm || native

package e2e

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/wire"
)

// echoes asks one address through many interfaces, by ICMPv6.
type echoes struct {
	fd      int
	to      [16]byte
	indexes []int
	seq     uint16
	sent    [1 << 16]time.Time // by number
	last    []time.Time        // when the last request was sent that was answered, by interface
	asked   time.Time
}

func (h *Host) echoes(to netip.Addr, names []string) *echoes {
	h.World.T.Helper()
	e := &echoes{to: to.As16(), last: make([]time.Time, len(names))}
	err := h.Do(func() (err error) {
		for _, name := range names {
			i, err := net.InterfaceByName(name)
			if err != nil {
				return err
			}
			e.indexes = append(e.indexes, i.Index)
		}
		e.fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMPV6)
		return err
	})
	if err != nil {
		h.World.T.Fatal(err)
	}
	h.World.T.Cleanup(func() { unix.Close(e.fd) })
	_ = unix.SetsockoptInt(e.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20)
	return e
}

// step asks through every interface, a few times a second, and reads what has come back.
func (e *echoes) step() {
	if time.Since(e.asked) >= 250*time.Millisecond {
		e.asked = time.Now()
		e.seq++
		e.sent[e.seq] = e.asked
		for i, index := range e.indexes {
			message := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16([]byte{128, 0, 0, 0}, uint16(i)), e.seq) // RFC 4443, 4.1
			_ = unix.Sendto(e.fd, message, 0, &unix.SockaddrInet6{Addr: e.to, ZoneId: uint32(index)})
		}
	}
	poll := []unix.PollFd{{Fd: int32(e.fd), Events: unix.POLLIN}}
	_, _ = unix.Poll(poll, 20)
	for b := make([]byte, 2048); ; {
		n, _, err := unix.Recvfrom(e.fd, b, 0)
		if err != nil {
			return
		}
		if i := int(binary.BigEndian.Uint16(b[4:])); n >= 8 && b[0] == 129 && i < len(e.last) {
			if at := e.sent[binary.BigEndian.Uint16(b[6:])]; at.After(e.last[i]) {
				e.last[i] = at
			}
		}
	}
}

// since waits until something that was asked after a time has been answered through every interface.
func (e *echoes) since(t *testing.T, at time.Time, limit time.Duration) time.Duration {
	t.Helper()
	for {
		e.step()
		missing := 0
		for i := range e.last {
			if !e.last[i].After(at) {
				missing++
			}
		}
		if missing == 0 {
			return time.Since(at)
		}
		if time.Since(at) > limit {
			t.Fatalf("nothing comes back through %d of %d tunnels after %v", missing, len(e.last), limit)
		}
	}
}

// acquaint has the host behind a bridge and its clients know each other's addresses. What that host asks for is copied to each of hundreds of ports
// once a second for every client, which takes an emulated machine longer than all that is tried here.
func (l *load) acquaint(bridge, mac, at string, names []string) {
	l.t.Helper()
	var theirs, ours []string
	if err := l.clients.Do(func() error {
		for _, name := range names {
			i, err := net.InterfaceByName(name)
			if err != nil {
				return err
			}
			m := i.HardwareAddr // in its link-local address as RFC 4291 has it, appendix A
			own := netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
			theirs = append(theirs, fmt.Sprintf("neigh replace %s lladdr %s dev %s nud permanent", at, mac, name))
			ours = append(ours, fmt.Sprintf("neigh replace %s lladdr %s dev %s nud permanent", own, m, bridge))
		}
		return nil
	}); err != nil {
		l.t.Fatal(err)
	}
	l.clients.IP(theirs...)
	l.broker.IP(ours...)
}

// The broker is killed under a supervisor that starts it again after a second, as procd does: every tunnel is there again as it was, without
// a word to its client, and hooks hear of both of its interfaces.
func TestCrash(t *testing.T) {
	l := newLoad(t)
	clients := sized(300, 30)
	folder, log := l.hook("echo $ACTION $INTERFACE $UUID >>$LOG\n")
	heard := func() string { text, _ := os.ReadFile(log); return string(text) }
	l.broker.IP("link add br-mesh address 02:00:00:00:00:01 mtu 1400 type bridge", "link set br-mesh up", "addr add fe80::1/64 dev br-mesh nodad")
	if err := l.clients.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0)
	}); err != nil {
		t.Fatal(err)
	}
	config := l.config("\toption max_tunnels '1000'\n\toption tunnel_timeout '600'\n\toption pmtu '1400'\n",
		"config bridge\n\toption interface 'br-mesh'\n\toption isolate '1'\n", "config hooks\n\toption directory '"+folder+"'\n\toption timeout '100'\n")
	b := l.broker.StartBroker(config, loadPort)

	peers, names := make([]*peer, clients), make([]string, clients)
	for i := range peers {
		p := l.clients.peer(0, netip.AddrPortFrom(l.broker.Addr4, loadPort))
		a := p.connect(fmt.Sprint("node", i), uint32(1+i), wire.UniqueSessionID)
		names[i] = fmt.Sprint("tun", i)
		p.carry(names[i], uint32(1+i), a)
		peers[i] = p
	}
	peers[0].ask(wire.AppendLimit(nil, 1, 3000), wire.TypeRelAck)
	l.Wait(soon, "all hooks", func() bool { return strings.Count(heard(), "session.up") == clients })
	pings := l.clients.echoes(netip.MustParseAddr("fe80::1"), names)
	l.acquaint("br-mesh", "02:00:00:00:00:01", "fe80::1", names)
	pings.since(t, time.Now(), soon)
	before := l.indexes()
	if len(before) != clients {
		t.Fatalf("%d interfaces", len(before))
	}
	rates := func() string { // without handles, which are given anew
		_, rates, _ := strings.Cut(l.broker.Run("tc", "class", "show", "dev", "l2tp100-100"), " rate ")
		rates, _, _ = strings.Cut(rates, "\n")
		return rates
	}
	shaped := rates()
	if shaped == "" {
		t.Fatal("no bandwidth limit")
	}

	restart := func() *Broker {
		// Not awaited for anything: this is the supervisor's second.
		time.Sleep(time.Second)
		again := &Broker{Config: b.Config}
		again.Process = l.broker.Start("broker", l.Program("tunneldigger-broker"), "-c", b.Config, "--socket", b.socket())
		return again
	}
	hurries := func() string {
		text, _ := os.ReadFile("/sys/kernel/rcu_expedited")
		return strings.TrimSpace(string(text))
	}
	calm := hurries()
	began := time.Now()
	b.Signal(syscall.SIGKILL)
	b.Wait(soon)
	t.Logf("the process is gone after %v, and %d of its interfaces are left", time.Since(began).Round(10*time.Millisecond), len(l.tunnels()))
	b = restart()
	t.Logf("all of %d tunnels pass frames again %v after the kill", clients, pings.since(t, began, soon).Round(10*time.Millisecond))
	t.Log(b.WaitLog("ended without a word", soon))
	// What had the kernel hurry is undone when all are there.
	l.Wait(soon, "the kernel is as it was", func() bool { return hurries() == calm })
	// Interfaces of the program's own data path outlive it, and hooks hear nothing; the kernel's tunnels go with it.
	words, wantHooks := "tunnels_kept=0 tunnels_made_again=%d tunnels_lost=0\n", " session.up session.down session.up"
	if native {
		words, wantHooks = "tunnels_kept=%d tunnels_made_again=0 tunnels_lost=0\n", " session.up"
	}
	if !strings.Contains(b.Log(), fmt.Sprintf(words, clients)) {
		t.Errorf("the log:\n%s", b.tail())
	}
	after := l.indexes()
	for name, was := range before {
		if is := after[name]; (is.Index == was.Index) != native || is.MTU != was.MTU || is.Master != was.Master {
			t.Errorf("%s is %+v, was %+v", name, is, was)
		}
	}
	for _, name := range []string{"l2tp100-100", fmt.Sprintf("l2tp%d-%d", 99+clients, 99+clients)} {
		l.waitPort(name, "br-mesh", true)
	}
	if now := rates(); now != shaped {
		t.Errorf("the bandwidth limit is %q, was %q", now, shaped)
	}
	l.Wait(soon, "all hooks", func() bool {
		return strings.Count(heard(), "session.up") == strings.Count(wantHooks, "session.up")*clients
	})
	states := make(map[string]string)
	for _, line := range strings.Split(strings.TrimSpace(heard()), "\n") {
		what, of, _ := strings.Cut(line, " ")
		states[of] += " " + what
	}
	for of, states := range states {
		if states != wantHooks {
			t.Errorf("%s: hooks heard%s", of, states)
		}
	}
	var status struct {
		Brokers []struct{ Prepares, Opened uint64 }
	}
	text := b.Call(l.World, "status", "--json")
	if err := json.Unmarshal([]byte(text), &status); err != nil || len(status.Brokers) != 1 || status.Brokers[0].Prepares != 0 {
		t.Errorf("%v: status %s", err, text)
	}
	for i, p := range peers {
		if n := len(p.times(wire.TypeError)); n != 0 {
			t.Errorf("client %d was told %d times that its tunnel is gone", i, n)
		}
	}

	// A second time; and as something is in the way of one tunnel, the next broker dies while the kernel hurries for it, which the one after that ends.
	b.Signal(syscall.SIGKILL)
	b.Wait(soon)
	if !native {
		l.waitTunnels(soon, 0)
		l.broker.IP("link add l2tp100-100 type dummy")
		b = restart()
		b.WaitLog("ended without a word", soon)
		if now := hurries(); calm == "0" && now != "1" { // a kernel for one processor has no such thing
			t.Errorf("rcu_expedited is %q while tunnels are made again", now)
		}
		b.Signal(syscall.SIGKILL)
		b.Wait(soon)
		l.broker.IP("link del l2tp100-100")
	}

	// And the record is damaged in one place: that client is told as soon as it says something, and the others stay.
	record := b.socket() + ".state"
	state, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(state, []byte("node1")) // the first of those that begin so
	state[at] = 'x'
	if err := os.WriteFile(record, state, 0); err != nil {
		t.Fatal(err)
	}
	b = restart()
	if native {
		b.WaitLog("removed an interface that belonged to nobody interface=l2tp101-101", soon)
		b.WaitLog(fmt.Sprintf("tunnels_kept=%d tunnels_made_again=0 tunnels_lost=1 because=\"1 damaged\"", clients-1), soon)
	} else {
		b.WaitLog(fmt.Sprintf("tunnels_made_again=%d tunnels_lost=1 because=\"1 damaged\"", clients-1), soon)
	}
	l.broker.WaitBound(b.Process, loadPort)
	peers[1].ask(wire.AppendKeepalive(nil, 1), wire.TypeError)
	peers[2].ask(wire.AppendPMTUD(nil, 1300), wire.TypePMTUNtfy)
	l.Wait(soon, "the kernel is as it was", func() bool { return hurries() == calm })

	if status := b.Stop(soon); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if _, err := os.Stat(record); !os.IsNotExist(err) {
		t.Errorf("the record after an orderly end: %v", err)
	}
	l.waitTunnels(soon, 0)
	if alone := l.broker.removal(clients, "br-mesh"); alone > 0 {
		t.Logf("the kernel alone takes %v to remove as many tunnels of a bare process that is killed", alone.Round(10*time.Millisecond))
	}
}
