package l2tp

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"tunneldigger/src/nl"
)

// Lines as Linux 6.1 prints them on little-endian; the big-endian ones have the addresses turned round.
const (
	head   = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"
	line4  = "  742: 0100007F:0035 0200007F:1267 01 00000000:00000000 00:00000000 00000000     0        0 4711 2 00000000a1b2c3d4 0\n"
	line6  = "  742: 00000000000000000000000001000000:0035 00000000000000000000000001000000:1267 01 00000000:00000000 00:00000000 00000000     0        0 4712 2 0 0\n"
	bline4 = "  742: 7F000001:0035 7F000002:1267 01 00000000:00000000 00:00000000 00000000     0        0 4711 2 00000000a1b2c3d4 0\n"
	mapped = "  742: 0000000000000000FFFF00000100007F:0035 0000000000000000FFFF00000200007F:1267 01 00000000:00000000 00:00000000 00000000     0        0 4713 2 0 0\n"
)

func TestOwnersOf(t *testing.T) {
	pair := func(local, peer string) TunnelInfo {
		return TunnelInfo{ID: 1, UDP: true, Local: netip.MustParseAddrPort(local), Peer: netip.MustParseAddrPort(peer)}
	}
	four, six := pair("127.0.0.1:53", "127.0.0.2:4711"), pair("[::1]:53", "[::1]:4711")
	for _, test := range []struct {
		name      string
		order     nl.Order
		udp, udp6 string
		links     map[string]string // /proc/PID/fd/N
		tunnels   []TunnelInfo
		want      []int
	}{
		{"both", binary.LittleEndian, head + line4, head + line6,
			map[string]string{"17/3": "socket:[4711]", "18/0": "/dev/null", "18/9": "socket:[4712]"}, []TunnelInfo{four, six}, []int{17, 18}},
		{"big-endian", binary.BigEndian, head + bline4, "", map[string]string{"17/3": "socket:[4711]"}, []TunnelInfo{four}, []int{17}},
		{"IPv4 on an IPv6 socket", binary.LittleEndian, head, head + mapped, map[string]string{"17/3": "socket:[4713]"}, []TunnelInfo{four}, []int{17}},
		{"socket without owner", binary.LittleEndian, head + line4, "", map[string]string{"17/3": "socket:[4799]"}, []TunnelInfo{four}, []int{0}},
		{"no socket", binary.LittleEndian, head, "", map[string]string{"17/3": "socket:[4711]"}, []TunnelInfo{four}, []int{0}},
		{"not over UDP", binary.LittleEndian, head + line4, "", nil, []TunnelInfo{{ID: 1}}, []int{-1}},
		{"rubbish", binary.LittleEndian, "a b c\n\n1 2 3 4 5 6 7 8 9 0\n1 01:2 0x:1 4 5 6 7 8 9 10\n", "", nil, []TunnelInfo{four}, []int{0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			proc := t.TempDir()
			write(t, filepath.Join(proc, "thread-self/net/udp"), test.udp)
			write(t, filepath.Join(proc, "19/cmdline"), "ended meanwhile: no fd")
			if test.udp6 != "" {
				write(t, filepath.Join(proc, "thread-self/net/udp6"), test.udp6)
			}
			for place, link := range test.links {
				pid, n, _ := strings.Cut(place, "/")
				directory := filepath.Join(proc, pid, "fd")
				if err := errors.Join(os.MkdirAll(directory, 0o777), os.Symlink(link, filepath.Join(directory, n))); err != nil {
					t.Fatal(err)
				}
			}
			got := make([]int, len(test.tunnels))
			if err := owners(proc, test.order, test.tunnels, got); err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("%v, %v; want %v", got, err, test.want)
			}
		})
	}
}

// Files that cannot be listed make an error, as the owner may be there.
func TestOwnersUnread(t *testing.T) {
	proc := t.TempDir()
	write(t, filepath.Join(proc, "thread-self/net/udp"), head+line4)
	write(t, filepath.Join(proc, "17/fd"), "no directory")
	tunnel := TunnelInfo{UDP: true, Local: netip.MustParseAddrPort("127.0.0.1:53"), Peer: netip.MustParseAddrPort("127.0.0.2:4711")}
	if err := owners(proc, binary.LittleEndian, []TunnelInfo{tunnel}, make([]int, 1)); err == nil {
		t.Error("no error")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte(text), 0o666)); err != nil {
		t.Fatal(err)
	}
}
