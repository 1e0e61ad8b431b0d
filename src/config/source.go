package config

import (
	"slices"
	"strings"

	"tunneldigger/src/phrase"
)

// Source is one file as a reader gives it to [Build].
type Source struct {
	// File is the name that messages carry.
	File string
	// Classic marks the INI file of the reference broker: the hooks have
	// dotted names and some defaults differ.
	Classic bool
	// Folder is the absolute path of the folder that the file is in, "" where that
	// is not known. Hooks' relative paths in a classic file begin there.
	Folder string
	// Sections in file order. In UCI a name stands for one section only.
	Sections []Section
	// Faults that the reader found itself.
	Faults Faults
}

// Section is one section of a file.
type Section struct {
	Type string
	Name string // "" where it has none
	Line int
	// Options in file order, each name at most once.
	Options []Option
}

// Option is an option of a section.
type Option struct {
	Name string
	Line int // where it is named first
	// Values in file order. None, or only empty ones, means that the option
	// keeps its default, as in UCI.
	Values []Value
	// Variable marks what is there for others to refer to: it is no fault where
	// nothing has such an option.
	Variable bool
}

// Value is one value of an option, as it stands in the file without quotes.
type Value struct {
	Line int
	Text string
}

// Fault is one thing that is wrong in a file.
type Fault struct {
	File string
	Line int // from 1; 0 where it is of no line
	Text string
	// Start is what a start does all the same: "takes 1280", "leaves the section
	// out". "" where there is nothing safe that it could do: then nothing starts.
	Start string
}

// Error gives "file:line: text", on one line.
func (f Fault) Error() string {
	if f.Line == 0 {
		return f.File + ": " + f.Text
	}
	return phrase.Sprintf("%s:%d: %s", f.File, f.Line, f.Text)
}

// Report gives what Error gives and, in brackets, what a start makes of it.
func (f Fault) Report() string {
	if f.Start == "" {
		return f.Error()
	}
	return f.Error() + " (a start " + f.Start + ")"
}

// Faults is everything that is wrong in a file, in file order. Whoever reads a
// configuration decides by it: check and convert name all of them; a start goes on
// unless one of them stops it; a reload wants none that is not in force already,
// see [Faults.Beyond].
type Faults []Fault

// Error gives one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Stop reports whether one of the faults stops a start.
func (f Faults) Stop() bool {
	return slices.ContainsFunc(f, func(f Fault) bool { return f.Start == "" })
}

// Beyond gives the faults that are not among the known ones, wherever in the file
// those were.
func (f Faults) Beyond(known Faults) Faults {
	var beyond Faults
	for _, fault := range f {
		if !slices.ContainsFunc(known, func(k Fault) bool { return k.Start == fault.Start && k.anywhere() == fault.anywhere() }) {
			beyond = append(beyond, fault)
		}
	}
	return beyond
}

// anywhere is the text without the numbers of lines that it names.
func (f Fault) anywhere() string {
	const sign = " on line "
	parts := strings.Split(f.Text, sign)
	for i := 1; i < len(parts); i++ {
		parts[i] = strings.TrimLeft(parts[i], "0123456789")
	}
	return strings.Join(parts, sign)
}

func (f Faults) sort() {
	for i := range f { // nearly in order as they come
		for j := i; j > 0 && f[j].Line < f[j-1].Line; j-- {
			f[j], f[j-1] = f[j-1], f[j]
		}
	}
}
