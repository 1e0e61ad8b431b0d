//go:build bench

package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunneldigger/src/test/loopback"
	"tunneldigger/src/wire"
)

const (
	crowd    = 5000
	looksAt  = 5 * time.Second // between two updates of the page, with so many tunnels
	lookedAt = 20 * time.Second
)

// What it costs that somebody looks at the page: a broker with 5000 tunnels and tunneldigger-web, once while nobody looks and once while
// the page asks as it does in a browser and Prometheus scrapes. A stranger who asks the broker for its usage all the time meets every turn of its
// loop, the longest ones first; how long one takes by itself BenchmarkStatus of package daemon tells.
func TestNativeWatched(t *testing.T) {
	at := netip.AddrPortFrom(loopback.Host(), loopback.Port(t))
	dir := t.TempDir()
	text := strings.Replace(fmt.Sprintf(brokerConfig, at.Addr(), at.Port()), "'1024'", "'8192'", 1)
	if err := os.WriteFile(filepath.Join(dir, "tunneldigger-broker"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	broker := start(t, brokerProgram(t), "-datapath", "none", "-c", dir, "--socket", socket)
	await(t, 10*time.Second, "the broker listens", func() bool { return !isFree(at) })
	clients := newSwarm(t, netip.MustParseAddrPort("127.0.0.2:20000"), at, crowd)
	clients.connect(100)
	clients.answer(7 * time.Second)

	page := netip.AddrPortFrom(loopback.Host(), loopback.Port(t))
	web := start(t, filepath.Join(filepath.Dir(self(t)), "tunneldigger-web"), "--socket", socket, "--listen", page.String())
	await(t, 10*time.Second, "the page is there", func() bool {
		r, err := http.Get(fmt.Sprintf("http://%v/healthz", page))
		if err == nil {
			r.Body.Close()
		}
		return err == nil && r.StatusCode == http.StatusOK
	})

	var share, busy [2]float64 // of a processor, in per cent: nobody looks, somebody looks
	var answers [2][]time.Duration
	for i, look := range []bool{false, true} {
		end, ended := make(chan bool), make(chan error, 2)
		go func() { ended <- askUsage(at, &answers[i], end) }()
		go func() {
			if look {
				ended <- lookAt(page, end)
				return
			}
			ended <- nil
		}()
		pageBefore, before, began := costOf(t, web.Process.Pid), costOf(t, broker.Process.Pid), now()
		clients.keepalives(5*time.Second, lookedAt)
		took := now() - began
		share[i] = 100 * float64(costOf(t, web.Process.Pid).total-pageBefore.total) / float64(took)
		busy[i] = 100 * float64(costOf(t, broker.Process.Pid).total-before.total) / float64(took)
		close(end)
		for range 2 {
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
		}
		slices.Sort(answers[i])
	}
	part := func(all []time.Duration, n, of int) float64 {
		return float64(all[(len(all)-1)*n/of].Nanoseconds()) / 1e6
	}
	figures.note("5000 tunnels, nobody looks: tunneldigger-web", "", fmt.Sprintf("%.2f %%", share[0]))
	figures.most(t, "  somebody looks: tunneldigger-web", "% of a processor", share[1], 1, 20)
	figures.note("  the broker, looked at / not", fmt.Sprintf("%.2f %%", busy[1]), fmt.Sprintf("%.2f %%", busy[0]))
	figures.note("  answers to strangers, 99 of 100 within", fmt.Sprintf("%.3g ms", part(answers[1], 99, 100)), fmt.Sprintf("%.3g ms", part(answers[0], 99, 100)))
	figures.note("  the slowest answer", fmt.Sprintf("%.3g ms", part(answers[1], 1, 1)), fmt.Sprintf("%.3g ms", part(answers[0], 1, 1)))
}

// lookAt asks as the page does, and for metrics as often.
func lookAt(page netip.AddrPort, end chan bool) error {
	tick := time.NewTicker(looksAt)
	defer tick.Stop()
	for {
		for _, path := range []string{"status.json", "metrics"} {
			r, err := http.Get(fmt.Sprintf("http://%v/%s", page, path))
			if err != nil {
				return err
			}
			body, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil || r.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: status %d: %w", path, r.StatusCode, err)
			}
			var all struct{ Tunnels []struct{ ID int } }
			if path == "status.json" && (json.Unmarshal(body, &all) != nil || len(all.Tunnels) != crowd) {
				return fmt.Errorf("%s has %d tunnels", path, len(all.Tunnels))
			}
		}
		select {
		case <-end:
			return nil
		case <-tick.C:
		}
	}
}

// askUsage asks a broker for its usage, waits for the answer and begins again a millisecond later, until end; it takes down how long each
// answer took.
func askUsage(at netip.AddrPort, took *[]time.Duration, end chan bool) error {
	fd, err := bareSocket(netip.MustParseAddrPort("127.0.0.4:20000"), at)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, buf := wire.AppendUsageRequest(nil, 0), make([]byte, 512)
	for {
		select {
		case <-end:
			return nil
		case <-time.After(time.Millisecond):
		}
		asked := now()
		send(fd, request)
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 2000); err != nil && err != unix.EINTR || n == 0 && err == nil {
			return fmt.Errorf("no answer within two seconds (%v)", err)
		}
		if receive(fd, buf) > 0 {
			*took = append(*took, now()-asked)
		}
	}
}
