package uci

import (
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"

	uci "github.com/digineo/go-uci"
	"golang.org/x/sys/unix"

	"tunneldigger/src/config"
)

// source turns a text into what config.Build takes. An error is not the
// file's fault.
func source(file, text string) (config.Source, error) {
	commands, faults := scan(file, text)
	normal, sections, more := normalise(file, commands)
	src := config.Source{File: file, Faults: append(faults, more...)}
	tree, name, err := load(normal)
	if err != nil {
		return src, fmt.Errorf("reading the configuration %s: %w", file, err)
	}
	for i := range sections {
		for j := range sections[i].Options {
			o := &sections[i].Options[j]
			values, ok := tree.Get(name, key(i), o.Name)
			if !ok {
				return src, fmt.Errorf("reading the configuration %s: go-uci lost the section on line %d", file, sections[i].Line)
			}
			for _, spelled := range values {
				v, err := unspell(spelled, commands)
				if err != nil {
					return src, fmt.Errorf("reading the configuration %s: %w", file, err)
				}
				o.Values = append(o.Values, v)
			}
		}
	}
	src.Sections = sections
	return src, nil
}

// normalise writes commands as a text that go-uci understands, and lists the
// sections and the options in them, without values. go-uci's own interface has
// no such list.
func normalise(file string, commands []command) (text string, sections []config.Section, faults config.Faults) {
	var w strings.Builder
	named := map[string]int{}
	seen := map[string]bool{} // options, as "key.name"
	in := -1                  // index of the section; -1 in one that is left out
	for i, c := range commands {
		if c.keyword == "config" {
			var wrong string
			in, wrong = open(&sections, named, c)
			if wrong != "" {
				faults = append(faults, config.Fault{File: file, Line: c.line, Text: wrong})
			}
			if in >= 0 {
				// The type is ours to know: go-uci takes fewer than libuci.
				w.WriteString("config section '" + key(in) + "'\n")
			}
			continue
		}
		if in < 0 {
			continue
		}
		if id := key(in) + "." + c.name; !seen[id] {
			seen[id] = true
			sections[in].Options = append(sections[in].Options, config.Option{Name: c.name, Line: c.line})
		}
		// libuci takes no notice of an option with an empty value.
		if c.arg != "" || c.keyword == "list" {
			w.WriteString(c.keyword + " " + c.name + " '" + spell(i, c.arg) + "'\n")
		}
	}
	return w.String(), sections, faults
}

// open finds or makes the section for a config command and gives its index, -1
// where it is wrong.
func open(sections *[]config.Section, named map[string]int, c command) (in int, wrong string) {
	if c.name == "" {
		return -1, "" // said already
	}
	if in, again := named[c.arg]; again {
		if s := (*sections)[in]; s.Type != c.name {
			return -1, fmt.Sprintf("%s %s: this name belongs to the %s section on line %d",
				c.name, config.Quote(c.arg), s.Type, s.Line)
		}
		return in, ""
	}
	in = len(*sections)
	*sections = append(*sections, config.Section{Type: c.name, Name: c.arg, Line: c.line})
	if c.arg != "" {
		named[c.arg] = in
	}
	return in, ""
}

// key is the name of a section in the normalised text. All have one: go-uci
// takes cubic time where named and anonymous sections mix.
func key(section int) string { return strconv.Itoa(section) }

// spell writes the value of a command so that go-uci carries it whatever is in
// it and keeps it apart from an equal one.
func spell(command int, value string) string {
	return strconv.Itoa(command) + "-" + hex.EncodeToString([]byte(value))
}

// unspell undoes spell.
func unspell(s string, commands []command) (config.Value, error) {
	number, digits, _ := strings.Cut(s, "-")
	n, err := strconv.Atoi(number)
	text, err2 := hex.DecodeString(digits)
	if err != nil || err2 != nil || n < 0 || n >= len(commands) {
		return config.Value{}, fmt.Errorf("go-uci changed a value to %q", s)
	}
	return config.Value{Line: commands[n].line, Text: string(text)}, nil
}

// load lets go-uci read a text. It reads files only, so the text goes into one
// that is in memory.
func load(text string) (tree uci.Tree, name string, err error) {
	fd, err := unix.MemfdCreate("tunneldigger-broker", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, "", fmt.Errorf("making a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "")
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		return nil, "", fmt.Errorf("writing a file in memory: %w", err)
	}
	tree, name = uci.NewTree("/proc/self/fd"), strconv.Itoa(fd)
	return tree, name, tree.LoadConfig(name, false)
}
