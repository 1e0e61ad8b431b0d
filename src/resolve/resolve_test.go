package resolve

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

func TestHostPort(t *testing.T) {
	for _, c := range []struct {
		in, host string
		port     uint16
		fault    bool
	}{
		{"broker.example.org", "broker.example.org", 8942, false},
		{"broker.example.org:53", "broker.example.org", 53, false},
		{"192.0.2.1:123", "192.0.2.1", 123, false},
		{"2001:db8::1", "2001:db8::1", 8942, false},
		{"[2001:db8::1]", "2001:db8::1", 8942, false},
		{"[2001:db8::1]:53", "2001:db8::1", 53, false},
		{"", "", 0, true},
		{":53", "", 0, true},
		{"a:", "", 0, true},
		{"a:0", "", 0, true},
		{"a:65536", "", 0, true},
		{"a:b", "", 0, true},
		{"[2001:db8::1", "", 0, true},
		{"[2001:db8::1]53", "", 0, true},
	} {
		host, port, err := HostPort(c.in, 8942)
		if (err != nil) != c.fault || !c.fault && (host != c.host || port != c.port) {
			t.Errorf("%q: got %q %d %v", c.in, host, port, err)
		}
	}
}

func TestHosts(t *testing.T) {
	f := write(t, "192.0.2.7 other broker # broker2\n2001:db8::7\tBROKER\nbad line broker\n", "")
	found, err := f.Lookup("broker")
	if want := addrs("192.0.2.7", "2001:db8::7"); err != nil || !slices.Equal(found, want) {
		t.Errorf("got %v %v", found, err)
	}
	if found, err := f.Lookup("192.0.2.9"); err != nil || !slices.Equal(found, addrs("192.0.2.9")) {
		t.Errorf("an address: got %v %v", found, err)
	}
	if found, err := f.Lookup("fe80::1%lo"); err != nil || !slices.Equal(found, addrs("fe80::1%1")) {
		t.Errorf("a zone: got %v %v", found, err)
	}
}

// A fake server answers A by way of an alias and AAAA with nothing, and knows
// one name only.
func TestAsk(t *testing.T) {
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		buffer := make([]byte, 512)
		for {
			n, from, err := server.ReadFromUDP(buffer)
			if err != nil {
				return
			}
			q := buffer[:n]
			r := slices.Clone(q)
			r[2] |= 0x80
			known := slices.Equal(q[12:n-4], []byte("\x06broker\x07example\x03org\x00"))
			if known && q[n-3] == typeA {
				r[7] = 2
				r = append(r, "\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x04\x01b\xc0\x13"...)
				r = append(r, "\xc0\x2c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x05"...)
			}
			_, _ = server.WriteToUDP([]byte("noise"), from)
			_, _ = server.WriteToUDP(r, from)
		}
	}()
	at := []netip.AddrPort{server.LocalAddr().(*net.UDPAddr).AddrPort()}
	if found, err := query(at, "broker.example.org"); err != nil || !slices.Equal(found, addrs("192.0.2.5")) {
		t.Errorf("got %v %v", found, err)
	}
	if found, err := query(at, "unknown.example.org"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown name: got %v %v", found, err)
	}
	if found, err := query(at, "a..b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no name: got %v %v", found, err)
	}
}

// nameServer answers each of the two kinds with a response code, and one of code 0 for
// A with an address. It counts the questions.
func nameServer(t *testing.T, codeA, codeAAAA byte, address string) (at netip.AddrPort, asked *atomic.Int32) {
	t.Helper()
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	asked = new(atomic.Int32)
	go func() {
		buffer := make([]byte, 512)
		for {
			n, from, err := server.ReadFromUDP(buffer)
			if err != nil {
				return
			}
			asked.Add(1)
			r := slices.Clone(buffer[:n])
			r[2] |= 0x80
			r[3] = codeAAAA
			if r[n-3] == typeA {
				if r[3] = codeA; codeA == noError && address != "" {
					r[7] = 1
					r = append(r, "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04"...)
					r = append(r, netip.MustParseAddr(address).AsSlice()...)
				}
			}
			_, _ = server.WriteToUDP(r, from)
		}
	}()
	return server.LocalAddr().(*net.UDPAddr).AddrPort(), asked
}

// A server that says that it can't answer has not said that there is no such host:
// the next one is asked. One that says so is believed.
func TestResponseCodes(t *testing.T) {
	type codes struct {
		a, aaaa byte
		address string
	}
	knows := codes{0, 0, "192.0.2.5"}
	for _, c := range []struct {
		name   string
		first  codes
		second codes
		found  string
		fault  string
		asked  int32 // questions to the second server
	}{
		{"SERVFAIL", codes{2, 2, ""}, knows, "192.0.2.5", "", 2},
		{"REFUSED", codes{5, 5, ""}, knows, "192.0.2.5", "", 2},
		{"FORMERR", codes{1, 1, ""}, knows, "192.0.2.5", "", 2},
		{"NXDOMAIN", codes{3, 3, ""}, knows, "", "no such host", 0},
		{"no address", codes{0, 0, ""}, knows, "", "no such host", 0},
		{"one kind fails", codes{0, 2, "192.0.2.7"}, knows, "192.0.2.7", "", 0},
		{"one kind fails, the other is empty", codes{0, 2, ""}, knows, "192.0.2.5", "", 2},
		{"both fail", codes{2, 2, ""}, codes{5, 5, ""}, "", "can't answer: REFUSED", 2 * rounds},
		{"a rare one", codes{9, 9, ""}, codes{9, 9, ""}, "", "can't answer: code 9", 2 * rounds},
	} {
		t.Run(c.name, func(t *testing.T) {
			one, _ := nameServer(t, c.first.a, c.first.aaaa, c.first.address)
			two, asked := nameServer(t, c.second.a, c.second.aaaa, c.second.address)
			found, err := query([]netip.AddrPort{one, two}, "broker.example.org")
			if c.found != "" && (err != nil || !slices.Equal(found, addrs(c.found))) {
				t.Errorf("got %v %v, want %s", found, err, c.found)
			}
			if c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault) ||
				errors.Is(err, ErrNotFound) != (c.fault == ErrNotFound.Error())) {
				t.Errorf("got %v %v, want %q", found, err, c.fault)
			}
			if n := asked.Load(); n != c.asked {
				t.Errorf("the second server was asked %d times, want %d", n, c.asked)
			}
		})
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte("\x00\x01\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x05"))
	f.Add([]byte("\x00\x01\x81\x80\xff\xff\xff\xff\x00\x00\x00\x00\x3fa"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if found, _ := answers(b); len(found) > len(b)/14 {
			t.Errorf("%d addresses from %d bytes", len(found), len(b))
		}
	})
}

func write(t *testing.T, hosts, resolv string) Files {
	t.Helper()
	f := Files{filepath.Join(t.TempDir(), "hosts"), filepath.Join(t.TempDir(), "resolv.conf")}
	for path, text := range map[string]string{f.Hosts: hosts, f.Resolv: resolv} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func addrs(all ...string) (parsed []netip.Addr) {
	for _, a := range all {
		parsed = append(parsed, netip.MustParseAddr(a))
	}
	return parsed
}
