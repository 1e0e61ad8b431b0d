//go:build vm

package e2e

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"tunneldigger/src/l2tp"
	"tunneldigger/src/link"
	"tunneldigger/src/sock"
)

// bareVariable has the tests' program be bareTunnels: a count, the local address and a bridge.
const bareVariable = "E2E_BARE"

func TestMain(m *testing.M) {
	if os.Getenv(bareVariable) != "" {
		if err := bareTunnels(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	m.Run()
}

// bareTunnels makes as many tunnels as are asked for, with what the kernel needs for them and nothing else, and waits for its end.
func bareTunnels() error {
	var count int
	var at, bridge string
	if _, err := fmt.Sscan(os.Getenv(bareVariable), &count, &at, &bridge); err != nil {
		return err
	}
	local, err := netip.ParseAddr(at)
	if err != nil {
		return err
	}
	tunnels, err := l2tp.Dial()
	if err != nil {
		return err
	}
	links, err := link.Open()
	if err != nil {
		return err
	}
	master, err := links.Index(bridge)
	if err != nil {
		return err
	}
	for i := range count {
		fd, err := sock.Connect(netip.AddrPortFrom(local, loadPort), netip.AddrPortFrom(netip.MustParseAddr("198.51.100.200"), uint16(1024+i)), "")
		if err != nil {
			return err
		}
		id, name := uint32(1+i), bareName(i)
		if err := tunnels.CreateTunnel(l2tp.Tunnel{ID: id, PeerID: id, FD: fd}); err != nil {
			return err
		}
		if err := tunnels.CreateSession(l2tp.Session{TunnelID: id, ID: id, PeerID: id, Interface: name}); err != nil {
			return err
		}
		index, err := links.Index(name)
		if err != nil {
			return err
		}
		if err := links.UpAttach(index, 1400, master); err != nil {
			return err
		}
	}
	fmt.Println("made")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // for ever
	return nil
}

func bareName(i int) string { return "bare" + strconv.Itoa(i) }

// removal measures how long the kernel by itself takes until all of a process is gone that had so many tunnels with interfaces in
// the bridge, and was killed.
func (h *Host) removal(count int, bridge string) time.Duration {
	t := h.World.T
	t.Helper()
	bare := h.Start("bare", "env", fmt.Sprintf("%s=%d %v %s", bareVariable, count, h.Addr4, bridge), os.Args[0])
	bare.WaitLog("made", soon)
	var left int
	gone := func() bool {
		left = len(h.LinkNames("bare"))
		if left > 0 {
			return false
		}
		err := h.Do(func() error {
			c, err := l2tp.Dial()
			if err != nil {
				return err
			}
			defer c.Close()
			all, err := c.Tunnels()
			left = len(all)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return left == 0
	}
	began := time.Now()
	bare.Kill()
	for !gone() {
		if time.Since(began) > soon {
			t.Fatalf("%d of %d are left after %v", left, count, soon)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}
