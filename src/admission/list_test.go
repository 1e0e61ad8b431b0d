package admission

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"tunneldigger/src/config"
)

func list(t testing.TB, text string) *List {
	t.Helper()
	l, err := ParseList("/etc/list", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

const example = "\ufeff# who is kept out\r\n" +
	"a1b2c3\r\n" +
	"\r\n" +
	"  02:00:00:00:00:01\t # a MAC is a UUID as well\r\n" +
	"with#hash # but this is a comment\n" +
	"192.0.2.7\n" +
	"198.51.100.77/24 # the network of it\n" +
	"198.51.100.0/25\n" +
	"::ffff:203.0.113.9\n" +
	"::ffff:203.0.113.64/122\n" +
	"2001:db8:1::/48\n" +
	"2001:db8:2::5"

func TestListHas(t *testing.T) {
	l := list(t, example)
	if l.Lines() != 10 {
		t.Errorf("%d lines", l.Lines())
	}
	for uuid, want := range map[string]bool{
		"a1b2c3": true, "A1B2C3": false, "a1b2c": false, "a1b2c34": false, "02:00:00:00:00:01": true, "with#hash": true,
		"with": false, "192.0.2.7": false, "": false, "#": false,
	} {
		if got := l.Has(uuid, netip.Addr{}); got != want {
			t.Errorf("UUID %q: %v", uuid, got)
		}
	}
	for addr, want := range map[string]bool{
		"192.0.2.7": true, "::ffff:192.0.2.7": true, "192.0.2.6": false, "192.0.2.8": false,
		"198.51.100.0": true, "198.51.100.200": true, "198.51.100.255": true, "198.51.99.255": false, "198.51.101.0": false,
		"203.0.113.9": true, "203.0.113.63": false, "203.0.113.64": true, "203.0.113.127": true, "203.0.113.128": false,
		"2001:db8:1::": true, "2001:db8:1:ffff:ffff:ffff:ffff:ffff": true, "2001:db8:0:ffff::": false, "2001:db8:2::": false,
		"2001:db8:2::5": true, "fe80::1%eth0": false,
	} {
		if got := l.Has("stranger", netip.MustParseAddr(addr)); got != want {
			t.Errorf("address %s: %v", addr, got)
		}
	}
	var none *List
	if none.Has("a", netip.MustParseAddr("192.0.2.7")) || none.Lines() != 0 || list(t, "").Has("a", netip.Addr{}) {
		t.Error("no list has something")
	}
}

// All of one family is nothing of the other.
func TestListWholeFamilies(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for text, want := range map[string][2]bool{
		"0.0.0.0/0": {true, false}, "::/0": {false, true}, "::/1": {false, true}, "::ffff:0:0/96": {true, false},
	} {
		l := list(t, text)
		if got := [2]bool{l.Has("", four), l.Has("", six)}; got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestListFaults(t *testing.T) {
	for _, line := range []string{
		"a b", "192.0.2.256", "192.0.2", "1.2.3.4.5", "192.0.2.0/33", "2001:db8::/129", "2001:db8::/-1", "2001:db8:::1", "2001:db8::/48x",
		"fe80::1%eth0", "fe80::%eth0/64", "::ffff:192.0.2.0/24", "::ffff:0:0/95", "-a", "a;b", "a/b", "a'b", "$a", "ü", "a\x00b", "a\rb", strings.Repeat("x", 129), "192.0.2.1,192.0.2.2",
	} {
		l, err := ParseList("/etc/list", []byte("good\n"+line+"\n"))
		var faults config.Faults
		if l != nil || !errors.As(err, &faults) || len(faults) != 1 || faults[0].Line != 2 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, %v", line, l, err)
			continue
		}
		for _, part := range []string{"/etc/list:2: " + config.Quote(line) + ": want a UUID (", "an IP address or a prefix like 192.0.2.0/24"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: got %q without %q", line, err, part)
			}
		}
	}
}

// A file that is no list at all gives some lines, not thousands.
func TestListManyFaults(t *testing.T) {
	_, err := ParseList("x", []byte(strings.Repeat("wrong line\n", 1000)))
	lines := strings.Split(fmt.Sprint(err), "\n")
	if len(lines) != maxListFaults || !strings.HasPrefix(lines[19], "x:20: ") || !strings.HasSuffix(lines[19], "; and 980 more lines like it") {
		t.Errorf("got %d lines, the last one %q", len(lines), lines[len(lines)-1])
	}
	if _, err := ParseList("x", make([]byte, MaxListSize+1)); err == nil || !strings.Contains(err.Error(), "larger than 2097152 bytes") {
		t.Errorf("got %v for a text that is too large", err)
	}
}

// What is found in a long list is what a plain comparison finds.
func TestListAgrees(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	addr := func(v6 bool) netip.Addr {
		b := [16]byte{0x20, 1, 0xd, 0xb8, byte(random.IntN(4)), byte(random.IntN(256)), 15: byte(random.IntN(4))}
		if v6 {
			return netip.AddrFrom16(b)
		}
		return netip.AddrFrom4([4]byte{192, 0, byte(random.IntN(4)), byte(random.IntN(256))})
	}
	for round := 0; round < 20; round++ {
		var text strings.Builder
		var prefixes []netip.Prefix
		for i := 0; i < 1+random.IntN(200); i++ {
			v6 := random.IntN(2) == 0
			a := addr(v6)
			p := netip.PrefixFrom(a, a.BitLen()-random.IntN(12)*random.IntN(2))
			prefixes = append(prefixes, p)
			fmt.Fprintln(&text, p)
		}
		l := list(t, text.String())
		for i := 0; i < 2000; i++ {
			a, want := addr(i%2 == 0), false
			for _, p := range prefixes {
				want = want || p.Masked().Contains(a)
			}
			if l.Has("", a) != want {
				t.Fatalf("%v: %v in\n%s", a, !want, text.String())
			}
		}
	}
}

func TestListLookupDoesNotAllocate(t *testing.T) {
	var text strings.Builder
	for i := 0; i < 5000; i++ {
		fmt.Fprintf(&text, "node%d\n10.%d.%d.0/24\n", i, i>>8, i&255)
	}
	l, a := list(t, text.String()), netip.MustParseAddr("10.19.135.1")
	if n := testing.AllocsPerRun(100, func() {
		if !l.Has("node4999", a) || !l.Has("x", a) || l.Has("x", netip.IPv6Unspecified()) {
			t.Error("not found")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseList(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("192.0.2.0/33\n::/0\n-a\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := ParseList("f", text)
		if (l == nil) == (err == nil) {
			t.Fatalf("%v and %v", l, err)
		}
		if err != nil {
			if n := strings.Count(err.Error(), "\n"); n >= maxListFaults {
				t.Fatalf("%d lines", n)
			}
			return
		}
		// Every line by itself, of which there is the same.
		for _, line := range strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n") {
			entry := strings.Trim(uncommented(line), " \t\r")
			if a, err := netip.ParseAddr(entry); err == nil {
				if !l.Has("", a) {
					t.Fatalf("%v is missing", a)
				}
			} else if p, err := netip.ParsePrefix(entry); err == nil {
				if !l.Has("", p.Addr()) || !l.Has("", p.Masked().Addr()) {
					t.Fatalf("%v is missing", p)
				}
			} else if entry != "" && !l.Has(entry, netip.Addr{}) {
				t.Fatalf("%q is missing", entry)
			}
		}
	})
}
