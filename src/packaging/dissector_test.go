//go:build wireshark

package packaging

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tunneldigger/src/wire/vectors"
)

// capture is a file of Ethernet frames as tcpdump writes it.
type capture struct{ bytes.Buffer }

func newCapture() *capture {
	c := new(capture)
	// Magic, version 2.4, zone, accuracy, longest frame, Ethernet.
	for _, v := range []any{uint32(0xa1b2c3d4), uint16(2), uint16(4), uint32(0), uint32(0), uint32(65535), uint32(1)} {
		c.big(v)
	}
	return c
}

func (c *capture) big(v any) { _ = binary.Write(&c.Buffer, binary.BigEndian, v) }

// udp adds a datagram, without IPv4's check sums, at a time in seconds.
func (c *capture) udp(at float64, from, to netip.AddrPort, payload []byte) {
	length := 8 + len(payload)
	header := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00}
	if from.Addr().Is4() {
		header = append(header, 0x45, 0, byte((20+length)>>8), byte(20+length), 0, 0, 0x40, 0, 64, 17, 0, 0)
	} else {
		header[12], header[13] = 0x86, 0xdd
		header = append(header, 0x60, 0, 0, 0, byte(length>>8), byte(length), 17, 64)
	}
	header = append(append(header, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	ports := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, from.Port()), to.Port())
	ports = binary.BigEndian.AppendUint16(ports, uint16(length))
	sum := uint16(0)
	if from.Addr().Is6() {
		sum = checksum(from.Addr().AsSlice(), to.Addr().AsSlice(), ports, ports[4:], []byte{0, 17}, payload)
	}
	header = binary.BigEndian.AppendUint16(append(header, ports...), sum)
	size := uint32(len(header) + len(payload))
	for _, v := range []uint32{uint32(at), uint32(at*1e6) % 1e6, size, size} {
		c.big(v)
	}
	c.Write(header)
	c.Write(payload)
}

