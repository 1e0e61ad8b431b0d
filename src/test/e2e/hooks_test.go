//go:build vm || native

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tunneldigger/src/wire"
)

// hookScript is the program of every event. It notes what it sees and what it was given, and then does what the UUID says.
const hookScript = `#!/bin/sh
seen=no
if [ -n "$INTERFACE" ] && [ -e /sys/class/net/$INTERFACE ]; then
	read mtu </sys/class/net/$INTERFACE/mtu
	seen=$mtu
	[ ! -e /sys/class/net/br-mesh/brif/$INTERFACE ] || seen=$seen,attached
fi
echo "begin $UUID $ACTION seen=$seen args=$* env=$TUNNEL_ID,$SESSION_ID,$INTERFACE,$MTU,$OLD_MTU,$ENDPOINT_IP,$ENDPOINT_PORT,$LOCAL_PORT,$BROKER" >>NOTES
case $UUID/$ACTION in
order/*) sleep 0.4 ;;
chatty/session.up) printf 'one\ntwo words\n\nthe end' ;;
fork/session.up) (sleep 8; echo "late fork" >>NOTES) & ;;
stuck/session.up) (sleep 4321; :) & sleep 4322 ;;
sleep-*/session.mtu-changed) sleep 1.5 ;;
esac
echo "end $UUID $ACTION" >>NOTES
case $UUID/$ACTION in
fail/session.verify) ;;
fail/* | bad/session.verify) exit 3 ;;
esac
`

// hooked is a broker with hooks that note what happens to them.
type hooked struct {
	*World
	broker *Broker
	server *Host
	client *Host
	notes  string // path
	script string // path
}

func newHooked(t *testing.T) *hooked {
	t.Helper()
	w := New(t)
	h := &hooked{World: w, server: w.Host("broker"), client: w.Host("clients")}
	dir := t.TempDir()
	h.notes, h.script = filepath.Join(dir, "notes"), filepath.Join(dir, "hook")
	drop := filepath.Join(dir, "hooks.d")
	if err := os.Mkdir(drop, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		h.script:                        strings.ReplaceAll(hookScript, "NOTES", h.notes),
		filepath.Join(drop, "10-notes"): "#!/bin/sh\necho \"then $UUID $ACTION\" >>" + h.notes + "\n",
		h.notes:                         "",
	} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config := "config broker 'wan'\n\tlist port '8942'\n\toption connection_rate_limit '0'\n\toption max_tunnels '100'\n\n" +
		"config broker 'few'\n\tlist port '53'\n\toption connection_rate_limit '0'\n\toption max_tunnels '10'\n\toption tunnel_id_base '2000'\n" +
		"\toption connection_rate_limit_per_ip_count '2'\n\toption connection_rate_limit_per_ip_time '3600'\n\n" +
		"config bridge\n\toption interface 'br-mesh'\n\nconfig hooks\n\toption parallel '8'\n\toption timeout '5'\n\toption directory '" + drop + "'\n"
	for _, event := range []string{"session_up", "session_pre_down", "session_down", "session_mtu_changed",
		"broker_connection_rate_limit", "session_verify"} {
		config += fmt.Sprintf("\toption %s '%s'\n", event, h.script)
	}
	h.server.IP("link add br-mesh mtu 1446 type bridge", "link set br-mesh up")
	h.broker = h.server.StartBroker(config, 8942, 53)
	return h
}

// read gives the lines of the notes that are about a UUID, or all for "".
func (h *hooked) read(uuid string) []string {
	h.T.Helper()
	text, err := os.ReadFile(h.notes)
	if err != nil {
		h.T.Fatal(err)
	}
	var lines []string
	for _, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if words := strings.Fields(line); uuid == "" || len(words) > 1 && words[1] == uuid {
			lines = append(lines, line)
		}
	}
	return lines
}

// await waits until the notes have that line.
func (h *hooked) await(line string, limit time.Duration) {
	h.T.Helper()
	h.Wait(limit, "a hook notes "+line, func() bool {
		for _, there := range h.read("") {
			if there == line {
				return true
			}
		}
		return false
	})
}

