package architecture

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestFigures holds the figures that pages give in words to the constants of the program. Where a constant has changed the
// row no longer finds it: change the pages with it.
func TestFigures(t *testing.T) {
	texts := map[string]string{}
	read := func(path string) string {
		if texts[path] == "" {
			text, err := os.ReadFile("../../" + path)
			if err != nil {
				t.Fatal(err)
			}
			text = regexp.MustCompile(`[\s\\]+`).ReplaceAll(text, []byte(" ")) // lines wrap anywhere, and the manual's hyphens
			texts[path] = string(text)
		}
		return texts[path]
	}
	const configuration, manual, hooks = "files/doc/configuration.md", "files/server/tunneldigger-broker.5", "files/doc/hooks.md"
	for _, row := range []struct {
		source, constant string
		pages            map[string][]string
	}{
		{"src/admission/queue.go", "Patience = 12 * time.Second", map[string][]string{
			configuration: {"in order within 12 seconds"}, manual: {"for up to 12 seconds"}, "files/doc/sizing.md": {"for up to 12 seconds", "below 12 divided by"},
		}},
		{"src/admission/holdoff.go", "firstHold = 10 * time.Second", map[string][]string{configuration: {"nothing for 10 seconds"}, manual: {"nothing for 10 seconds"}}},
		{"src/admission/holdoff.go", "doubled at most: 640 s", map[string][]string{configuration: {"up to 640 seconds"}, manual: {"up to 640 seconds"}}},
		{"src/broker/broker.go", "stale = 6500 * time.Millisecond", map[string][]string{configuration: {"silent for 6.5 seconds"}, manual: {"silent for 6.5 seconds"}}},
		{"src/broker/broker.go", "keepaliveGap = 5 * time.Second", map[string][]string{
			"files/doc/operating.md": {"a word every five seconds"}, "files/doc/protocol.md": {"KEEPALIVE every 5 seconds", "| KEEPALIVE every | 5 s | 5 s |"},
		}},
		{"src/broker/misfit.go", "misfitTime = 3 * time.Second", map[string][]string{"files/doc/operating.md": {"after three seconds of frames"}}},
		{"src/broker/stranger.go", "tellGap = 5 * time.Millisecond", map[string][]string{"files/doc/operating.md": {"without one, 200 a second"}}},
		{"src/gate/verify.go", "verifyTime = 10 * time.Second", map[string][]string{
			configuration: {"within 10 s"}, manual: {"within ten seconds"}, hooks: {"waited for ten seconds"},
		}},
		{"src/hook/output.go", "maxLines = 100", map[string][]string{hooks: {"up to a hundred lines"}, "files/doc/troubleshooting.md": {"more than a hundred lines"}}},
		{"src/resources/hooks.go", "defaultPlaces, leastPlaces = 256, 8", map[string][]string{configuration: {"8 at least and 256 at most"}, manual: {"8 at least and 256 at most"}}},
		{"src/daemon/daemon.go", "stopDeadline = 10 * time.Second", map[string][]string{
			"files/doc/operating.md": {"stop the broker within ten seconds"}, "files/server/tunneldigger-broker.8": {"within ten seconds"},
		}},
		{"src/listen/set.go", "RetryGap = 2 * time.Second", map[string][]string{"files/doc/troubleshooting.md": {"every two seconds"}}},
		{"src/survive/prove.go", "proofTime = 10 * time.Second", map[string][]string{"files/doc/operating.md": {"no answer within ten seconds"}}},
		{"files/server/tunneldigger-broker.service", "RestartSec=5", map[string][]string{"files/doc/operating.md": {"again after five seconds"}}},
		{"src/broker/handshake.go", "uint16(uint32(taken) * 65535 / uint32(b.limit))", map[string][]string{"files/doc/sizing.md": {"the load as a part of `max_tunnels`"}}},
		{"Makefile", "SIZE_PACKED := 1170000", map[string][]string{"files/doc/sizing.md": {"1.17 MB as gzip packs it"}}},
		{"src/link/conn.go", "MaxPorts = 1023", map[string][]string{"files/doc/sizing.md": {"takes 1023 ports"}}},
		{"src/config/build.go", "d.TunnelTimeout = 120 * time.Second", map[string][]string{configuration: {"(120 with a classic file)"}, manual: {"(120 with a classic file.)"}}},
		{"src/cookie/cookie.go", "tickLength = 64 * time.Second validTicks = 3", map[string][]string{"files/doc/protocol.md": {"holds for 128 to 192 seconds", "128 s at least"}}},
		{"src/wire/uuid.go", "MaxValidUUID = 128", map[string][]string{"files/doc/protocol.md": {"only 1 to 128 bytes"}}},
	} {
		if !strings.Contains(read(row.source), row.constant) {
			t.Errorf("%s does not have %q: pages give its value, %v", row.source, row.constant, row.pages)
		}
		for path, says := range row.pages {
			for _, what := range says {
				if !strings.Contains(read(path), what) {
					t.Errorf("%s does not say %q, which %s is to hold to %q", path, what, row.source, row.constant)
				}
			}
		}
	}
}
