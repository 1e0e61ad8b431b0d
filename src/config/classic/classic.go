// Package classic understands the INI file of the reference broker, l2tp_broker.cfg.
//
// The dialect is that of Python 3's configparser as the reference broker uses
// it: "name = value" or "name: value", names in any case, lines that are
// indented deeper than their option continue it, comments with '#' or ';' on
// lines of their own, a section [DEFAULT] for all others, and "%(name)s" for the
// value of another option. What only Python 2's, which the reference broker had up
// to 0.3, took is a fault that a start bears: a comment behind a value, a section
// or an option that comes again. So is text behind a section's ']', which both
// overlook.
//
// The scanner is our own. gopkg.in/ini.v1 reads another dialect (other rules
// for continued lines, for comments and for quotes), has no line numbers, which
// every message needs, and is larger than all of this.
package classic

import (
	"strings"

	"tunneldigger/src/config"
	"tunneldigger/src/phrase"
)

// Parse reads a text, see [config.Build] for what it returns; name stands for the
// file in messages, folder is the absolute path of the one that it is in.
func Parse(name, folder string, text string) (*config.Config, error) {
	s := &scanner{src: config.Source{File: name, Classic: true, Folder: folder}}
	s.scan(text)
	s.src.Sections = s.complete()
	return config.Build(s.src)
}

// maxLines bounds how many faults a file that is none of ours can have.
const maxLines = 2000

// scanner collects the sections of a text.
type scanner struct {
	src     config.Source
	line    int
	section *config.Section // nil: none yet, or one that is left out
	any     bool            // there was a section
	option  *config.Option  // that deeper lines continue; nil right after a header
	indent  int             // of the option's line
}

func (s *scanner) fault(format string, args ...any) {
	s.bear("", format, args...)
}

// bear is fault where a start goes on, and says how.
func (s *scanner) bear(start, format string, args ...any) {
	s.src.Faults = append(s.src.Faults, config.Fault{File: s.src.File, Line: s.line, Text: phrase.Sprintf(format, args...), Start: start})
}

func (s *scanner) scan(text string) {
	// Python ends a line at any of these.
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	used := 0
	for _, line := range strings.Split(text, "\n") {
		s.line++
		content := strings.TrimSpace(line)
		if content == "" || comment(content) {
			continue
		}
		if used++; used > maxLines {
			s.fault("want at most %d lines that are not empty", maxLines)
			return
		}
		s.read(content, len(line)-len(strings.TrimLeft(line, " \t\v\f")))
	}
}

func comment(s string) bool { return s[0] == '#' || s[0] == ';' }

// read takes one line without the blanks around it.
func (s *scanner) read(content string, indent int) {
	if s.option != nil && indent > s.indent {
		s.value(content)
		return
	}
	s.indent = indent
	if content[0] == '[' {
		s.header(content)
		return
	}
	at := strings.IndexAny(content, "=:")
	name := ""
	if at > 0 {
		name = config.Lower(strings.TrimSpace(content[:at]))
	}
	// A line that is wrong has an option too, so that deeper lines are not
	// taken for options; it belongs to no section.
	s.option = &config.Option{Name: name, Line: s.line}
	switch {
	case name == "":
		s.fault("%s: want a line of the form name = value", config.Quote(content))
	case !s.any:
		s.fault("option %s stands before the first section", config.Quote(name))
	case s.section != nil:
		s.name(name)
		if text := strings.TrimSpace(content[at+1:]); text != "" {
			s.value(text)
		}
	}
}

// name begins an option of the section.
func (s *scanner) name(name string) {
	for i := range s.section.Options {
		if o := &s.section.Options[i]; o.Name == name {
			s.bear("takes this one", "%s: %s is there already, on line %d", s.section.Type, name, o.Line)
			o.Line, o.Values = s.line, nil
			s.option = o
			return
		}
	}
	s.section.Options = append(s.section.Options, *s.option)
	s.option = &s.section.Options[len(s.section.Options)-1]
}

// header opens a section.
func (s *scanner) header(content string) {
	s.section, s.option, s.any = nil, nil, true
	end := strings.IndexByte(content, ']')
	if end < 2 {
		s.fault("%s: want [name] to begin a section", config.Quote(content))
		return
	}
	name := content[1:end]
	if rest := strings.TrimSpace(content[end+1:]); rest != "" && !comment(rest) {
		s.bear("ignores it", "[%s]: %s stands behind it: want it on a line of its own", name, config.Quote(rest))
	}
	for i := range s.src.Sections {
		if t := &s.src.Sections[i]; t.Type == name {
			s.bear("reads both", "[%s] is there already, on line %d", name, t.Line)
			s.section = t
			return
		}
	}
	s.src.Sections = append(s.src.Sections, config.Section{Type: name, Line: s.line})
	s.section = &s.src.Sections[len(s.src.Sections)-1]
}

// value adds a line to the value of the option.
func (s *scanner) value(text string) {
	for i, c := range text {
		if (c == ';' || c == '#') && (i == 0 || text[i-1] == ' ' || text[i-1] == '\t') {
			s.bear("takes what stands before it", "%s: %s: want a comment on a line of its own", s.option.Name, config.Quote(text))
			if text = strings.TrimSpace(text[:i]); text == "" {
				return
			}
			break
		}
	}
	s.option.Values = append(s.option.Values, config.Value{Line: s.line, Text: text})
}
