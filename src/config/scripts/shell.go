package scripts

import (
	"slices"
	"strconv"
	"strings"

	"tunneldigger/src/config"
)

// What stands in an expanded word for what only a running hook knows.
const (
	mtu     = "%m"   // the tunnel's MTU, as in a bridge section
	tunnel  = "\x01" // the tunnel's interface
	other   = "\x02" // an argument, or an MTU that the tunnel had
	unknown = "\x03" // what cannot be read from the text
)

const (
	maxDepth    = 8    // of functions and files within one another
	maxCommands = 4000 // of one hook
)

// machine goes through the commands of one hook.
type machine struct {
	event     config.Event
	read      func(path, from string) (string, error)
	found     *bridges
	left      *[]string
	known     bool // whether anything of it has to do with bridges
	lost      bool // whether anything is not carried over
	variables map[string]string
	functions map[string][]command
	depth     int
	commands  int
}

// arguments are those of the hook, $0 first.
func (m *machine) arguments() []string {
	if m.event == config.EventMTUChanged {
		return []string{other, other, other, tunnel, other, mtu, other}
	}
	return []string{other, other, other, tunnel, mtu, other, other, other, other, other}
}

func (m *machine) run(path, text string) {
	m.functions = map[string][]command{}
	m.variables = map[string]string{"INTERFACE": tunnel, "MTU": mtu}
	for _, name := range []string{"TUNNEL_ID", "SESSION_ID", "OLD_MTU", "ENDPOINT_IP", "ENDPOINT_PORT", "LOCAL_PORT", "UUID", "BROKER", "ACTION"} {
		m.variables[name] = other
	}
	m.all(m.define(split(path, text)), m.arguments())
}

// define takes functions out of commands.
func (m *machine) define(list []command) (rest []command) {
	name, depth := "", 0
	for _, c := range list {
		switch {
		case name != "":
			if c.words[0] == "}" {
				if depth--; depth == 0 {
					name = ""
					continue
				}
			}
			if c.words[0] == "{" {
				if depth++; depth == 1 {
					continue
				}
			}
			m.functions[name] = append(m.functions[name], c)
		case c.words[0] == "function" && len(c.words) == 2:
			name = strings.TrimSuffix(c.words[1], "()")
			m.functions[name] = nil
		case len(c.words) == 1 && strings.HasSuffix(c.words[0], "()"):
			name = strings.TrimSuffix(c.words[0], "()")
			m.functions[name] = nil
		default:
			rest = append(rest, c)
		}
	}
	return rest
}

func (m *machine) all(list []command, args []string) {
	if m.depth++; m.depth <= maxDepth {
		for _, c := range list {
			m.one(c, args)
		}
	}
	m.depth--
}

// keywords stand before a command.
var keywords = map[string]bool{"if": true, "then": true, "else": true, "elif": true, "while": true, "until": true, "do": true, "!": true, "{": true, "}": true,
	"fi": true, "done": true, "sudo": true, "exec": true, "command": true, "local": true, "export": true, "readonly": true, "declare": true}

// idle commands change nothing outside of the hook.
var idle = map[string]bool{"echo": true, "printf": true, "set": true, "true": true, "false": true, ":": true, "test": true, "[": true, "[[": true, "exit": true,
	"return": true, "logger": true, "shift": true, "sleep": true, "date": true, "cd": true, "grep": true, "modprobe": true, "unset": true, "umask": true}

func (m *machine) one(c command, args []string) {
	if m.commands++; m.commands > maxCommands {
		if m.commands == maxCommands+1 {
			m.leave(c, "too long, from here on "+unreadable)
		}
		return
	}
	words := c.words
	for len(words) > 0 && keywords[words[0]] {
		words = words[1:]
	}
	for len(words) > 0 {
		name, value, ok := strings.Cut(words[0], "=")
		if !ok || !isName(name) {
			break
		}
		m.variables[name] = strings.Join(m.expand(value, args), " ")
		words = words[1:]
	}
	var full []string
	for _, w := range words {
		full = append(full, m.expand(w, args)...)
	}
	switch {
	case len(full) == 0 || idle[full[0]] || len(full) == 1 && isName(full[0]) && m.variables[full[0]] != "":
	case full[0] == "." || full[0] == "source":
		m.source(c, full)
	case m.functions[full[0]] != nil:
		m.all(m.functions[full[0]], full)
	case !m.bridging(c, full):
		m.leave(c, "")
	}
}

func (m *machine) source(c command, words []string) {
	if len(words) < 2 || strings.ContainsAny(words[1], mtu[:1]+tunnel+other+unknown) {
		m.leave(c, unreadable)
		return
	}
	if m.depth >= maxDepth {
		return
	}
	text, err := m.read(words[1], c.path)
	if err != nil {
		m.leave(c, err.Error())
		return
	}
	m.all(m.define(split(words[1], text)), words[1:])
}

// leave says that something is not carried over, and why where that is not plain.
func (m *machine) leave(c command, why string) {
	line := c.String()
	if why != "" {
		line += ": " + printable(why)
	}
	if !slices.Contains(*m.left, line) {
		*m.left = append(*m.left, line)
	}
	m.lost = true
}

// String gives a command with its place.
func (c command) String() string {
	if c.line == 0 {
		return printable(c.path)
	}
	return printable(c.path + ":" + strconv.Itoa(c.line) + ": " + c.text)
}

func isName(s string) bool {
	odd := func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	return s != "" && (s[0] < '0' || s[0] > '9') && strings.IndexFunc(s, odd) < 0
}

// printable makes one line of a text for a comment.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
