package wire_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"tunneldigger/src/wire"
)

// TestSpecification holds the numbers of files/doc/protocol.md to this package's.
func TestSpecification(t *testing.T) {
	text, err := os.ReadFile("../../files/doc/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	has := func(what string) {
		t.Helper()
		if !strings.Contains(page, what) {
			t.Errorf("protocol.md does not have %q", what)
		}
	}
	listed := map[int]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (0x[0-9A-F]{2}) \| ([A-Z_]+) \|`).FindAllStringSubmatch(page, -1) {
		n, err := strconv.ParseUint(row[1], 0, 8)
		if err != nil {
			t.Fatal(err)
		}
		listed[int(n)] = row[2]
	}
	reason := regexp.MustCompile(`\| (0x[0-9a-f]{2}) \|`)
	reasons := map[string]bool{}
	_, chapter, _ := strings.Cut(page, "### Reasons\n")
	chapter, _, _ = strings.Cut(chapter, "\n#")
	for _, m := range reason.FindAllStringSubmatch(chapter, -1) {
		reasons[m[1]] = true
	}
	for n := range 256 {
		name := wire.Type(n).String()
		if strings.HasPrefix(name, "0x") {
			name = ""
		}
		if listed[n] != name {
			t.Errorf("type 0x%02X is %q, and %q in protocol.md", n, name, listed[n])
		}
		hex := fmt.Sprintf("0x%02x", n)
		if known := !strings.HasPrefix(wire.Reason(n).String(), "reason "); known != reasons[hex] {
			t.Errorf("reason %s: known %v, in protocol.md %v", hex, known, reasons[hex])
		}
	}
	has(fmt.Sprintf("| UDP payload, from a path's MTU | − %d | − %d |", wire.UDPOverhead(false), wire.UDPOverhead(true)))
	has(fmt.Sprintf("| tunnel MTU, from a path's MTU | − %d | − %d |", wire.TunnelOverhead(false), wire.TunnelOverhead(true)))
	has(fmt.Sprintf("1500 | %d |", wire.DefaultTunnelMTU))
	has(fmt.Sprintf("never below %d", wire.MinTunnelMTU))
	has(fmt.Sprintf("at least %d bytes", wire.MinSize))
}
