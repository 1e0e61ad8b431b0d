package config

import (
	"fmt"
	"io"
	"strings"
)

// MaxSize is the largest file that a reader takes, in bytes. A full
// configuration has a few thousand.
const MaxSize = 1 << 20

// ReadAll reads a whole configuration file and refuses one over [MaxSize].
func ReadAll(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err == nil && len(text) > MaxSize {
		err = fmt.Errorf("larger than %d bytes", MaxSize)
	}
	return text, err
}

// Source is one file as a reader gives it to [Build].
type Source struct {
	// File is the name that messages carry.
	File string
	// Classic marks the INI file of the reference broker: the hooks have
	// dotted names and some defaults differ.
	Classic bool
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
}

// Value is one value of an option, as it stands in the file without quotes.
type Value struct {
	Line int
	Text string
}

// Fault is one thing that is wrong in a file.
type Fault struct {
	File string
	Line int // from 1
	Text string
}

// Error gives "file:line: text", on one line.
func (f Fault) Error() string {
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text)
}

// Faults is everything that is wrong in a file, in file order.
type Faults []Fault

// Error gives one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

func (f Faults) sort() {
	for i := range f { // nearly in order as they come
		for j := i; j > 0 && f[j].Line < f[j-1].Line; j-- {
			f[j], f[j-1] = f[j-1], f[j]
		}
	}
}
