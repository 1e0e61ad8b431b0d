package packaging

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// pages are what operators read: README.md and files/doc, by their path from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{"README.md": read(t, "README.md")}
	paths, err := filepath.Glob("../../files/doc/*.md")
	if err != nil || len(paths) < 7 {
		t.Fatalf("%q, %v", paths, err)
	}
	for _, path := range paths {
		path = strings.TrimPrefix(path, "../../")
		texts[path] = read(t, path)
	}
	return texts
}

// evidence is where a command of the pages is run: a file that has to have a text.
type evidence struct{ file, text string }

// commands are the commands of the pages that the trial does not follow word for word, and what runs each.
var commands = map[string]evidence{
	"make demo":                              {".ci/run", "step make demo"},
	"make test":                              {".ci/run", "step make test\n"},
	"make packages":                          {".ci/run", "step make packages"},
	`make packages ARCH="mipsel_24kc amd64"`: {"src/packaging/packages_test.go", `"./build", "x86_64", "amd64"`},
	"make build":                             {"Makefile", "demo: build"},
	"make size":                              {".ci/run", "step make size"},
	"go test ./src/wire/... ./src/broker ./src/client": {"Makefile", "$(GO) test ./src/..."},

	"tunneldigger-broker check":                 {"src/packaging/trial/inside", "try tunneldigger-broker check"},
	"tunneldigger-broker check -c /etc/config":  {"src/cmd/tunneldigger-broker/page_test.go", "configuration.md"},
	"tunneldigger-broker convert FILE":          {"src/cmd/tunneldigger-broker/main_test.go", `"convert " + good`},
	"tunneldigger-broker /path/l2tp_broker.cfg": {"src/test/e2e/faults_test.go", "l2tp_broker.cfg"},
	"tunneldigger-broker reload":                {"src/test/e2e/reload_test.go", `"reload"`},
	"tunneldigger-broker upgrade":               {"src/test/e2e/upgrade_test.go", `"upgrade"`},
	"tunneldigger-broker --help":                {"src/cmd/tunneldigger-broker/main_test.go", `"--help"`},
	"tunneldigger-client --help":                {"src/cmd/tunneldigger-client/options_test.go", `"--help"`},
	"tunneldigger-broker status --json | jq '.tunnels[] | select(.heard_seconds > 20) | .uuid'":                      {"src/packaging/dissector_test.go", "TestFilter"},
	"tshark -X lua_script:tunneldigger.lua -r FILE":                                                                  {"src/packaging/dissector_test.go", "lua_script:tunneldigger.lua"},
	`tshark -X lua_script:tunneldigger.lua -r FILE -Y 'tunneldigger.type == 0x02 && tunneldigger.uuid == "my-name"'`: {"src/packaging/dissector_test.go", "TestFilter"},

	// For the instance main; the trial does the same for the service.
	"mkdir -p /etc/systemd/system/tunneldigger-broker@main.service.d":                                                 {"src/packaging/trial/rights", "hooks-old-rights.conf | sed"},
	"cp /usr/share/tunneldigger-broker/hooks-old-rights.conf /etc/systemd/system/tunneldigger-broker@main.service.d/": {"src/packaging/trial/rights", "hooks-old-rights.conf | sed"},
	"systemctl daemon-reload && systemctl restart tunneldigger-broker@main":                                           {"src/packaging/trial/rights", "try systemctl daemon-reload\ntry systemctl restart"},
	"ip netns": {"src/packaging/trial/rights", "ip netns add mesh-own"},

	"service tunneldigger-broker check":    {"src/packaging/init_test.go", `r.say("check"`},
	"service tunneldigger-broker reload":   {"src/packaging/init_test.go", `"reload"`},
	"ubus call tunneldigger-broker status": {"src/packaging/rpcd_test.go", "TestRPCDCall"},
	"ubus -v list tunneldigger-broker":     {"src/packaging/rpcd_test.go", "TestRPCDList"},
}

const (
	openwrt = "it takes OpenWrt, which is not here; what the package's scripts do is tried under busybox (init_test.go, upgrade_test.go)"
	editor  = "it opens an editor"
	manual  = "it shows a manual page, which TestManual holds to the program"
)

