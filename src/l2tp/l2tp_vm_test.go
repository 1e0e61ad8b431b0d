//go:build vm

package l2tp

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tunneldigger/src/test/nltest"
)

func open(t *testing.T) *Conn {
	t.Helper()
	nltest.Namespace(t)
	c, err := Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Prove(); err != nil { // loads l2tp_eth where the kernel finds no modprobe, as in a changed root
		t.Fatal(err)
	}
	vanish(t, c)
	return c
}

func exists(name string) bool {
	text, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		panic(err)
	}
	return strings.Contains(string(text), name+":")
}

// vanish waits until neither tunnel, session nor interface is left.
func vanish(t *testing.T, c *Conn, interfaces ...string) {
	t.Helper()
	nltest.Until(t, func() error {
		tunnels, err := c.Tunnels()
		if err != nil {
			return err
		}
		sessions, err := c.Sessions()
		if err != nil {
			return err
		}
		for _, name := range interfaces {
			if exists(name) {
				return fmt.Errorf("%s is still there", name)
			}
		}
		if len(tunnels)+len(sessions) > 0 {
			return fmt.Errorf("still there: %v %v", tunnels, sessions)
		}
		return nil
	})
}

func TestKernelProve(t *testing.T) {
	c := open(t)
	for i := 0; i < 2; i++ { // open has proved it once
		if err := c.Prove(); err != nil {
			t.Fatal(err)
		}
	}
	vanish(t, c, "l2tpprove0")
}

func TestKernelExplanation(t *testing.T) {
	err := open(t).CreateSession(Session{TunnelID: 1, ID: 1, PeerID: 1, Interface: "longer-than-15-bytes"})
	if want := "create L2TP session: invalid argument (Attribute failed policy validation)"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestKernelLife(t *testing.T) {
	for _, test := range []struct{ name, local, peer string }{
		{"IPv4", "127.0.0.1:8942", "127.0.0.2:4711"},
		{"IPv6", "[::1]:8942", "[::1]:4711"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := open(t)
			fd := nltest.UDP(t, test.local, test.peer)
			tunnel := Tunnel{ID: 100, PeerID: 7, FD: fd}
			session := Session{TunnelID: 100, ID: 101, PeerID: 8, Interface: "l2tp100-101"}
			if err := c.CreateTunnel(tunnel); err != nil {
				t.Fatal(err)
			}
			if err := c.CreateSession(session); err != nil {
				t.Fatal(err)
			}
			tunnels, err := c.Tunnels()
			if err != nil || len(tunnels) != 1 {
				t.Fatal(tunnels, err)
			}
			got := tunnels[0]
			if got.ID != 100 || got.PeerID != 7 || got.Version != 3 || !got.UDP || got.Local.String() != test.local || got.Peer.String() != test.peer {
				t.Errorf("tunnel %+v", got)
			}
			sessions, err := c.Sessions()
			if err != nil || len(sessions) != 1 || sessions[0] != (SessionInfo{100, 7, 101, 8, true, "l2tp100-101"}) {
				t.Errorf("sessions %+v, %v", sessions, err)
			}

			for what, err := range map[string]error{
				"tunnel ID": c.CreateTunnel(Tunnel{ID: 100, PeerID: 1, FD: nltest.UDP(t, test.local, test.peer)}),
				"interface": c.CreateSession(Session{TunnelID: 100, ID: 102, PeerID: 1, Interface: "lo"}),
			} {
				if !errors.Is(err, unix.EEXIST) {
					t.Errorf("%s twice: %v, want EEXIST", what, err)
				}
			}
			for what, test := range map[string]struct {
				err  error
				want unix.Errno
			}{
				"socket twice":        {c.CreateTunnel(Tunnel{ID: 200, PeerID: 1, FD: fd}), unix.EBUSY},
				"no socket":           {c.CreateTunnel(Tunnel{ID: 200, PeerID: 1, FD: 9999}), unix.EBADF},
				"missing tunnel":      {c.CreateSession(Session{TunnelID: 9, ID: 1, PeerID: 1, Interface: "x"}), unix.ENODEV},
				"name too long":       {c.CreateSession(Session{TunnelID: 100, ID: 9, PeerID: 1, Interface: "l2tp100000-100000"}), unix.EINVAL},
				"delete no tunnel":    {c.DeleteTunnel(9), unix.ENODEV},
				"delete no session":   {c.DeleteSession(100, 9), unix.ENODEV},
				"not a UDP socket":    {c.CreateTunnel(Tunnel{ID: 200, PeerID: 1, FD: c.nl.FD()}), unix.EPROTONOSUPPORT},
				"negative descriptor": {c.CreateTunnel(Tunnel{ID: 200, PeerID: 1, FD: -1}), unix.EBADF},
			} {
				if !errors.Is(test.err, test.want) {
					t.Errorf("%s: %v, want %v", what, test.err, test.want)
				}
			}

			if err := c.DeleteSession(100, 101); err != nil {
				t.Error(err)
			}
			nltest.Until(t, func() error {
				if s, err := c.Sessions(); err != nil || len(s) > 0 {
					return fmt.Errorf("sessions %v, %v", s, err)
				}
				if exists("l2tp100-101") {
					return errors.New("interface still there")
				}
				return nil
			})
			// The ID and the name can be used again, in the same tunnel.
			if err := c.CreateSession(session); err != nil {
				t.Error(err)
			}
			if err := c.DeleteTunnel(100); err != nil {
				t.Error(err)
			}
			vanish(t, c, "l2tp100-101")
		})
	}
}

