package uci

import (
	"strings"

	"tunneldigger/src/config"
	"tunneldigger/src/phrase"
)

// command is one command of a UCI file: config, option or list. The words are
// without quotes.
type command struct {
	line    int
	keyword string
	name    string // the section's type, or the option's name
	arg     string // the section's name, or the value; "" where there is none
}

// scanner splits a text into commands by the rules of libuci's file.c. It
// differs in one thing: libuci forgets what follows "option a b;" on the same
// line; here it is the next command, as it is after "option a 'b';".
type scanner struct {
	text string
	pos  int
	line int
}

// maxCommands bounds what a file can cost: some of what is looked at, each section
// beside the others, takes quadratic time. A full configuration has a few dozen,
// and four for each client section; what is none has no more than maxFaults lines in the log.
const (
	maxCommands = 30000
	maxFaults   = 2000
)

// scan gives the commands of a text and its syntax faults. A config command
// that is wrong has an empty name, so that the options below it do not count
// as those of the section before it. A package line names the file, which the
// reader knows; it is checked and left out.
func scan(file, text string) (commands []command, faults config.Faults) {
	fault := func(line int, text string) {
		faults = append(faults, config.Fault{File: file, Line: line, Text: text})
	}
	if at := strings.IndexByte(text, 0); at >= 0 {
		fault(1+strings.Count(text[:at], "\n"), "this is not a text file: it has a NUL byte")
		return nil, faults
	}
	s := &scanner{text: text, line: 1}
	sections := 0
	for n := 1; s.toCommand(); n++ {
		if n > maxCommands {
			fault(s.line, phrase.Sprintf("want at most %d commands", maxCommands))
			break
		}
		if len(faults) == maxFaults {
			fault(s.line, "this is no UCI file, or too much is wrong in it")
			break
		}
		start, line := s.pos, s.line
		c, wrong := s.command()
		c.line = line
		if wrong != "" {
			fault(line, wrong)
			// A missing quote may have swallowed the rest of the file: go on
			// with the line after the one where the command began.
			s.pos, s.line = start, line
			s.toLineEnd()
			c.name = ""
		}
		switch {
		case c.keyword == "config":
			sections++
			commands = append(commands, c)
		case wrong != "" || c.keyword == "package":
		case sections == 0:
			fault(line, phrase.Sprintf("%s %s stands before the first section", c.keyword, config.Quote(c.name)))
		default:
			commands = append(commands, c)
		}
	}
	return commands, faults
}

// command reads one command and says what is wrong with it, or "".
func (s *scanner) command() (c command, wrong string) {
	start := s.pos
	for c := s.peek(); c != 0 && c != '\n' && !blank(c); c = s.peek() {
		s.next()
	}
	c.keyword = s.text[start:s.pos]
	for _, long := range []string{"package", "config", "option", "list"} {
		if c.keyword == long[:1] {
			c.keyword = long
		}
	}
	words, wrong := s.words()
	if wrong != "" {
		return c, wrong
	}
	most, last := 2, "the name of an option"
	switch c.keyword {
	case "package":
		most, last = 1, "the name of a package"
	case "config":
		last = "the type of a section"
	case "option", "list":
	default:
		return c, phrase.Sprintf("unknown keyword %s: want config, option or list", config.Quote(c.keyword))
	}
	if len(words) == 0 || words[0] == "" {
		return c, phrase.Sprintf("%s: want %s after it", c.keyword, last)
	}
	if len(words) > most {
		return c, phrase.Sprintf("%s %s: nothing may follow %s, there is %s: are quotes missing?",
			c.keyword, config.Quote(words[0]), config.Quote(words[most-1]), config.Quote(words[most]))
	}
	if !allowed(c.keyword, words[0]) {
		return c, phrase.Sprintf("%s %s: want letters, digits and '_' in %s", c.keyword, config.Quote(words[0]), last)
	}
	c.name = words[0]
	if len(words) == 2 {
		c.arg = words[1]
	}
	if c.keyword == "config" && c.arg != "" && !allowed("", c.arg) {
		return c, phrase.Sprintf("config %s %s: want letters, digits and '_' in the name of a section",
			config.Quote(c.name), config.Quote(c.arg))
	}
	return c, ""
}

// allowed reports whether libuci takes a word after this keyword: a package may
// have a hyphen in its name, a section's type any printable ASCII.
func allowed(keyword, word string) bool {
	return strings.IndexFunc(word, func(r rune) bool {
		switch {
		case 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_':
			return false
		case r == '-' && keyword == "package":
			return false
		}
		return keyword != "config" || r < '!' || r > '~'
	}) < 0
}

// words reads what follows a keyword, up to the end of the line or ';'.
func (s *scanner) words() (words []string, wrong string) {
	for {
		switch c := s.peek(); {
		case c == 0 || c == '\n':
			return words, ""
		case c == '#':
			s.toLineEnd()
		case c == ';':
			s.next()
			return words, ""
		case blank(c):
			s.next()
		default:
			word, wrong := s.word()
			if wrong != "" {
				return nil, wrong
			}
			words = append(words, word)
		}
	}
}

// word reads one word, which may be put together of quoted and unquoted
// pieces. A quoted piece may have line breaks.
func (s *scanner) word() (word string, wrong string) {
	var w []byte
	for {
		c := s.peek()
		if c == 0 || c == '\n' || c == '#' || c == ';' || blank(c) {
			return string(w), ""
		}
		s.next()
		switch c {
		case '\'', '"':
			for s.peek() != c {
				switch q := s.peek(); {
				case q == 0:
					return "", "a quote " + string(c) + " is opened here and never closed"
				case q == '\\' && c == '"':
					s.next()
					w = s.escaped(w)
				default:
					w = append(w, s.next())
				}
			}
			s.next()
		case '\\':
			w = s.escaped(w)
		default:
			w = append(w, c)
		}
	}
}

// escaped appends the byte after a backslash, whatever it is; a line break
// vanishes with the backslash.
func (s *scanner) escaped(w []byte) []byte {
	if strings.HasPrefix(s.text[s.pos:], "\r\n") {
		s.next()
	}
	if c := s.peek(); c == 0 {
		return w
	}
	if c := s.next(); c != '\n' {
		w = append(w, c)
	}
	return w
}

// peek gives the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

// next takes the next byte; there must be one.
func (s *scanner) next() byte {
	c := s.text[s.pos]
	s.pos++
	if c == '\n' {
		s.line++
	}
	return c
}

// toCommand skips blanks, empty lines and comments; false at the end.
func (s *scanner) toCommand() bool {
	for {
		switch c := s.peek(); {
		case c == 0:
			return false
		case c == '#':
			s.toLineEnd()
		case c == ';' || c == '\n' || blank(c):
			s.next()
		default:
			return true
		}
	}
}

func (s *scanner) toLineEnd() {
	for c := s.peek(); c != 0 && c != '\n'; c = s.peek() {
		s.next()
	}
}

// blank is what separates words; a carriage return is among it.
func blank(c byte) bool {
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'
}
