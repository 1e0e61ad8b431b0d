//go:build bench

package bench

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/test/loopback"
)

const (
	tunnels   = 1000
	clientGap = 100 * time.Millisecond // between two keepalives of one client: 10 000 a second from all
	rounds    = 12                     // ticks tell user from system: a hundred a second, so that few would tell little
	round     = 4 * time.Second
)

// What a message costs: a broker beside a bare loop, each with 1000 clients that send ten keepalives a second. The broker may be the cheaper
// one, since it lets datagrams gather for a millisecond while they come thick. The user part is told by ticks, which find some in the
// bare loop as well that can't be its own.
func TestNative(t *testing.T) {
	at := netip.AddrPortFrom(loopback.Host(), loopback.Port(t))
	config := filepath.Join(t.TempDir(), "tunneldigger-broker")
	text := fmt.Sprintf(brokerConfig, at.Addr(), at.Port())
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	broker := start(t, brokerProgram(t), "-datapath", "none", "-c", filepath.Dir(config), "--socket", filepath.Join(t.TempDir(), "socket"))
	await(t, 10*time.Second, "the broker listens", func() bool { return !isFree(at) })
	idle, idleAnonymous := memoryOf(t, broker.Process.Pid)
	clients := newSwarm(t, netip.MustParseAddrPort("127.0.0.2:20000"), at, tunnels)
	took := clients.connect(100)
	figures.note("set-ups without interfaces", fmt.Sprintf("%.0f/s", tunnels/took.Seconds()), "")
	clients.answer(7 * time.Second) // path MTU discovery; clients.keepalives shall meet a quiet broker
	full, anonymous := memoryOf(t, broker.Process.Pid)

	bareAt := netip.AddrPortFrom(loopback.Host(), loopback.Port(t))
	bareClients := netip.MustParseAddrPort("127.0.0.3:20000")
	bare := start(t, role(t, "keepalives", bareAt.String(), fmt.Sprintf("%v-%d", bareClients, int(bareClients.Port())+tunnels-1))...)
	await(t, 10*time.Second, "the bare loop runs", func() bool { return files(bare.Process.Pid) > tunnels })
	others := newSwarm(t, bareClients, bareAt, tunnels)

	total, user := compareKeepalives(t, broker.Process.Pid, bare.Process.Pid, clients, others, clientGap, rounds, round)
	figures.ratio(t, "processor time per message, 1000 tunnels", "µs", total[0], total[1], 1.3, 1.6)
	figures.ratio(t, "  system", "µs", total[0]-user[0], total[1]-user[1], 0, 0)
	figures.ratio(t, "  user", "µs", user[0], user[1], 0, 0)
	figures.most(t, "  user, on a current server core", "µs", user[0], 1, 3)
	figures.memory(t, idle, idleAnonymous, full, anonymous)
}

const brokerConfig = `config broker 'bench'
	option enabled '1'
	list address '%s'
	list port '%d'
	option max_tunnels '1024'
	option connection_rate_limit '0'
	option pmtu '0'
	option answer_rate_limit '0'

config log
	option verbosity 'WARNING'
`

// compareKeepalives loads the broker and the bare loop in turns and tells what a message costs each, in µs, messages in and out counted.
func compareKeepalives(t *testing.T, broker, bare int, ours, others *swarm, gap time.Duration, rounds int, round time.Duration) (total, user [2]float64) {
	t.Helper()
	var spent [2]cost
	var messages [2]float64
	for range rounds {
		for i, side := range []struct {
			pid   int
			swarm *swarm
		}{{broker, ours}, {bare, others}} {
			before := costOf(t, side.pid)
			sent := side.swarm.keepalives(gap, round)
			spent[i].add(before, costOf(t, side.pid))
			messages[i] += float64(sent) + float64(len(side.swarm.clients))*round.Seconds()/keepaliveGap.Seconds()
			side.swarm.answer(0)
		}
	}
	for i := range spent {
		total[i] = float64(spent[i].total) / 1000 / messages[i]
		user[i] = float64(spent[i].userPart()) / 1000 / messages[i]
	}
	return total, user
}

// files is how many files a process has open.
func files(pid int) int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries)
}

// isFree reports whether nothing is bound to at.
func isFree(at netip.AddrPort) bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Bind(fd, sockaddr(at)) == nil
}
