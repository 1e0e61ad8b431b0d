package uci

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	uci "github.com/digineo/go-uci"

	"tunneldigger/src/config"
)

// Whatever is in the file: no panic, faults with lines of the file and in their
// order, and a configuration that survives being written and read again.
func FuzzUCI(f *testing.F) {
	f.Add([]byte("package x\nconfig broker 'wan'\n\toption interface 'it'\\''s'\n\tlist port 53\n\tlist port \"123\"\r\n"))
	f.Add([]byte("config bridge; option interface 'br0'\nconfig hooks\n\toption session_up '/a b'\nconfig log\n\toption verbosity debug"))
	f.Add([]byte("config broker\n\toption connection_rate_limit 0.2\n\toption tunnel_timeout \"1\\\n0\" # x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, err := Parse("f", string(text))
		if err != nil {
			faults := err.(config.Faults) // nothing else can go wrong
			lines := 1 + strings.Count(string(text), "\n")
			for i, fault := range faults {
				if fault.Line < 1 || fault.Line > lines || i > 0 && fault.Line < faults[i-1].Line || strings.Contains(fault.Error(), "\n") {
					t.Errorf("fault %d of %d lines: %q", i, lines, fault.Error())
				}
			}
			if (cfg == nil) != faults.Stop() {
				t.Errorf("got %+v with %v", cfg, faults)
			}
			if cfg == nil {
				return
			}
		}
		again, err := Parse("g", config.FormatUCI(cfg))
		if err != nil {
			t.Fatalf("written and read again: %v", err)
		}
		cfg.Faults, cfg.Notices, again.Notices = nil, nil, nil
		if !reflect.DeepEqual(cfg, again) {
			t.Errorf("got  %+v\nwant %+v", again, cfg)
		}
	})
}

// Where go-uci takes a text as it stands, and so do we, both read the same.
func FuzzAgreement(f *testing.F) {
	f.Add("config s 'x'\n\toption a 'b'\n\tlist c d\n\tlist c \"e\"\n\tlist c d\n")
	f.Add("config s x\noption a 1\nlist a 2\nconfig s\nlist a 1\noption a 2 # c\n\nconfig s x\n\toption b 'c d'\n")
	f.Fuzz(func(t *testing.T, text string) {
		src := source("f", text)
		if src.Faults != nil || differs(text) {
			return
		}
		tree, name, err := load(t, text)
		if err != nil {
			return
		}
		count := map[string]int{}
		for _, s := range src.Sections {
			sections, _ := tree.GetSections(name, s.Type)
			n := count[s.Type]
			count[s.Type]++
			if n >= len(sections) || s.Name != "" && s.Name != sections[n] {
				t.Fatalf("section %d of type %s: got %q, want %q", n, s.Type, sections, s.Name)
			}
			for _, o := range s.Options {
				var want []string
				for _, v := range o.Values {
					want = append(want, v.Text)
				}
				got, _ := tree.Get(name, sections[n], o.Name)
				if !slices.Equal(got, unique(want)) {
					t.Errorf("%s.%s: go-uci has %q, we have %q", sections[n], o.Name, got, want)
				}
			}
		}
		for typ, n := range count {
			if sections, _ := tree.GetSections(name, typ); len(sections) != n {
				t.Errorf("type %s: go-uci has %q, we have %d", typ, sections, n)
			}
		}
	})
}

// differs reports whether a text has something that go-uci takes but understands
// in another way than libuci: backslashes, other blanks than tab and space,
// several commands on a line, quotes within a word, and whatever follows the
// letters of a section's type, even a comment: it is the section's name to it.
func differs(text string) bool {
	if strings.ContainsAny(text, "\\;\r\v\f") {
		return true
	}
	for _, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		for _, w := range words {
			if strings.ContainsAny(w[1:], "'\"") && !strings.ContainsAny(w[:1], "'\"") {
				return true
			}
		}
		if len(words) > 1 && words[0][0] == 'c' && (strings.Contains(line, "#") || !allowed("package", words[1])) {
			return true
		}
	}
	return false
}

// unique drops what go-uci drops.
func unique(values []string) (kept []string) {
	for _, v := range values {
		if !slices.Contains(kept, v) {
			kept = append(kept, v)
		}
	}
	return kept
}

// load has go-uci read a text. It reads files only.
func load(t *testing.T, text string) (tree uci.Tree, name string, err error) {
	folder, name := t.TempDir(), "text"
	if err := os.WriteFile(folder+"/"+name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tree = uci.NewTree(folder)
	return tree, name, tree.LoadConfig(name, false)
}

// Texts that go-uci refuses or misreads, and libuci takes.
func TestWhyNotGoUCI(t *testing.T) {
	for _, text := range []string{
		"config s\noption a ''\n", "config s\noption a 'it'\\''s'\n", "config s 'x'\r\noption a b\r\n",
		"package x\nconfig s\n", "config s\noption a b", "config s\noption a 'b\nc'\n",
	} {
		if _, _, err := load(t, text); err == nil {
			t.Errorf("go-uci takes %q now", text)
		}
		if src := source("f", text); src.Faults != nil {
			t.Errorf("we refuse %q: %v", text, src.Faults)
		}
	}
	tree, name, err := load(t, "config s x\nlist a 1\nlist a 1\n")
	if got, _ := tree.Get(name, "x", "a"); err != nil || len(got) != 1 {
		t.Errorf("repeated list value: go-uci has %q, %v", got, err)
	}
}
