package config

import "strings"

// Change is one difference between two configurations.
type Change struct {
	Section string // as messages call it: broker 'wan', hooks
	Option  string // "": the whole section is new or gone
	// Old and New are the values as FormatUCI has them, several behind one
	// another; "" stands for the default or none.
	Old, New string
	Gone     bool // of a whole section
}

// String gives the change as a line for people.
func (c Change) String() string {
	value := func(s string) string {
		if s == "" {
			return "unset"
		}
		return s
	}
	switch {
	case c.Option != "":
		return c.Section + ": " + c.Option + " " + value(c.Old) + " → " + value(c.New)
	case c.Gone:
		return c.Section + ": removed"
	}
	return c.Section + ": new"
}

// Differences compares two configurations: sections by name, in the order of the
// new one, those that are gone last. It goes by what FormatUCI writes, so that no
// option can be forgotten here.
func Differences(old, new *Config) []Change {
	var all []Change
	was, is := outline(old), outline(new)
	for _, s := range is {
		before := was.find(s.label)
		if before == nil {
			all = append(all, Change{Section: s.label})
			continue
		}
		for _, o := range s.options {
			if value := before.value(o.name); value != o.value {
				all = append(all, Change{Section: s.label, Option: o.name, Old: value, New: o.value})
			}
		}
		for _, o := range before.options {
			if s.value(o.name) == "" {
				all = append(all, Change{Section: s.label, Option: o.name, Old: o.value})
			}
		}
	}
	for _, s := range was {
		if is.find(s.label) == nil {
			all = append(all, Change{Section: s.label, Gone: true})
		}
	}
	return all
}

type outlines []outlined

type outlined struct {
	label   string
	options []outlinedOption
}

type outlinedOption struct{ name, value string }

// outline takes the text of a configuration apart again.
func outline(c *Config) outlines {
	var all outlines
	for _, line := range strings.Split(FormatUCI(c), "\n") {
		words := strings.SplitN(strings.TrimSpace(line), " ", 3)
		switch {
		case words[0] == "config":
			all = append(all, outlined{label: strings.Join(words[1:], " ")})
		case len(words) == 3:
			s := &all[len(all)-1]
			if n := len(s.options); n > 0 && s.options[n-1].name == words[1] {
				s.options[n-1].value += " " + words[2]
				continue
			}
			value := words[2]
			if name, without := strings.CutPrefix(value, "'"+NoDevice); without && words[1] == "interface" {
				value = "'" + name + " (which has no device now)"
			}
			s.options = append(s.options, outlinedOption{words[1], value})
		}
	}
	return all
}

func (all outlines) find(label string) *outlined {
	for i := range all {
		if all[i].label == label {
			return &all[i]
		}
	}
	return nil
}

func (s *outlined) value(name string) string {
	for i := range s.options {
		if s.options[i].name == name {
			return s.options[i].value
		}
	}
	return ""
}
