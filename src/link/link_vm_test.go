//go:build vm

package link

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tunneldigger/src/l2tp"
	"tunneldigger/src/nl"
	"tunneldigger/src/test/nltest"
)

func open(t *testing.T) *Conn {
	t.Helper()
	nltest.Namespace(t)
	c, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// add makes an interface and returns its index.
func add(t *testing.T, c *Conn, name, kind string) int {
	t.Helper()
	m := c.change("add interface", unix.RTM_NEWLINK, 0, 0)
	m.String(unix.IFLA_IFNAME, name)
	info := m.Nest(unix.IFLA_LINKINFO)
	m.String(unix.IFLA_INFO_KIND, kind)
	m.End(info)
	b := m.Bytes()
	nl.Host.PutUint16(b[6:], unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	if err := c.nl.Do(nil); err != nil {
		t.Fatalf("%s (is the module %s loaded?): %v", name, kind, err)
	}
	index, err := c.Index(name)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// state reads an interface, and whether it is an isolated port.
func state(t *testing.T, c *Conn, index int) (e Link, isolated bool) {
	t.Helper()
	c.query("read", index)
	err := c.nl.Do(func(_ nl.Header, body []byte) {
		var name []byte
		e, name, _, _ = parse(body)
		e.Name = string(name)
		for a := nl.Parse(nl.Host, body[unix.SizeofIfInfomsg:]); a.Next(); {
			if a.Type() != unix.IFLA_LINKINFO {
				continue
			}
			for i := a.Nested(); i.Next(); {
				if i.Type() != unix.IFLA_INFO_SLAVE_DATA {
					continue
				}
				for d := i.Nested(); d.Next(); {
					if d.Type() == unix.IFLA_BRPORT_ISOLATED {
						isolated = d.U8() == 1
					}
				}
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return e, isolated
}

func TestKernelSet(t *testing.T) {
	c := open(t)
	bridge, port, other := add(t, c, "br-mesh", "bridge"), add(t, c, "port", "dummy"), add(t, c, "other", "dummy")
	want := func(what string, index int, event Link, isolated bool) {
		t.Helper()
		event.Index = index
		if e, i := state(t, c, index); e != event || i != isolated {
			t.Errorf("%s: %+v, isolated %v; want %+v, %v", what, e, i, event, isolated)
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	do(DisableIPv6("port"))
	do(DisableIPv6("not-there"))
	if b, err := os.ReadFile("/proc/sys/net/ipv6/conf/port/disable_ipv6"); string(b) != "1\n" {
		t.Errorf("disable_ipv6 is %q, %v", b, err)
	}
	do(c.UpAttach(port, 1446, bridge))
	want("up and attached", port, Link{Name: "port", Master: bridge, MTU: 1446, Up: true}, false)
	do(c.Isolate(port))
	want("isolated", port, Link{Name: "port", Master: bridge, MTU: 1446, Up: true}, true)
	do(c.SetMTU(port, 1280))
	want("MTU", port, Link{Name: "port", Master: bridge, MTU: 1280, Up: true}, true)
	if mtu, err := c.MTU("port"); mtu != 1280 || err != nil {
		t.Errorf("MTU %d, %v", mtu, err)
	}
	do(c.Detach(port))
	want("detached", port, Link{Name: "port", MTU: 1280, Up: true}, false)
	do(c.Detach(port))
	do(c.Up(other, 1400))
	want("up", other, Link{Name: "other", MTU: 1400, Up: true}, false)
	do(c.UpAttach(other, 1400, bridge))
	want("attached", other, Link{Name: "other", Master: bridge, MTU: 1400, Up: true}, false)
	for name, bridge := range map[string]bool{"br-mesh": true, "port": false, "lo": false} {
		if is, err := c.IsBridge(name); is != bridge || err != nil {
			t.Errorf("%s is a bridge: %v, %v", name, is, err)
		}
	}
	listed := map[string]Link{}
	do(c.List(func(e Link) { listed[e.Name] = e }))
	if len(listed) != 4 || listed["other"] != (Link{Index: other, Name: "other", Master: bridge, MTU: 1400, Up: true}) {
		t.Errorf("list %+v", listed)
	}

	_, missing := c.Index("not-there")
	_, long := c.Index("longer-than-a-name-can-be")
	_, noMTU := c.MTU("not-there")
	_, noGuard := c.GuardMTU("not-there")
	_, noBridge := c.IsBridge("not-there")
	for what, test := range map[string]struct {
		err  error
		want unix.Errno
	}{
		"missing":             {missing, unix.ENODEV},
		"long name":           {long, unix.ENODEV},
		"no MTU":              {noMTU, unix.ENODEV},
		"no guard":            {noGuard, unix.ENODEV},
		"no bridge":           {noBridge, unix.ENODEV},
		"up":                  {c.Up(9999, 1500), unix.ENODEV},
		"no master":           {c.UpAttach(port, 1280, 9999), unix.EINVAL},
		"no bridge as master": {c.UpAttach(port, 1280, other), unix.EOPNOTSUPP},
		"isolate no port":     {c.Isolate(port), unix.EOPNOTSUPP},
		"MTU":                 {c.SetMTU(bridge, 1<<20), unix.EINVAL},
		"itself":              {c.UpAttach(bridge, 1500, bridge), unix.ELOOP},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%s: %v, want %v", what, test.err, test.want)
		}
	}
}

func TestKernelGuardMTU(t *testing.T) {
	c := open(t)
	bridge := add(t, c, "br0", "bridge")
	if err := c.UpAttach(add(t, c, "a", "dummy"), 1446, bridge); err != nil {
		t.Fatal(err)
	}
	if mtu, _ := c.MTU("br0"); mtu != 1446 {
		t.Fatalf("unguarded: MTU %d: the kernel no longer lowers it, then the guard can go", mtu)
	}
	if err := c.SetMTU(bridge, 1500); err != nil {
		t.Fatal(err)
	}
	bridge = add(t, c, "br1", "bridge")
	for i, size := range []int{1446, 1280} {
		if i == 0 {
			if mtu, err := c.GuardMTU("br1"); mtu != 1500 || err != nil {
				t.Fatal(mtu, err)
			}
		}
		if err := c.UpAttach(add(t, c, fmt.Sprintf("b%d", i), "dummy"), size, bridge); err != nil {
			t.Fatal(err)
		}
		if mtu, _ := c.MTU("br1"); mtu != 1500 {
			t.Errorf("guarded: MTU %d after a port of %d", mtu, size)
		}
	}
	index, _ := c.Index("b0")
	if err := errors.Join(c.Detach(index), c.UpAttach(index, 1400, bridge)); err != nil {
		t.Error(err)
	}
	if mtu, _ := c.MTU("br1"); mtu != 1500 {
		t.Errorf("guarded: MTU %d after a port left and came back", mtu)
	}
}

// A tunnel's whole way: made, attached, and gone with its socket.
func TestKernelTunnel(t *testing.T) {
	c := open(t)
	k, err := l2tp.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if err := k.Prove(); err != nil {
		t.Fatal(err)
	}
	bridge := add(t, c, "br0", "bridge")
	monitor, err := NewMonitor()
	if err != nil {
		t.Fatal(err)
	}
	defer monitor.Close()
	fd := nltest.UDP(t, "127.0.0.1:8942", "127.0.0.1:4711")
	if err := k.CreateTunnel(l2tp.Tunnel{ID: 100, PeerID: 1, FD: fd}); err != nil {
		t.Fatal(err)
	}
	if err := k.CreateSession(l2tp.Session{TunnelID: 100, ID: 100, PeerID: 1, Interface: "l2tp100-100"}); err != nil {
		t.Fatal(err)
	}
	index, err := c.Index("l2tp100-100")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(DisableIPv6("l2tp100-100"), c.UpAttach(index, 1446, bridge), c.Isolate(index)); err != nil {
		t.Fatal(err)
	}
	if e, isolated := state(t, c, index); e != (Link{Index: index, Name: "l2tp100-100", Master: bridge, MTU: 1446, Up: true}) || !isolated {
		t.Errorf("%+v, isolated %v", e, isolated)
	}
	if b, _ := os.ReadFile("/proc/thread-self/net/if_inet6"); strings.Contains(string(b), "l2tp") {
		t.Errorf("has an IPv6 address: %s", b)
	}
	unix.Close(fd)
	var seen []string
	nltest.Until(t, func() error {
		poll := []unix.PollFd{{Fd: int32(monitor.FD()), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, 1000); err != nil && err != unix.EINTR {
			return err
		}
		if err := monitor.Read(func(i int, name string) { seen = append(seen, fmt.Sprint(i == index, name)) }); err != nil {
			return err
		}
		if len(seen) == 0 {
			return errors.New("not gone yet")
		}
		return nil
	})
	if len(seen) != 1 || seen[0] != "truel2tp100-100" {
		t.Errorf("seen to go: %q", seen)
	}
}

// An overrun is reported, and the Monitor goes on after it.
func TestKernelOverrun(t *testing.T) {
	c := open(t)
	monitor, err := NewMonitor()
	if err != nil {
		t.Fatal(err)
	}
	defer monitor.Close()
	if err := unix.SetsockoptInt(monitor.FD(), unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
		t.Fatal(err)
	}
	come := func(name string) {
		c.change("remove interface", unix.RTM_DELLINK, add(t, c, name, "dummy"), 0)
		if err := c.nl.Do(nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		come(fmt.Sprintf("d%d", i))
	}
	if err := monitor.Read(func(int, string) {}); !errors.Is(err, nl.ErrOverrun) {
		t.Errorf("%v, want an overrun", err)
	}
	come("last")
	var last string
	if err := monitor.Read(func(_ int, name string) { last = name }); err != nil || last != "last" {
		t.Errorf("after the overrun: %q, %v", last, err)
	}
}

// Last, since the kernel takes seconds to clean up after it.
func TestKernelPortLimit(t *testing.T) {
	c := open(t)
	bridge := add(t, c, "br0", "bridge")
	for i := range MaxPorts {
		if err := c.UpAttach(add(t, c, fmt.Sprintf("d%d", i), "dummy"), 1500, bridge); err != nil {
			t.Fatalf("port %d: %v", i, err)
		}
	}
	last := add(t, c, "last", "dummy")
	if err := c.UpAttach(last, 1500, bridge); !errors.Is(err, unix.EXFULL) {
		t.Errorf("port %d: %v, want EXFULL", MaxPorts, err)
	}
	if e, _ := state(t, c, last); e.Master != 0 {
		t.Errorf("refused port: %+v", e)
	}
}
