//go:build native

package link

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"tunneldigger/src/test/nltest"
)

// A bridge with addresses and rules, on a real kernel: made, found, read back, and gone without a trace.
func TestBridge(t *testing.T) {
	nltest.Namespace(t)
	c, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	all := func() string {
		addresses, err := c.Addresses()
		must(err)
		rules, err := c.Rules()
		must(err)
		var links []Link
		must(c.List(func(l Link) { links = append(links, l) }))
		return fmt.Sprint(addresses, rules, links)
	}
	before := all()
	must(c.MakeBridge("digger1446"))
	if err := c.MakeBridge("digger1446"); !errors.Is(err, unix.EEXIST) {
		t.Errorf("twice: %v", err)
	}
	l, err := c.Find("digger1446")
	if must(err); !l.Bridge || l.Up || !l.Unfinished || l.Alias != "" || l.MTU != 1500 {
		t.Errorf("made is %+v", l)
	}
	must(c.KeepMTU(l.Index, 1446))
	must(c.Mark(l.Index, "tunneldigger-broker here"))
	if l, err = c.Find("digger1446"); err != nil || !l.Bridge || !l.Up || l.Unfinished || l.Alias != "tunneldigger-broker here" || l.MTU != 1446 {
		t.Errorf("marked is %+v, %v", l, err)
	}
	for _, text := range []string{"198.51.100.1/24", "198.51.100.2/24", "2001:db8::1/64"} {
		p := netip.MustParsePrefix(text)
		for range 2 {
			must(c.AddAddress(l.Index, p))
		}
		addresses, err := c.Addresses()
		must(err)
		found := 0
		for _, a := range addresses {
			if a.Index == l.Index && a.Prefix == p && !a.Kernel && (a.Protocol == Protocol || a.Protocol == 0) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%s: %+v", p, addresses)
		}
	}
	must(c.DropAddress(l.Index, netip.MustParsePrefix("198.51.100.2/24")))
	if err := c.DropAddress(l.Index, netip.MustParsePrefix("198.51.100.2/24")); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("an address that is not there: %v", err)
	}
	for _, six := range []bool{false, true} {
		r := Rule{IPv6: six, Interface: "digger1446", Table: 100142, Priority: 1000, Protocol: Protocol}
		must(c.AddRule(r))
		if err := c.AddRule(r); !errors.Is(err, unix.EEXIST) {
			t.Errorf("a rule twice: %v", err)
		}
		rules, err := c.Rules()
		must(err)
		found := 0
		for _, is := range rules {
			if is == r {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%+v is not in %+v", r, rules)
		}
		must(c.DropRule(r))
		if err := c.DropRule(r); !errors.Is(err, unix.ENOENT) {
			t.Errorf("a rule that is not there: %v", err)
		}
	}
	if tables, err := c.Tables(); err != nil || !tables[unix.RT_TABLE_LOCAL] || tables[100142] {
		t.Errorf("tables with routes: %v, %v", tables, err)
	}
	must(c.Remove(l.Index))
	if err := c.Remove(l.Index); !errors.Is(err, unix.ENODEV) {
		t.Errorf("a bridge that is not there: %v", err)
	}
	if after := all(); after != before {
		t.Errorf("before %s, after %s", before, after)
	}
}
