package architecture

import (
	"fmt"
	"slices"
	"strings"
)

const (
	module   = "tunneldigger/"
	maxLines = 300
)

// pure packages take their clock, randomness, input and output from their caller.
var pure = []string{"wire", "cookie", "tlv", "admission", "pmtu", "broker", "config", "config/scripts", "command", "client", "test/simulate", "status", "offload", "live", "phrase"}

// may tells which packages of the tree a package may import: one direction, from cmd down to the pure ones.
var may = map[string][]string{
	// The pure ones. Every package may import phrase.
	"phrase":        {},
	"wire":          {},
	"cookie":        {},
	"tlv":           {},
	"admission":     {"wire", "config"},
	"pmtu":          {"wire", "tlv"},
	"config":        {"wire"},
	"broker":        {"wire", "cookie", "admission", "pmtu", "config", "tlv"},
	"client":        {"wire", "pmtu"},
	"status":        {"broker"},
	"offload":       {},
	"live":          {},
	"test/simulate": {"wire", "cookie", "admission", "pmtu", "config", "broker", "client"},

	// The adapters, each to one part of the system.
	"nl":       {},
	"l2tp":     {"nl", "files"},
	"link":     {"nl"},
	"rttables": {"files"},
	"shaper":   {"nl"},
	"sock":     {"sockaddr"},
	"occupant": {"files"},
	"files":    {},
	"poll":     {"clock"},
	"watch":    {"files"},
	"hook":     {"clock", "logline", "tlv", "files", "privilege"},
	"survive":  {"clock", "files", "tlv", "logline", "notify", "poll"},
	"gate":     {"admission", "broker", "config", "files", "hook", "logline", "watch"},
	"tap":      {"privilege"},
	"bridges":  {"broker", "config", "datapath", "rttables"},
	"listen":   {"config", "files", "occupant", "sock", "status"},
	"journal":  {"broker", "config", "listen", "datapath", "datapath/kernel", "logline", "survive"},
	"forward":  {"offload", "poll", "sockaddr"},

	// What carries frames.
	"datapath":          {"wire", "nl", "link", "shaper", "sock", "rttables"},
	"datapath/kernel":   {"datapath", "l2tp", "link", "shaper", "privilege"},
	"datapath/user":     {"datapath", "forward", "tap"},
	"datapath/carriers": {"config", "datapath", "datapath/kernel", "datapath/user", "listen", "poll", "privilege", "sock"},

	// What serves many.
	"sockaddr":  {},
	"logline":   {},
	"privilege": {},
	"resources": {"files"},
	"clock":     {},
	"notify":    {"clock"},
	"control":   {},
	"resolve":   {"files", "sock", "poll"},

	// What puts them together.
	"config/uci":              {"config"},
	"config/classic":          {"config"},
	"config/scripts":          {"config"},
	"config/file":             {"config", "config/uci", "config/classic", "files"},
	"probe":                   {"wire", "sock", "poll", "resolve"},
	"successor":               {"broker", "config", "cookie", "datapath/carriers", "hook", "listen", "logline", "survive", "tlv"},
	"hook/events":             {"broker", "config", "gate", "hook", "logline", "resources"},
	"tunnels":                 {"bridges", "broker", "config", "datapath", "link", "poll", "sock", "survive", "wire"},
	"command":                 {"broker"},
	"survey":                  {"broker", "config", "datapath", "datapath/carriers", "forward", "hook/events", "journal", "link", "listen", "resources", "status", "tunnels"},
	"reload":                  {"bridges", "config", "listen", "successor"},
	"daemon":                  {"bridges", "reload", "listen", "datapath/carriers", "successor", "tunnels", "clock", "command", "survey", "wire", "cookie", "config", "broker", "control", "gate", "status", "datapath", "sock", "occupant", "poll", "hook", "hook/events", "survive", "logline", "notify", "datapath/user", "forward", "journal", "link", "privilege", "resources"},
	"agent":                   {"clock", "wire", "client", "datapath", "datapath/kernel", "link", "sock", "poll", "hook", "logline", "resolve", "forward", "tap"},
	"web":                     {"control"},
	"cmd/tunneldigger-web":    {"control", "web"},
	"cmd/tunneldigger-broker": {"admission", "bridges", "datapath/carriers", "listen", "config", "config/uci", "config/file", "config/scripts", "files", "hook", "journal", "logline", "probe", "control", "live", "resolve", "gate", "survive", "successor", "daemon"},
	"cmd/tunneldigger-client": {"client", "files", "logline", "agent"},

	// For tests only.
	"test/loopback": {},
	"test/nltest":   {},
	"datapath/fake": {"nl", "l2tp", "link"},
	"architecture":  {},
	"test/bench":    {},
	"packaging":     {},
	"test/swarm":    {"wire", "client", "sock", "poll", "clock"},
	"wire/vectors":  {"wire", "client", "cookie", "config", "broker"},
	"test/e2e":      {"wire", "client", "test/swarm"},
}