// checksum is UDP's, of parts of which all but the last have an even length.
func checksum(parts ...[]byte) uint16 {
	sum := uint32(0)
	for _, part := range parts {
		for i, b := range part {
			sum += uint32(b) << (8 * (1 - i%2))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// tshark reads a capture with the dissector and gives the wanted fields of each frame, of those that -Y and a filter
// before them let pass.
func tshark(t *testing.T, c *capture, fields ...string) [][]string {
	t.Helper()
	// As somebody without rights, for whom alone Wireshark runs Lua.
	dir, err := os.MkdirTemp("", "tshark")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"capture": c.Bytes(), "tunneldigger.lua": []byte(read(t, "files/wireshark/tunneldigger.lua"))} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"--reuid=nobody", "--clear-groups", "env", "HOME=" + dir, "tshark", "-n", "-X", "lua_script:tunneldigger.lua", "-r", "capture", "-T", "fields", "-E", "separator=|"}
	for len(fields) > 0 && fields[0] == "-Y" {
		args, fields = append(args, fields[:2]...), fields[2:]
	}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.Command("setpriv", args...)
	cmd.Dir = dir
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || strings.Contains(errs.String(), "Lua") {
		t.Fatalf("tshark: %v: %s", err, &errs)
	}
	var lines [][]string
	for _, line := range strings.Split(strings.TrimSuffix(string(out), "\n"), "\n") {
		lines = append(lines, strings.Split(line, "|"))
	}
	return lines
}

// fieldNames are the fields of the vectors, which the dissector has under the same names.
var fieldNames = []string{"cookie", "uuid", "tunnel_id", "features", "reason", "sequence", "size", "mtu", "load", "kbit", "session_id"}

// TestDissector has Wireshark's command take apart every conversation of the test vectors: every message has its name and its
// fields, frames are taken for Ethernet, and nothing is malformed.
func TestDissector(t *testing.T) {
	f, err := vectors.Load("../wire/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	columns := []string{"_ws.col.Protocol", "_ws.col.Info", "_ws.malformed", "_ws.expert", "arp.opcode"}
	for _, name := range fieldNames {
		columns = append(columns, "tunneldigger."+name)
	}
	for _, broker := range []string{"198.51.100.1:8942", "198.51.100.1:53", "198.51.100.1:123", "[2001:db8::1]:8942", "198.51.100.1:20000"} {
		c := newCapture()
		var steps []vectors.Step
		for i, talk := range f.Conversations {
			server, client := netip.MustParseAddrPort(broker), netip.MustParseAddrPort(fmt.Sprintf("192.0.2.10:%d", 40000+i))
			if server.Addr().Is6() {
				client = netip.AddrPortFrom(netip.MustParseAddr("2001:db8::a"), client.Port())
			}
			for _, s := range talk.Steps {
				from, to := client, server
				if s.From == "broker" {
					from, to = server, client
				}
				c.udp(1000*float64(i)+s.At, from, to, s.Bytes())
				steps = append(steps, s)
			}
		}
		lines := tshark(t, c, columns...)
		if len(lines) != len(steps) {
			t.Fatalf("%s: %d frames, want %d", broker, len(lines), len(steps))
		}
		for i, line := range lines {
			s := steps[i]
			what := fmt.Sprintf("%s: %s of the %s, %s", broker, s.Type, s.From, line)
			if line[2] != "" || line[3] != "" {
				t.Errorf("%s: malformed", what)
			}
			if s.Type == vectors.Data {
				if line[0] != "ARP" || line[4] == "" {
					t.Errorf("%s: the frame is not taken for ARP", what)
				}
			} else if line[0] != "Tunneldigger" || !strings.HasPrefix(line[1], s.From+": "+s.Type) {
				t.Errorf("%s: want Tunneldigger, %s: %s", what, s.From, s.Type)
			}
			for n, name := range fieldNames {
				if got, want := plain(line[5+n]), fmt.Sprint(s.Fields[name]); got != want && !(got == "" && s.Fields[name] == nil) {
					t.Errorf("%s: field %s is %q, want %q", what, name, got, want)
				}
			}
		}
	}
}

// TestFilter runs the commands that files/doc shows for what comes out of the programs: tshark's on a capture, jq's on a status.
func TestFilter(t *testing.T) {
	f, err := vectors.Load("../wire/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	c := newCapture()
	for _, s := range f.Conversations[0].Steps {
		c.udp(s.At, netip.MustParseAddrPort("192.0.2.10:40000"), netip.MustParseAddrPort("198.51.100.1:53"), s.Bytes())
	}
	_, filter, found := strings.Cut(read(t, "files/doc/protocol.md"), "tshark -X lua_script:tunneldigger.lua -r FILE -Y '")
	filter, _, _ = strings.Cut(filter, "'\n")
	lines := tshark(t, c, "-Y", strings.Replace(filter, "my-name", "alice", 1), "tunneldigger.type")
	if !found || len(lines) != 1 || plain(lines[0][0]) != "2" {
		t.Errorf("%q finds %q", filter, lines)
	}
	_, filter, found = strings.Cut(read(t, "files/doc/operating.md"), "\ntunneldigger-broker status --json | jq '")
	filter, _, _ = strings.Cut(filter, "'\n")
	out, err := exec.Command("jq", strings.Replace(filter, "> 20", ">= 0", 1), "../status/testdata/status.json").CombinedOutput()
	if err != nil || !found || !strings.Contains(string(out), `"client-1"`) {
		t.Errorf("jq %q: %v: %s", filter, err, out)
	}
	if out, err := exec.Command("jq", filter, "../status/testdata/status.json").CombinedOutput(); err != nil || len(out) != 0 {
		t.Errorf("jq %q: %v: %s, want no tunnel that was silent", filter, err, out)
	}
}

// plain is a field without the dress in which tshark shows it: numbers in hexadecimal, and bytes with colons.
func plain(field string) string {
	if digits, found := strings.CutPrefix(field, "0x"); found {
		if b, err := hex.DecodeString(fmt.Sprintf("%016s", digits)); err == nil {
			return fmt.Sprint(binary.BigEndian.Uint64(b))
		}
	}
	return strings.ReplaceAll(field, ":", "")
}

// TestDissectorOnOthers has it look at what is none of its business, and at what is broken.
func TestDissectorOnOthers(t *testing.T) {
	f, err := vectors.Load("../wire/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	client, server := netip.MustParseAddrPort("192.0.2.10:40000"), netip.MustParseAddrPort("198.51.100.1:53")
	c := newCapture()
	// A DNS query with the ID 3 and no flags: it begins as a frame does.
	dns, _ := hex.DecodeString("000300000001000000000000" + "076578616d706c65" + "0000010001" + strings.Repeat("00", 8))
	c.udp(0, client, server, dns)
	for _, m := range f.Malformed {
		b, err := hex.DecodeString(m.Hex)
		if err != nil {
			t.Fatal(err)
		}
		from, to := client, netip.AddrPortFrom(server.Addr(), 8942)
		if m.From == "broker" {
			from, to = to, from
		}
		c.udp(1, from, to, b)
	}
	for i, line := range tshark(t, c, "_ws.col.Protocol", "_ws.expert") {
		if i == 0 {
			if line[0] != "DNS" {
				t.Errorf("a query is %s", line)
			}
			continue
		}
		switch m := f.Malformed[i-1]; m.Fault {
		case "length", "payload":
			if line[0] != "Tunneldigger" || line[1] == "" && m.Name != "LIMIT of an unknown kind" {
				t.Errorf("%s: %s, want Tunneldigger and a fault", m.Name, line)
			}
		default:
			if line[0] == "Tunneldigger" {
				t.Errorf("%s: %s", m.Name, line)
			}
		}
	}
}
