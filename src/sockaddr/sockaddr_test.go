package sockaddr

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func TestAddresses(t *testing.T) {
	// The bytes after the family, as the kernel has them on every machine; the scope is in host order.
	scope := binary.NativeEndian.AppendUint32(nil, 300)
	for _, c := range []struct {
		addr string
		size uint32
		want string
	}{
		{"192.0.2.1:53", 16, "\x00\x35\xc0\x00\x02\x01"},
		{"255.255.255.255:65535", 16, "\xff\xff\xff\xff\xff\xff"},
		{"[2001:db8::1]:8942", 28, "\x22\xee\x00\x00\x00\x00\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00"},
		{"[fe80::2%300]:1", 28, "\x00\x01\x00\x00\x00\x00\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02" + string(scope)},
		{"[fe80::2]:1", 28, "\x00\x01\x00\x00\x00\x00\xfe\x80"},
	} {
		var sa Address
		if err := sa.Set(ap(c.addr)); err != nil {
			t.Fatal(c.addr, err)
		}
		raw := unsafe.Slice((*byte)(unsafe.Pointer(&sa.Raw)), sa.Len)
		if sa.Len != c.size || !bytes.HasPrefix(raw[2:], []byte(c.want)) {
			t.Errorf("%s: %x", c.addr, raw)
		}
		if got := sa.Get(); got != ap(c.addr) {
			t.Errorf("%s comes back as %s", c.addr, got)
		}
	}
}

func TestBadAddresses(t *testing.T) {
	for _, addr := range []netip.AddrPort{{}, ap("[fe80::1%eth0]:1"), ap("[fe80::1%-1]:1"), ap("[fe80::1%4294967296]:1")} {
		var sa Address
		if err := sa.Set(addr); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	unix4 := Address{Raw: unix.RawSockaddrInet6{Family: unix.AF_UNIX}}
	if got := unix4.Get(); got.IsValid() {
		t.Errorf("another family: %s", got)
	}
}

func TestSame(t *testing.T) {
	addrs := []string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1", "[::c000:201]:1", "[fe80::1%1]:1", "[fe80::1%2]:1", "[fe80::2%1]:1"}
	for i, a := range addrs {
		for j, b := range addrs {
			var x, y Address
			if err := errors.Join(x.Set(ap(a)), y.Set(ap(b))); err != nil {
				t.Fatal(err)
			}
			if y.Raw.Family == unix.AF_INET6 {
				y.Raw.Flowinfo = 99
			}
			if got := x.Same(&y); got != (i == j) {
				t.Errorf("%s and %s: %v", a, b, got)
			}
		}
	}
}

func FuzzAddress(f *testing.F) {
	f.Fuzz(func(t *testing.T, bytes []byte, port uint16, scope uint32) {
		addr, ok := netip.AddrFromSlice(bytes)
		if !ok {
			return
		}
		in := netip.AddrPortFrom(WithScope(addr, scope), port)
		var sa Address
		if err := sa.Set(in); err != nil {
			t.Fatal(in, err)
		}
		if got, want := sa.Get(), netip.AddrPortFrom(in.Addr().Unmap(), port); got != want || !sa.Same(&sa) {
			t.Errorf("%s comes back as %s", want, got)
		}
	})
}
