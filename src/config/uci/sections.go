package uci

import (
	"tunneldigger/src/config"
	"tunneldigger/src/phrase"
)

// source turns a text into what config.Build takes.
func source(file, text string) config.Source {
	commands, faults := scan(file, text)
	s := sections{named: map[string]int{}, options: map[place]int{}, in: -1}
	for _, c := range commands {
		if c.keyword != "config" {
			s.option(c)
		} else if wrong := s.open(c); wrong != "" {
			faults = append(faults, config.Fault{File: file, Line: c.line, Text: wrong})
		}
	}
	return config.Source{File: file, Sections: s.list, Faults: faults}
}

// sections are what the commands so far make.
type sections struct {
	list    []config.Section
	named   map[string]int // index of the section of a name
	options map[place]int  // index of an option in its section
	in      int            // the section that options belong to; -1: one that is left out
}

// place is an option of a section.
type place struct {
	section int
	name    string
}

// open finds or makes the section of a config command, and says what is wrong with it, or "".
func (s *sections) open(c command) (wrong string) {
	s.in = -1
	if c.name == "" {
		return "" // said already
	}
	if in, again := s.named[c.arg]; again {
		if was := s.list[in]; was.Type != c.name {
			return phrase.Sprintf("%s %s: this name belongs to the %s section on line %d", c.name, config.Quote(c.arg), was.Type, was.Line)
		}
		s.in = in
		return ""
	}
	s.in = len(s.list)
	s.list = append(s.list, config.Section{Type: c.name, Name: c.arg, Line: c.line})
	if c.arg != "" {
		s.named[c.arg] = s.in
	}
	return ""
}

// option takes an option or list command in: the one replaces what was there, the other adds to it.
func (s *sections) option(c command) {
	if s.in < 0 {
		return
	}
	section, at := &s.list[s.in], place{s.in, c.name}
	i, again := s.options[at]
	if !again {
		i = len(section.Options)
		s.options[at] = i
		section.Options = append(section.Options, config.Option{Name: c.name, Line: c.line})
	}
	o := &section.Options[i]
	switch value := (config.Value{Line: c.line, Text: c.arg}); {
	case c.keyword == "list":
		o.Values = append(o.Values, value)
	case c.arg != "": // libuci takes no notice of an option with an empty value
		o.Values = []config.Value{value}
	}
}
