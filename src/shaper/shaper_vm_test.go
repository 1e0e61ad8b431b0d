//go:build vm

package shaper

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"tunneldigger/src/nl"
	"tunneldigger/src/test/nltest"
)

// open makes a network namespace with an interface, which needs the module dummy.
func open(t *testing.T) (c *Conn, ifindex int) {
	t.Helper()
	nltest.Namespace(t)
	c, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	m := c.nl.Request("add dummy interface", unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	m.Raw(0, 0, 0, 0)
	for _, v := range []uint32{7, unix.IFF_UP, unix.IFF_UP} { // index, flags, which of them
		m.Raw32(v)
	}
	info := m.Nest(unix.IFLA_LINKINFO)
	m.String(unix.IFLA_INFO_KIND, "dummy")
	m.End(info)
	if err := c.nl.Do(nil); err != nil {
		t.Fatal(err)
	}
	return c, 7
}

// count tells how many qdiscs and classes there are, without the kernel's own.
func count(t *testing.T, c *Conn, ifindex int) (n int) {
	t.Helper()
	for _, kind := range []uint16{unix.RTM_GETQDISC, unix.RTM_GETTCLASS} {
		c.request("list", kind, 0, ifindex, 0, 0)
		err := c.nl.Dump(func() {}, func(_ nl.Header, body []byte) {
			if s, err := parse(nl.Host, body); err != nil || (s.handle != 0 && nl.Host.Uint32(body[4:]) == uint32(ifindex)) {
				n++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestKernelShaper(t *testing.T) {
	c, ifindex := open(t)
	none := func(what string) {
		t.Helper()
		if kbit, ok, err := c.Read(ifindex); kbit != 0 || ok || err != nil {
			t.Errorf("%s: %d %v %v", what, kbit, ok, err)
		}
		if n := count(t, c, ifindex); n != 0 {
			t.Errorf("%s: %d qdiscs and classes", what, n)
		}
	}
	none("before")
	if err := c.Clear(ifindex); err != nil {
		t.Error("nothing to clear:", err)
	}
	for _, kbit := range []uint32{2000, 2000, 1, 5000, 1_000_000, 34_359_738, 34_359_739, ^uint32(0), 100} {
		if err := c.Set(ifindex, kbit); err != nil {
			t.Fatal(err)
		}
		if read, ok, err := c.Read(ifindex); read != kbit || !ok || err != nil {
			t.Errorf("%d: read back %d %v %v", kbit, read, ok, err)
		}
		if n := count(t, c, ifindex); n != 3 {
			t.Errorf("%d: %d qdiscs and classes, want 3", kbit, n)
		}
		asked, got := nl.NewMessage(nl.Host), []byte(nil)
		asked.Begin("", 0, 0)
		appendClass(asked, kbit)
		c.request("read HTB class", unix.RTM_GETTCLASS, get, ifindex, classHandle, 0)
		if err := c.nl.Do(func(_ nl.Header, body []byte) { got = append(got, body[tcmsgLen:]...) }); err != nil {
			t.Fatal(err)
		}
		if want := asked.Bytes()[16:]; !bytes.HasPrefix(got, want) {
			t.Errorf("%d: asked for %x, got %x", kbit, want, got)
		}
	}
	if err := c.Clear(ifindex); err != nil {
		t.Error(err)
	}
	none("cleared")

	for what, test := range map[string]struct {
		err  error
		want unix.Errno
	}{
		"set without interface":   {c.Set(99, 2000), unix.ENODEV},
		"clear without interface": {c.Clear(99), unix.ENODEV},
		"no limit":                {c.Set(ifindex, 0), unix.EINVAL},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%s: %v, want %v", what, test.err, test.want)
		}
	}
	if _, _, err := c.Read(99); !errors.Is(err, unix.ENODEV) {
		t.Errorf("read without interface: %v", err)
	}
	none("refused")
}

// What somebody else set at the root is not taken for ours, is left alone by Clear and replaced by Set.
func TestKernelForeign(t *testing.T) {
	for _, foreign := range []struct {
		kind   string
		handle uint32
		class  uint32 // of HTB
	}{{"fq_codel", 9 << 16, 0}, {"pfifo", rootHandle, 0}, {"htb", rootHandle, 5}, {"htb", 3 << 16, 1}} {
		c, ifindex := open(t)
		m := c.request("set foreign qdisc", unix.RTM_NEWQDISC, unix.NLM_F_CREATE, ifindex, foreign.handle, atRoot)
		m.String(tcaKind, foreign.kind)
		if foreign.kind == "htb" {
			options := m.Nest(tcaOptions)
			glob := m.Nest(htbInit)
			for _, v := range []uint32{htbVersion, 10, foreign.class, 0, 0} {
				m.Raw32(v)
			}
			m.End(glob)
			m.End(options)
		}
		if err := c.nl.Do(nil); err != nil {
			t.Fatal(err)
		}
		if kbit, ok, err := c.Read(ifindex); ok || err != nil {
			t.Errorf("%v: read %d, %v", foreign, kbit, err)
		}
		if foreign.handle != rootHandle {
			if err := c.Clear(ifindex); err != nil || count(t, c, ifindex) == 0 {
				t.Errorf("%v: cleared, %v", foreign, err)
			}
		}
		if err := c.Set(ifindex, 3000); err != nil || count(t, c, ifindex) != 3 {
			t.Errorf("%v: %v, %d qdiscs and classes", foreign, err, count(t, c, ifindex))
		}
	}
}
