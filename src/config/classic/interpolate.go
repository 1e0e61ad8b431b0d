package classic

import (
	"slices"
	"strings"

	"tunneldigger/src/config"
)

// defaults is the section whose options all others have, too.
const defaults = "DEFAULT"

// complete gives the sections as the reference broker sees them: with the options
// of [DEFAULT] that they do not have themselves, and without references to others.
func (s *scanner) complete() []config.Section {
	var common []config.Option
	var sections []config.Section
	for _, section := range s.src.Sections {
		if section.Type == defaults {
			common = section.Options
		} else {
			sections = append(sections, section)
		}
	}
	for i := range sections {
		options := slices.Clone(sections[i].Options)
		for _, o := range common {
			if find(options, o.Name) == nil {
				o.Variable = true
				options = append(options, o)
			}
		}
		sections[i].Options = s.interpolate(options)
	}
	return sections
}

func find(options []config.Option, name string) *config.Option {
	for i := range options {
		if options[i].Name == name {
			return &options[i]
		}
	}
	return nil
}

// interpolate puts values in the place of references. A value whose references lead
// nowhere stays as it is.
func (s *scanner) interpolate(options []config.Option) []config.Option {
	whole := slices.Clone(options)
	for i := range whole {
		o := &whole[i]
		o.Values = nil
		for _, v := range options[i].Values {
			in := interpolation{options: options, used: whole}
			text, wrong := in.text(v.Text, 0)
			if wrong != "" {
				text = v.Text
				if !options[i].Variable {
					s.line = v.Line
					s.bear("takes it as it stands", "%s: %s: %s", o.Name, config.Quote(v.Text), wrong)
				}
			}
			for _, line := range strings.Split(text, "\n") {
				if line = strings.TrimSpace(line); line != "" {
					o.Values = append(o.Values, config.Value{Line: v.Line, Text: line})
				}
			}
		}
	}
	return whole
}

const (
	// maxDepth is how often a reference may lead to another one, as in Python.
	maxDepth = 10
	// A few references that double each other make a terabyte.
	maxReferences = 200
	maxText       = 1 << 16
)

// interpolation is one value on its way.
type interpolation struct {
	options    []config.Option // that may be referred to
	used       []config.Option // where those are marked that are
	references int
}

// text follows the references in a text as Python's BasicInterpolation does, and
// says what is wrong with one.
func (in *interpolation) text(text string, depth int) (whole, wrong string) {
	var w strings.Builder
	for {
		before, rest, found := strings.Cut(text, "%")
		w.WriteString(before)
		if !found {
			return w.String(), ""
		}
		if strings.HasPrefix(rest, "%") {
			w.WriteByte('%')
			text = rest[1:]
			continue
		}
		end := strings.Index(rest, ")")
		if end < 2 || rest[0] != '(' || !strings.HasPrefix(rest[end:], ")s") {
			return "", "want %(name)s for the value of another option, and %% for a percent sign"
		}
		value, wrong := in.value(config.Lower(rest[1:end]), depth)
		if wrong != "" {
			return "", wrong
		}
		if w.WriteString(value); w.Len() > maxText {
			return "", "its references make too long a value"
		}
		text = rest[end+2:]
	}
}

// value gives that of an option which is referred to.
func (in *interpolation) value(name string, depth int) (whole, wrong string) {
	o := find(in.options, name)
	if o == nil {
		return "", "there is no option " + config.Quote(name) + " in this section or in [" + defaults + "]"
	}
	if in.references++; depth >= maxDepth || in.references > maxReferences {
		return "", "its references lead to too many others"
	}
	find(in.used, name).Variable = true
	lines := make([]string, len(o.Values))
	for i, v := range o.Values {
		lines[i] = v.Text
	}
	return in.text(strings.Join(lines, "\n"), depth+1)
}