func TestKernelCloseRemoves(t *testing.T) {
	c := open(t)
	fd := nltest.UDP(t, "127.0.0.1:8942", "127.0.0.1:4711")
	second, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CreateTunnel(Tunnel{ID: 1, PeerID: 1, FD: fd}); err != nil {
		t.Fatal(err)
	}
	if err := c.CreateSession(Session{TunnelID: 1, ID: 1, PeerID: 1, Interface: "l2tp1-1"}); err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	if s, err := c.Sessions(); err != nil || len(s) != 1 || !exists("l2tp1-1") {
		t.Errorf("gone with one of two descriptors: %v %v", s, err)
	}
	unix.Close(second)
	vanish(t, c, "l2tp1-1")
}

// Session ID 1 in several tunnels, as old clients have it.
func TestKernelSameSessionID(t *testing.T) {
	c := open(t)
	for id := uint32(1); id <= 3; id++ {
		fd := nltest.UDP(t, "127.0.0.1:8942", fmt.Sprintf("127.0.0.1:%d", 5000+id))
		if err := c.CreateTunnel(Tunnel{ID: id, PeerID: 1, FD: fd}); err != nil {
			t.Fatal(err)
		}
		if err := c.CreateSession(Session{TunnelID: id, ID: 1, PeerID: 1, Interface: fmt.Sprintf("l2tp%d-1", id)}); err != nil {
			t.Errorf("tunnel %d: %v", id, err)
		}
	}
	if s, err := c.Sessions(); err != nil || len(s) != 3 {
		t.Errorf("%v %v", s, err)
	}
}

func TestKernelOwners(t *testing.T) {
	c := open(t)
	for id, to := range []string{"127.0.0.1:4711", "[::1]:4711"} {
		from := strings.Replace(to, "4711", "8942", 1)
		if err := c.CreateTunnel(Tunnel{ID: uint32(id + 1), PeerID: 1, FD: nltest.UDP(t, from, to)}); err != nil {
			t.Fatal(err)
		}
	}
	// Without FD the kernel makes the socket, as ip l2tp has it.
	m := c.request("create unmanaged tunnel", cmdTunnelCreate)
	m.U32(attrConnID, 3)
	m.U32(attrPeerConnID, 1)
	m.U8(attrProtoVersion, protocolVersion)
	m.U16(attrEncapType, encapUDP)
	m.Data(attrIPSaddr, []byte{127, 0, 0, 1})
	m.Data(attrIPDaddr, []byte{127, 0, 0, 1})
	m.U16(attrUDPSport, 6000)
	m.U16(attrUDPDport, 6001)
	if err := c.nl.Do(nil); err != nil {
		t.Fatal(err)
	}
	defer c.DeleteTunnel(3)
	tunnels, err := c.Tunnels()
	if err != nil || len(tunnels) != 3 {
		t.Fatal(tunnels, err)
	}
	pids, err := Owners(tunnels)
	if err != nil {
		t.Fatal(err)
	}
	for i, tunnel := range tunnels {
		want := os.Getpid()
		if tunnel.ID == 3 {
			want = 0
		}
		if pids[i] != want {
			t.Errorf("tunnel %+v: owner %d, want %d", tunnel, pids[i], want)
		}
	}
}