// Hooks that sleep, fail, print, fork and hang; and the clients of the broker notice nothing of it.
func TestHooks(t *testing.T) {
	h := newHooked(t)
	const sleepers = 20
	peers := make([]*peer, sleepers)
	for i := range peers {
		peers[i] = h.client.peer(0, h.addr(8942))
		peers[i].connect(fmt.Sprintf("sleep-%d", i), uint32(100+i), wire.UniqueSessionID)
	}
	began := time.Now()
	h.order(t)
	h.troubles(t)
	h.refusals(t)
	t.Logf("order, troubles and refusals took %.1f s", time.Since(began).Seconds())
	h.await(fmt.Sprintf("then sleep-%d session.up", sleepers-1), soon)
	// The first keepalive comes 15 s after the tunnel at the latest.
	for _, p := range peers {
		h.Wait(soon, "a first keepalive", func() bool { return len(p.times(wire.TypeKeepalive)) > 0 })
	}
	h.sleeping(t, peers)

	// All leave at once.
	for _, p := range peers {
		p.send(wire.AppendErrorReason(nil, wire.ReasonClientShutdown))
	}
	for i := range peers {
		uuid := fmt.Sprintf("sleep-%d", i)
		h.await("then "+uuid+" session.down", soon)
		lines := h.read(uuid)
		last := lines[max(0, len(lines)-6):]
		if len(last) < 6 || !strings.Contains(last[0], "session.pre-down seen=1300,attached") || !strings.Contains(last[3], "session.down seen=no") {
			t.Errorf("client %d: the end of the notes is\n%s", i, strings.Join(last, "\n"))
		}
	}
	if status := h.broker.Stop(soon); status != 0 {
		t.Errorf("the broker ended with %d", status)
	}
	h.await("then few-1 session.down", 0) // three tunnels stood
	if left := h.server.LinkNames("l2tp"); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

// order: the events of one tunnel crowd, and the hooks do not overlap; each sees what it is promised.
func (h *hooked) order(t *testing.T) {
	p := h.client.peer(40000, h.addr(8942))
	a := p.connect("order", 77, wire.UniqueSessionID)
	h.Wait(soon, "the first hook", func() bool { return len(h.read("order")) == 3 }) // it has seen the interface, and sleeps
	p.send(wire.AppendPMTUNtfy(nil, 1400))
	p.send(wire.AppendErrorReason(nil, wire.ReasonClientShutdown))
	h.await("then order session.down", soon)
	id := fmt.Sprint(a.id)
	session := func(event, seen, mtu string) []string {
		return []string{
			"begin order " + event + " seen=" + seen + " args=" + id + " " + id + " " + a.iface() + " " + mtu + " " + h.client.Addr4.String() +
				" 40000 8942 order 8942 env=" + id + "," + id + "," + a.iface() + "," + mtu + ",," + h.client.Addr4.String() + ",40000,8942,wan",
			"end order " + event, "then order " + event,
		}
	}
	endpoint := h.client.Addr4.String() + ",40000,8942,wan"
	want := []string{"begin order session.verify seen=no args=" + h.client.Addr4.String() + " 40000 8942 order env=,,,,," + endpoint, "end order session.verify"}
	want = append(want, session("session.up", "1446,attached", "1446")...)
	want = append(want, "begin order session.mtu-changed seen=1400,attached args="+id+" "+id+" "+a.iface()+" 1446 1400 order env="+
		id+","+id+","+a.iface()+",1400,1446,"+endpoint, "end order session.mtu-changed", "then order session.mtu-changed")
	want = append(want, session("session.pre-down", "1400,attached", "1400")...)
	want = append(want, session("session.down", "no", "1400")...)
	if got := h.read("order"); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the hooks of a tunnel:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// addr is the broker's address with a port.
func (h *hooked) addr(port uint16) netip.AddrPort { return netip.AddrPortFrom(h.server.Addr4, port) }

// troubles: hooks that fail, print, fork and hang.
func (h *hooked) troubles(t *testing.T) {
	ids := map[string]agreed{}
	peers := map[string]*peer{}
	for i, uuid := range []string{"stuck", "fail", "chatty", "fork"} {
		peers[uuid] = h.client.peer(0, h.addr(8942))
		ids[uuid] = peers[uuid].connect(uuid, uint32(10+i), wire.UniqueSessionID)
	}
	line := func(uuid, event, rest string) string {
		return fmt.Sprintf(" event=%s tunnel=%d hook=%s %s", event, ids[uuid].id, h.script, rest)
	}
	// Printed lines are lines of the log.
	for _, said := range []string{"one", `"two words"`, `""`, `"the end"`} {
		h.broker.WaitLog(line("chatty", "session.up", "line="+said), soon)
	}
	// A failure is logged and changes nothing.
	h.broker.WaitLog(line("fail", "session.up", `error="exit status 3"`), soon)
	// What a hook leaves behind holds up nobody.
	for _, uuid := range []string{"fail", "fork"} {
		peers[uuid].send(wire.AppendErrorReason(nil, wire.ReasonClientShutdown))
		h.await("then "+uuid+" session.down", soon)
	}
	if fork := h.read("fork"); fork[len(fork)-1] != "then fork session.down" {
		t.Errorf("a hook that left a process behind was waited for: %q", fork)
	}
	// One that hangs is killed with everything it started, and the next ones run.
	h.broker.WaitLog(line("stuck", "session.up", `error="killed, it ran longer than its time-out"`), soon)
	if left := running("4321", "4322"); len(left) != 0 {
		t.Errorf("processes of a killed hook live on: %q", left)
	}
	peers["stuck"].send(wire.AppendErrorReason(nil, wire.ReasonClientShutdown))
	h.await("then stuck session.down", soon)
}

// refusals: the session.verify hook and the limit per address.
func (h *hooked) refusals(t *testing.T) {
	before := strings.Join(h.server.LinkNames("l2tp"), " ")
	p := h.client.peer(0, h.addr(8942))
	if m := p.ask(p.prepare("bad", 9, wire.UniqueSessionID), wire.TypeError, wire.TypeTunnel); m.Type != wire.TypeError || len(m.Payload) != 0 {
		t.Errorf("a client that session.verify refuses got %v %x", m.Type, m.Payload)
	}
	if after := strings.Join(h.server.LinkNames("l2tp"), " "); after != before {
		t.Errorf("interfaces before the refusal: %s, after: %s", before, after)
	}
	if strings.Contains(h.broker.Log(), "tunnel up broker=wan uuid=bad") || len(h.read("bad")) != 2 {
		t.Errorf("the refused client has notes: %q", h.read("bad"))
	}
	for i := range 2 {
		h.client.peer(0, h.addr(53)).connect(fmt.Sprintf("few-%d", i), uint32(20+i), wire.UniqueSessionID)
	}
	p = h.client.peer(40001, h.addr(53))
	if m := p.ask(p.prepare("many", 30, wire.UniqueSessionID), wire.TypeError, wire.TypeTunnel); m.Type != wire.TypeError {
		t.Errorf("the third client of an address got %v", m.Type)
	}
	h.await("then many broker.connection-rate-limit", soon)
	address := h.client.Addr4.String()
	want := "begin many broker.connection-rate-limit seen=no args=" + address + " 40001 many env=,,,,," + address + ",40001,53,few"
	if got := h.read("many"); got[0] != want {
		t.Errorf("the hook of the limit noted\n%s\nwant\n%s", got[0], want)
	}
}

// sleeping: every tunnel has two hooks that sleep, eight at a time, and keepalives come as ever.
func (h *hooked) sleeping(t *testing.T, peers []*peer) {
	began := time.Now()
	for _, p := range peers {
		p.send(wire.AppendPMTUNtfy(nil, 1400))
		p.send(wire.AppendPMTUNtfy(nil, 1300))
	}
	for i := range peers {
		uuid := fmt.Sprintf("sleep-%d", i)
		h.Wait(soon, "both sleepy hooks of "+uuid, func() bool {
			return strings.Count(strings.Join(h.read(uuid), "\n"), "then "+uuid+" session.mtu-changed") == 2
		})
	}
	ended := time.Now()
	most, now := 0, 0
	for _, line := range h.read("") {
		switch {
		case strings.HasPrefix(line, "begin sleep-") && strings.Contains(line, "mtu-changed"):
			now++
		case strings.HasPrefix(line, "end sleep-") && strings.Contains(line, "mtu-changed"):
			now--
		}
		most = max(most, now)
	}
	var longest time.Duration
	// They are due every 5 s: one in twice that is enough for a slow machine, and a loop that waits for hooks has none.
	due := int(ended.Sub(began) / (10 * time.Second))
	for _, p := range peers {
		last := began
		heard := 0
		for _, at := range p.times(wire.TypeKeepalive) {
			if at.After(began) && at.Before(ended) {
				longest = max(longest, at.Sub(last))
				last = at
				heard++
			}
		}
		if longest = max(longest, ended.Sub(last)); heard < due {
			t.Errorf("a client heard %d keepalives, want %d at least", heard, due)
		}
	}
	t.Logf("hooks slept for %.1f s, %d at a time; the longest time without a keepalive was %.1f s", ended.Sub(began).Seconds(), most, longest.Seconds())
	if most < 2 || most > 8 {
		t.Errorf("%d hooks ran side by side, want several and 8 at the most", most)
	}
}