// notRun are the commands that no test runs, and why.
var notRun = map[string]string{
	"opkg print-architecture": openwrt,
	"apk --print-arch":        openwrt,
	"opkg update && opkg install ./tunneldigger-broker_*_mipsel_24kc.ipk":             openwrt,
	"opkg install ./luci-app-tunneldigger-broker_*_all.ipk":                           openwrt,
	"apk add --allow-untrusted ./luci-app-tunneldigger-broker_*_noarch.apk":           openwrt,
	"apk update && apk add --allow-untrusted ./tunneldigger-broker_*_mipsel_24kc.apk": openwrt,
	"vi /etc/config/tunneldigger-broker":                                              openwrt,
	"uci add firewall rule":                                                           openwrt,
	"uci set firewall.@rule[-1].name=tunneldigger":                                    openwrt,
	"uci set firewall.@rule[-1].src=wan":                                              openwrt,
	"uci set firewall.@rule[-1].proto=udp":                                            openwrt,
	"uci set firewall.@rule[-1].dest_port='123 8942'":                                 openwrt,
	"uci set firewall.@rule[-1].target=ACCEPT":                                        openwrt,
	"uci commit && service firewall reload":                                           openwrt,
	"service tunneldigger-broker restart && logread -e tunneldigger":                  openwrt,
	"logread -e tunneldigger":                                                         openwrt,
	"opkg remove tunneldigger-broker":                                                 openwrt,
	"opkg install tunneldigger-broker":                                                openwrt,
	"cp /etc/config/tunneldigger-broker /root/tunneldigger-broker.python":             openwrt,

	"dnf install ./tunneldigger-broker_*_x86_64.rpm": "it takes Fedora; the .rpm has the files and scripts of the .deb, which the trial installs",
	"man tunneldigger-broker":                        manual,
	"systemctl edit tunneldigger-web":                editor,
	"systemctl edit tunneldigger-web.socket":         editor,
	"systemctl edit tunneldigger-web-status@":        editor,
	"make bench-native":                              "its figures are for people, and want a quiet machine",
	"make bench":                                     "its figures are for people, and take a quarter of an hour",
}

// shown are the blocks that are no commands, by how they begin.
var shown = []string{
	"broker | info: tunnel up", "tunneldigger-broker serves", "tunneldigger-client keeps", "TUNNEL  UUID", "#!/bin/sh", "[broker]",
}

var (
	span   = regexp.MustCompile("`([^`]+)`")
	begins = regexp.MustCompile(`^(make|go|tunneldigger-broker|tunneldigger-client|systemctl|service|opkg|apk|apt|uci|ip|bridge|ss|ubus|dnf|install|cp|journalctl|logread|man|tshark|vi) [^ ]`)
	remark = regexp.MustCompile(`  +# .*$`)
)

// commandsOf lists the commands of a page: the lines of blocks, or those with a $ where there are any, and what stands in
// the text in code and begins with a program's name.
func commandsOf(text string) (found []string) {
	for i, part := range strings.Split(text, "```\n") {
		if i%2 == 0 {
			for _, m := range span.FindAllStringSubmatch(part, -1) {
				if line := strings.Join(strings.Fields(m[1]), " "); begins.MatchString(line) && !strings.Contains(line, "…") {
					found = append(found, line)
				}
			}
			continue
		}
		if strings.Contains("\n"+part, "\nconfig ") || slices.ContainsFunc(shown, func(s string) bool { return strings.HasPrefix(part, s) }) {
			continue
		}
		dollars := strings.Contains("\n"+part, "\n$ ")
		for _, line := range strings.Split(part, "\n") {
			command, is := strings.CutPrefix(line, "$ ")
			if command = strings.TrimSpace(remark.ReplaceAllString(command, "")); command != "" && is == dollars {
				found = append(found, command)
			}
		}
	}
	return found
}

// TestCommandsOfPages wants every command that operators read to be run somewhere: by the trial of the packages, which
// follows the pages word for word, or where the table says. A table without stale rows: what no page has is a fault, too.
func TestCommandsOfPages(t *testing.T) {
	texts := pages(t)
	followed := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^follow (\S+) "(.*)"$`).FindAllStringSubmatch(read(t, "src/packaging/trial/inside"), -1) {
		path := m[1]
		if path != "README.md" {
			path = "files/doc/" + path
		}
		_, rest, found := strings.Cut(texts[path], m[2])
		parts := strings.SplitN(rest, "```\n", 3)
		if !found || len(parts) != 3 {
			t.Errorf("the trial follows %s after %q, where no block is", m[1], m[2])
			continue
		}
		for _, command := range commandsOf("```\n" + parts[1] + "```\n") {
			followed[command] = true
		}
	}
	if len(followed) < 15 {
		t.Errorf("the trial follows only %v", followed)
	}
	seen := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(texts)) {
		for _, command := range commandsOf(texts[path]) {
			seen[command] = true
			if e, here := commands[command]; here {
				if !strings.Contains(read(t, e.file), e.text) {
					t.Errorf("%s: %s has no %q, which is to run %q", path, e.file, e.text, command)
				}
			} else if notRun[command] == "" && !followed[command] {
				t.Errorf("%s: nothing runs %q: have the trial follow it, or say in this test what does, or why nothing can", path, command)
			}
		}
	}
	for _, command := range slices.Concat(slices.Collect(maps.Keys(commands)), slices.Collect(maps.Keys(notRun))) {
		if !seen[command] || followed[command] {
			t.Errorf("%q is in the table, and no page has it, or the trial follows it", command)
		}
	}
}