// heavy packages cost more flash than they are worth; what never gets to a router may have them. encoding/hex has fmt print its errors.
var heavy = []string{"net", "net/http", "encoding/json", "regexp", "text/template", "html/template", "log/slog", "fmt", "reflect", "encoding/hex", "os/exec", "bufio"}

// routerless reports whether a package never gets to a router.
func routerless(name string) bool {
	return strings.HasPrefix(name, "test/") || slices.Contains([]string{"web", "cmd/tunneldigger-web", "wire/vectors", "datapath/fake",
		"packaging", "architecture"}, name)
}

// forbidden reports whether a pure package may not import the package of that path.
func forbidden(path string) bool {
	below := func(root string) bool { return path == root || strings.HasPrefix(path, root+"/") }
	return below("os") || below("net") && path != "net/netip" || below("syscall") || below("golang.org/x/sys") || path == "crypto/rand"
}

// Functions that a pure package does not call, those that are for cmd alone, and those that cost as much as a heavy package, for which there are
// src/files and a channel of one's own: with them, and with a time.Time in a struct, the linker keeps the calendar and its time zones.
var (
	costly = map[string][]string{"time": {"After", "NewTimer", "NewTicker", "Tick"}, "os": {"ReadFile", "Stat", "Lstat", "ReadDir", "StartProcess"}, "io": {"ReadAll"}}

	clock = map[string][]string{"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}}
	exit  = map[string][]string{"os": {"Exit"}, "log": {"Fatal", "Fatalf", "Fatalln"}}
)

// faults lists what breaks a rule, sorted.
func (t tree) faults() []string {
	var found []string
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }

	for name, p := range t.packages {
		allowed, placed := may[name]
		if !placed {
			add("src/%s: has no place yet: give it one in src/architecture", name)
			continue
		}
		if p.Doc == "" {
			add("src/%s: has no package comment", name)
		}
		for _, path := range p.Imports {
			if slices.Contains(pure, name) && forbidden(path) {
				add("src/%s: is pure and imports %s", name, path)
			}
			if slices.Contains(heavy, path) && !routerless(name) {
				add("src/%s: imports %s, which is too large for a router's flash", name, path)
			}
			if inner, found := strings.CutPrefix(path, module+"src/"); found && inner != "phrase" && !slices.Contains(allowed, inner) {
				add("src/%s: may not import src/%s", name, inner)
			}
		}
	}
	for _, f := range t.files {
		if f.err != nil {
			add("%v", f.err)
			continue
		}
		if slices.Contains(pure, f.pkg) {
			for _, u := range f.uses(clock) {
				add("%s:%d: a pure package uses %s", f.path, u.line, u.name)
			}
			for _, line := range f.goroutines() {
				add("%s:%d: a pure package starts a goroutine", f.path, line)
			}
		}
		if !strings.HasPrefix(f.pkg, "cmd/") {
			for _, u := range f.uses(exit) {
				add("%s:%d: only src/cmd may use %s", f.path, u.line, u.name)
			}
		}
		if !routerless(f.pkg) && !f.servers {
			for _, u := range f.uses(costly) {
				add("%s:%d: %s costs more of a router's flash than it is worth", f.path, u.line, u.name)
			}
			for _, line := range f.moments() {
				add("%s:%d: a time.Time in a struct costs a router 50 kB of flash: want the time since boot, of src/clock", f.path, line)
			}
		}
		if f.lines > maxLines && !slices.Contains(t.long, f.path) {
			add("%s: %d lines are more than %d: split it, or give the reason in src/README.md", f.path, f.lines, maxLines)
		}
	}
	for _, path := range t.long {
		if !slices.ContainsFunc(t.files, func(f file) bool { return f.path == path && f.lines > maxLines }) {
			add("src/README.md: %s has a reason to be long and is not", path)
		}
	}
	slices.Sort(found)
	return found
}
