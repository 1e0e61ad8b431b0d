package broker

import (
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tunneldigger/src/config"
)

// TestHookPages holds the tables of files/doc/hooks.md and of the folder's own README to the arguments that hooks get,
// and the page to the names of the environment.
func TestHookPages(t *testing.T) {
	read := func(path string) string {
		text, err := os.ReadFile("../../files/" + path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	page, readme := read("doc/hooks.md"), read("hooks/README")
	table := map[string]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| ([a-z., -]+) \| ([a-z_ ]+) \|$`).FindAllStringSubmatch(page, -1) {
		for _, event := range strings.Split(row[1], ", ") {
			table[event] = row[2]
		}
	}
	same := ""
	for _, row := range regexp.MustCompile(`(?m)^([a-z.-]+) {2,}([a-z_ ]+)$`).FindAllStringSubmatch(readme, -1) {
		if row[2] == "the same" {
			row[2] = same
		}
		if same = row[2]; table[row[1]] != row[2] {
			t.Errorf("%s has %q in hooks/README, and %q in hooks.md", row[1], row[2], table[row[1]])
		}
	}
	for event := config.Event(0); event < config.EventCount; event++ {
		e := &Effect{Hook: event, OldMTU: 3, Facts: Facts{Tunnel: 1, Session: 2, MTU: 4, UUID: "uuid",
			Peer: netip.MustParseAddrPort("192.0.2.1:5"), Local: netip.MustParseAddrPort("198.51.100.1:6")}}
		values := map[string]string{"tunnel_id": "1", "session_id": "2", "old_mtu": "3", "mtu": "4", "new_mtu": "4", "interface": "l2tp1-2",
			"endpoint_ip": "192.0.2.1", "endpoint_port": "5", "local_port": "6", "uuid": "uuid", "local_broker_port": "6"}
		args, env := e.HookFacts("BROKER")
		var want []string
		for _, name := range strings.Fields(table[event.String()]) {
			want = append(want, values[name])
		}
		if !slices.Equal(args, want) || len(args) == 0 {
			t.Errorf("%s: arguments %q; hooks.md has %q", event, args, table[event.String()])
		}
		for _, entry := range env {
			if name, _, _ := strings.Cut(entry, "="); !strings.Contains(page, "`"+name+"`") || name != "ACTION" && !regexp.MustCompile(`\b`+name+`\b`).MatchString(readme) {
				t.Errorf("%s: %s is not in hooks.md and hooks/README", event, name)
			}
		}
	}
}