// TestMessagesOfPages wants every message that troubleshooting.md explains to be one that the program has.
func TestMessagesOfPages(t *testing.T) {
	var source strings.Builder
	err := filepath.WalkDir("../../src", func(path string, entry os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			var text []byte
			text, err = os.ReadFile(path)
			source.Write(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(read(t, "files/doc/troubleshooting.md"), "| it says |")
	rows := 0
	for _, row := range strings.Split(table, "\n") {
		said, _, found := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
		if !found || !strings.HasPrefix(said, "`") {
			continue
		}
		rows++
		for _, m := range span.FindAllStringSubmatch(said, -1) {
			for _, part := range strings.Split(m[1], "…") {
				if part = strings.Trim(part, " :;"); part != "FILE:LINE" && part != syscall.ENOENT.Error() && !strings.Contains(source.String(), part) {
					t.Errorf("troubleshooting.md: no program says %q", part)
				}
			}
		}
	}
	if rows < 15 {
		t.Errorf("only %d messages found", rows)
	}
}

// TestMetricsOfPages wants every metric and label that the pages name to be one that the program has, and the table of
// tunnels that they show to have its columns.
func TestMetricsOfPages(t *testing.T) {
	has, labels := read(t, "src/status/testdata/metrics.txt"), read(t, "src/broker/report.go")
	metrics := 0
	for path, text := range pages(t) {
		for _, m := range regexp.MustCompile(`\b(tunneldigger_[a-z_]*[a-z])(?:\{([^}]*)\})?`).FindAllStringSubmatch(text, -1) {
			metrics++
			label, value, _ := strings.Cut(m[2], "=")
			if !regexp.MustCompile(`(?m)^`+m[1]+`[{ ]`).MatchString(has) || !strings.Contains(has, label) || !strings.Contains(labels, value) {
				t.Errorf("%s: no metric %s", path, m[0])
			}
		}
	}
	if metrics < 4 {
		t.Errorf("only %d metrics found", metrics)
	}
	table := read(t, "src/status/testdata/table.txt")
	_, page, _ := strings.Cut(read(t, "files/doc/operating.md"), "```\nTUNNEL")
	page, _, _ = strings.Cut("TUNNEL"+page, "```")
	words := regexp.MustCompile(`[0-9]+d?[0-9.,:-]*h?`)
	for i, line := range strings.Split(strings.TrimSpace(page), "\n") {
		if i == 0 {
			if header, _, _ := strings.Cut(table, "\n"); strings.Join(strings.Fields(line), " ") != strings.Join(strings.Fields(header), " ") {
				t.Errorf("operating.md has the columns %q, the program %q", line, header)
			}
			continue
		}
		first := strings.TrimSpace(words.ReplaceAllString(line, "#"))
		if first == "" || strings.HasPrefix(first, "#") { // a tunnel
			continue
		}
		first, _, _ = strings.Cut(first, "#")
		if !strings.Contains("\n"+strings.ReplaceAll(table, "\n  ", "\n"), "\n"+strings.TrimSpace(first)) {
			t.Errorf("operating.md shows a line that begins with %q; the program has none", first)
		}
	}
}

// TestHookOfPages runs the hook that hooks.md shows.
func TestHookOfPages(t *testing.T) {
	_, script, _ := strings.Cut(read(t, "files/doc/hooks.md"), "```\n#!/bin/sh\n")
	script, _, found := strings.Cut(script, "```")
	if !found {
		t.Fatal("hooks.md shows no hook")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "logger"), []byte("#!/bin/sh\necho \"$*\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for action, want := range map[string]string{"session.up": "-t mesh alice is up on l2tp100-100 with MTU 1446\n", "session.down": ""} {
		cmd := exec.Command("sh", "-c", script)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "ACTION="+action, "UUID=alice", "INTERFACE=l2tp100-100", "MTU=1446")
		if out, err := cmd.CombinedOutput(); string(out) != want {
			t.Errorf("%s: %q, %v; want %q", action, out, err, want)
		}
	}
}
