package packaging

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const metrics = "# HELP tunneldigger_tunnels Tunnels that stand.\n# TYPE tunneldigger_tunnels gauge\ntunneldigger_tunnels{broker=\"wan\"} 3\n"

// luaExporter is what a collector finds in prometheus-node-exporter-lua: before June 2025 a global output, which ends each text with a line
// break; since then a global out, a buffered file, and no output. print_metric and metric are made of these.
const luaExporter = `
	local open = io.popen
	io.popen = function(command) return open((command:gsub("^/usr/bin/tunneldigger%-broker ", os.getenv("PROGRAM") .. " "))) end
	if os.getenv("EXPORTER") == "old" then
		function output(text) print(text) end
		function print_metric(name, value) output(name .. " " .. value) end
	else
		out = io.stdout
		out:setvbuf("full")
		function print_metric(name, value) out:write(name, " ", value, "\n") end
	end
	local good, fault = pcall(dofile("../../files/metrics/tunneldigger.lua").scrape)
	if not good then io.stderr:write(fault .. "\n") end
	print_metric("node_scrape_collector_success", good and 1 or 0)
	if out then out:flush() end`

// TestLuaCollector runs the collector in both exporters, with a program in the place of the broker's.
func TestLuaCollector(t *testing.T) {
	for _, test := range []struct{ program, out, fault string }{
		{"cat <<'END'\n" + metrics + "END\n", metrics + "node_scrape_collector_success 1\n", ""},
		{"echo 'no broker answers there' >&2; exit 1\n", "node_scrape_collector_success 0\n", "the Tunneldigger broker does not run\n\n"},
	} {
		program := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"+test.program), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, exporter := range []string{"old", "new"} {
			cmd := exec.Command("lua5.1", "-e", luaExporter)
			var out, errs strings.Builder
			cmd.Env = append(os.Environ(), "PROGRAM="+program, "EXPORTER="+exporter)
			cmd.Stdout, cmd.Stderr = &out, &errs
			if err := cmd.Run(); err != nil || out.String() != test.out || errs.String() != test.fault {
				t.Errorf("%s exporter, %q: %v, %q, %q", exporter, test.program, err, &out, &errs)
			}
		}
	}
}

// TestTextfileCollector carries out the command of the example unit.
func TestTextfileCollector(t *testing.T) {
	unit := strings.ReplaceAll(read(t, "files/metrics/tunneldigger-broker-metrics.service"), "\\\n", "")
	_, command, _ := strings.Cut(unit, "ExecStart=/bin/sh -c '")
	command, _, _ = strings.Cut(command, "'\n")
	bin, dir := t.TempDir(), t.TempDir()
	run := func(program string) ([]string, error) {
		if err := os.WriteFile(filepath.Join(bin, "tunneldigger-broker"), []byte("#!/bin/sh\n"+program), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("busybox", "ash", "-c", command)
		cmd.Env = append(os.Environ(), "DIRECTORY="+dir, "PATH="+bin+":"+os.Getenv("PATH"))
		err := cmd.Run()
		left, _ := filepath.Glob(dir + "/*")
		hidden, _ := filepath.Glob(dir + "/.*")
		return append(left, hidden...), err
	}
	files, err := run("[ \"$*\" = 'status --prometheus' ] && cat <<'END'\n" + metrics + "END\n")
	if text, _ := os.ReadFile(dir + "/tunneldigger.prom"); err != nil || len(files) != 1 || string(text) != metrics {
		t.Errorf("%v, files %q: %q", err, files, text)
	}
	// What no broker says any more is not left there to be believed.
	if files, err = run("exit 1\n"); err == nil || len(files) != 0 {
		t.Errorf("%v, files %q when no broker runs", err, files)
	}
}

// TestUcodeCollector holds the metrics of the collector to those that the program prints, in word and kind, and
// what it reads to the schema of the status. There is no ucode here to run it.
func TestUcodeCollector(t *testing.T) {
	collector, program, schema := read(t, "files/metrics/tunneldigger.uc"), read(t, "src/status/metrics.go"), read(t, "src/status/testdata/status.schema.json")
	metrics := regexp.MustCompile(`\b(gauge|counter)\("tunneldigger_([a-z_]+)", ("[^"]+")\)`).FindAllStringSubmatch(collector, -1)
	// The one histogram has no kind of its own there.
	if all := regexp.MustCompile(`\("tunneldigger_`).FindAllString(collector, -1); len(metrics) < 15 || len(metrics) != len(all) {
		t.Errorf("%d metrics found, of %d", len(metrics), len(all))
	}
	for _, m := range metrics {
		if family := fmt.Sprintf("{%q, %s, %s,", m[2], m[1], m[3]); !strings.Contains(program, family) {
			t.Errorf("src/status/metrics.go has no %s", family)
		}
	}
	for _, family := range regexp.MustCompile(`(?m)^\t\{"([a-z_]+)", (?:gauge|counter|histogram), `).FindAllStringSubmatch(program, -1) {
		if !strings.Contains(collector, `"tunneldigger_`+family[1]+`"`) {
			t.Errorf("the collector has no %s", family[1])
		}
	}
	fields := regexp.MustCompile(`\b(?:status|status\.hooks|broker|broker\.setup|part)\.([a-z_]+)\b`).FindAllStringSubmatch(collector, -1)
	for _, field := range fields {
		if !strings.Contains(schema, fmt.Sprintf("%q:", field[1])) {
			t.Errorf("the schema has no %s", field[1])
		}
	}
}
