package uci

import (
	"reflect"
	"strings"
	"testing"

	"tunneldigger/src/config"
)

// What libuci's file.c takes, and as what.
func TestScan(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []command
	}{
		{"empty", "", nil},
		{"blanks and comments", " \t\r\n# config x\n   # y", nil},
		{"plain", "config broker 'wan'\n\toption port '53'\n\tlist address \"::\"\n", []command{
			{1, "config", "broker", "wan"}, {2, "option", "port", "53"}, {3, "list", "address", "::"}}},
		{"anonymous", "config broker\nconfig broker ''\nconfig 'broker'", []command{
			{1, "config", "broker", ""}, {2, "config", "broker", ""}, {3, "config", "broker", ""}}},
		{"short keywords", "p x\nc s\no a 1\nl b 2", []command{
			{2, "config", "s", ""}, {3, "option", "a", "1"}, {4, "list", "b", "2"}}},
		{"no final newline", "config s\noption a b", []command{{1, "config", "s", ""}, {2, "option", "a", "b"}}},
		{"CRLF", "config s\r\n\r\n\toption a b\r\n\toption c 'd'\r\n", []command{
			{1, "config", "s", ""}, {3, "option", "a", "b"}, {4, "option", "c", "d"}}},
		{"package", "package tunneldigger-broker\n\nconfig s", []command{{3, "config", "s", ""}}},
		{"blanks between", " config \t s  x \n \t option\ta  \v\f 'b c'\t \n", []command{
			{1, "config", "s", "x"}, {2, "option", "a", "b c"}}},
		{"empty value", "config s\noption a ''\noption b\nlist c \"\"", []command{
			{1, "config", "s", ""}, {2, "option", "a", ""}, {3, "option", "b", ""}, {4, "list", "c", ""}}},
		{"quote in a value", `config s` + "\n" + `option a 'it'\''s'` + "\n" + `option b "it's"` + "\n" + `option c 'a "b"'`, []command{
			{1, "config", "s", ""}, {2, "option", "a", "it's"}, {3, "option", "b", "it's"}, {4, "option", "c", `a "b"`}}},
		{"pieces", `config s` + "\n" + `option a b'c d'"e f"g`, []command{
			{1, "config", "s", ""}, {2, "option", "a", "bc de fg"}}},
		{"backslash", `config s` + "\n" + `option a b\ c\'\"\\\n` + "\n" + `option b "\"\\\a'"` + "\n" + `option c '\a\'`, []command{
			{1, "config", "s", ""}, {2, "option", "a", `b c'"\n`}, {3, "option", "b", `"\a'`}, {4, "option", "c", `\a\`}}},
		{"comment behind", "config s # x\noption a b#c\noption d 'e'# f 'g\noption h 'i#j'", []command{
			{1, "config", "s", ""}, {2, "option", "a", "b"}, {4 - 1, "option", "d", "e"}, {4, "option", "h", "i#j"}}},
		{"several lines", "config s\noption a 'b\nc'\noption d \"e\\\nf\"\noption g h\\\r\ni\noption j k", []command{
			{1, "config", "s", ""}, {2, "option", "a", "b\nc"}, {4, "option", "d", "ef"}, {6, "option", "g", "hi"}, {8, "option", "j", "k"}}},
		{"semicolon", "config s; option a 'b'; option c d;\noption e 'f;g'", []command{
			{1, "config", "s", ""}, {1, "option", "a", "b"}, {1, "option", "c", "d"}, {2, "option", "e", "f;g"}}},
		{"odd type", "config a~b!", []command{{1, "config", "a~b!", ""}}},
		{"backslash at the end", `config s` + "\n" + `option a b\`, []command{{1, "config", "s", ""}, {2, "option", "a", "b"}}},
	} {
		got, faults := scan("f", c.text)
		if faults != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got  %v, %v\nwant %v", c.name, got, faults, c.want)
		}
	}
}

func TestSyntaxFaults(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"option a b", "f:1: option 'a' stands before the first section"},
		{"config s\nconfg x", "f:2: unknown keyword 'confg': want config, option or list"},
		{"config s\noption'a' b", "f:2: unknown keyword 'option'a'': want config, option or list"},
		{"config", "f:1: config: want the type of a section after it"},
		{"config ''", "f:1: config: want the type of a section after it"},
		{"config s\noption", "f:2: option: want the name of an option after it"},
		{"config s\nlist '' x", "f:2: list: want the name of an option after it"},
		{"package", "f:1: package: want the name of a package after it"},
		{"package a b", "f:1: package 'a': nothing may follow 'a', there is 'b': are quotes missing?"},
		{"package a.b", "f:1: package 'a.b': want letters, digits and '_' in the name of a package"},
		{"config s\noption a b c", "f:2: option 'a': nothing may follow 'b', there is 'c': are quotes missing?"},
		{"config s a b", "f:1: config 's': nothing may follow 'a', there is 'b': are quotes missing?"},
		{"config s a-b", "f:1: config 's' 'a-b': want letters, digits and '_' in the name of a section"},
		{"config 'a b'", "f:1: config 'a b': want letters, digits and '_' in the type of a section"},
		{"config s\noption a-b c", "f:2: option 'a-b': want letters, digits and '_' in the name of an option"},
		{"config s\n\n\toption a 'b\n\toption c d", "f:3: a quote ' is opened here and never closed"},
		{"config s\noption a \"b", "f:2: a quote \" is opened here and never closed"},
		{"config s\noption a \"b\\", "f:2: a quote \" is opened here and never closed"},
		{"config s\n\x00", "f:2: this is not a text file: it has a NUL byte"},
		// After a wrong line the next one is read, and what belongs to a wrong
		// section is not taken for options of the one before it.
		{"config s\noption a 'b\noption c d e", "f:2: a quote ' is opened here and never closed\n" +
			"f:3: option 'c': nothing may follow 'd', there is 'e': are quotes missing?"},
	} {
		_, faults := scan("f", c.text)
		if got := faults.Error(); got != c.want {
			t.Errorf("%q:\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
	_, faults := scan("f", strings.Repeat("x\n", 3000))
	if len(faults) != maxFaults+1 || faults[maxFaults].Error() != "f:2001: this is no UCI file, or too much is wrong in it" {
		t.Errorf("got %d faults, the last %v", len(faults), faults[len(faults)-1])
	}
	_, faults = scan("f", "config s\n"+strings.Repeat("option a b\n", maxCommands))
	if len(faults) != 1 || faults[0].Error() != "f:30001: want at most 30000 commands" {
		t.Errorf("got %d faults, the last %v", len(faults), faults[len(faults)-1])
	}
}

// Sections of one name are one, a later option replaces, list values add up,
// and each value keeps its line.
func TestSource(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []config.Section
		faults     string
	}{
		{"merged", "config s x\noption a 1\nconfig t\noption a 2\nconfig s x\noption b 3\noption a 4", []config.Section{
			{Type: "s", Name: "x", Line: 1, Options: []config.Option{
				{Name: "a", Line: 2, Values: []config.Value{{Line: 7, Text: "4"}}},
				{Name: "b", Line: 6, Values: []config.Value{{Line: 6, Text: "3"}}}}},
			{Type: "t", Line: 3, Options: []config.Option{{Name: "a", Line: 4, Values: []config.Value{{Line: 4, Text: "2"}}}}}}, ""},
		{"list", "config s\nlist a 1\nlist a 1\nlist a ''\nlist a 'it'\\''s'", []config.Section{
			{Type: "s", Line: 1, Options: []config.Option{{Name: "a", Line: 2, Values: []config.Value{
				{Line: 2, Text: "1"}, {Line: 3, Text: "1"}, {Line: 4, Text: ""}, {Line: 5, Text: "it's"}}}}}}, ""},
		{"option, then list", "config s\noption a 1\nlist a 2", []config.Section{
			{Type: "s", Line: 1, Options: []config.Option{{Name: "a", Line: 2, Values: []config.Value{{Line: 2, Text: "1"}, {Line: 3, Text: "2"}}}}}}, ""},
		{"list, then option", "config s\nlist a 1\nlist a 2\noption a 3", []config.Section{
			{Type: "s", Line: 1, Options: []config.Option{{Name: "a", Line: 2, Values: []config.Value{{Line: 4, Text: "3"}}}}}}, ""},
		{"empty option", "config s\noption a 1\noption a ''\noption b ''", []config.Section{
			{Type: "s", Line: 1, Options: []config.Option{{Name: "a", Line: 2, Values: []config.Value{{Line: 2, Text: "1"}}}, {Name: "b", Line: 4}}}}, ""},
		{"odd bytes", "config a~b\noption a '\xff\\\n\"$'", []config.Section{
			{Type: "a~b", Line: 1, Options: []config.Option{{Name: "a", Line: 2, Values: []config.Value{{Line: 2, Text: "\xff\\\n\"$"}}}}}}, ""},
		{"other type", "config s x\noption a 1\nconfig t x\noption a 2", []config.Section{
			{Type: "s", Name: "x", Line: 1, Options: []config.Option{{Name: "a", Line: 2, Values: []config.Value{{Line: 2, Text: "1"}}}}}},
			"f:3: t 'x': this name belongs to the s section on line 1"},
		{"wrong section", "config s\nconfig t a-b\noption a 2", []config.Section{{Type: "s", Line: 1}},
			"f:2: config 't' 'a-b': want letters, digits and '_' in the name of a section"},
	} {
		got := source("f", c.text)
		if !reflect.DeepEqual(got.Sections, c.want) || got.Faults.Error() != c.faults {
			t.Errorf("%s: got  %+v, %v\nwant %+v, %s", c.name, got.Sections, got.Faults, c.want, c.faults)
		}
	}
}
