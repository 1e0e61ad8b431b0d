package architecture

import (
	"flag"
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tunneldigger/src/config"
	"tunneldigger/src/config/classic"
	"tunneldigger/src/config/uci"
)

// documents are the texts for operators and for developers, by their path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"*.md", "files/doc/*.md", "openwrt/*.md", "src/*.md"} {
		paths, err := filepath.Glob("../../" + pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %q, %v", pattern, paths, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			texts[strings.TrimPrefix(path, "../../")] = string(text)
		}
	}
	return texts
}

// TestExamples reads the configurations that the documents show as the broker would.
func TestExamples(t *testing.T) {
	examples := map[string]int{}
	for path, text := range documents(t) {
		for i, block := range strings.Split(text, "```\n") {
			var c *config.Config
			var err error
			switch {
			case i%2 == 0:
				continue
			case strings.Contains("\n"+block, "\nconfig "):
				c, err = uci.Parse(path, block)
			case strings.HasPrefix(block, "[broker]"):
				c, err = classic.Parse(path, "/srv", block)
			default:
				continue
			}
			examples[path]++
			if err != nil {
				t.Errorf("%s: %v in:\n%s", path, err, block)
			} else if len(c.Brokers) == 0 {
				t.Errorf("%s: no broker in:\n%s", path, block)
			}
		}
	}
	if examples["README.md"] != 1 || examples["files/doc/configuration.md"] < 2 {
		t.Errorf("%v examples found, want 1 in README.md and 2 in configuration.md at least", examples)
	}
}

// TestReadmeIsShort keeps what somebody who comes by reads to what takes a minute; the rest goes to files/doc.
func TestReadmeIsShort(t *testing.T) {
	if lines := strings.Count(documents(t)["README.md"], "\n"); lines > 180 {
		t.Errorf("README.md has %d lines, want 180 at most", lines)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	code    = regexp.MustCompile("(?s)```.*?```")
	unnamed = regexp.MustCompile("[^a-z0-9 _-]")
)

// anchors are the names by which a Markdown page's headings are linked to.
func anchors(text string) (names []string) {
	for _, match := range heading.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
		names = append(names, strings.ReplaceAll(unnamed.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-"))
	}
	return names
}

// deadLinks lists the links of pages, by their path, that lead nowhere below root.
func deadLinks(root string, pages map[string]string) (dead []string) {
	for path, text := range pages {
		for _, match := range link.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			target, anchor, _ := strings.Cut(match[1], "#")
			other := path
			if target != "" {
				other = filepath.Join(filepath.Dir(path), target)
			}
			_, err := os.Stat(filepath.Join(root, other))
			if err != nil || anchor != "" && !slices.Contains(anchors(pages[other]), anchor) {
				dead = append(dead, path+": "+match[1])
			}
		}
	}
	slices.Sort(dead)
	return dead
}

// TestLinks follows every link from page to page, to a heading where it names one. (Those to the Internet it cannot.)
func TestLinks(t *testing.T) {
	pages := documents(t)
	if dead := deadLinks("../..", pages); len(dead) > 0 {
		t.Errorf("links that lead nowhere:\n%s", strings.Join(dead, "\n"))
	}
	for path := range pages {
		if name, found := strings.CutPrefix(path, "files/doc/"); found && !strings.Contains(pages["README.md"], "("+path+")") {
			t.Errorf("README.md does not lead to %s", name)
		}
	}
	// That it can fail.
	pages = map[string]string{"README.md": "[a](#here) [b](#there) [c](gone.md) [d](go.mod) [e](src/README.md#the-map)\n# Here\n```\n# There\n```\n", "src/README.md": "# The map!\n"}
	if dead, want := deadLinks("../..", pages), []string{"README.md: #there", "README.md: gone.md"}; !slices.Equal(dead, want) {
		t.Errorf("dead links %q, want %q", dead, want)
	}
}

// TestMentions wants every document that the sources mention to be there, and to have the chapter that they name.
func TestMentions(t *testing.T) {
	pages := documents(t)
	names := map[string]string{}
	for path, text := range pages {
		names[filepath.Base(path)], names[path] = text, text
	}
	mentions := 0
	mention := regexp.MustCompile(`([A-Za-z][A-Za-z0-9_/-]*\.md)(?:, "([^"]+)")?`)
	comment := regexp.MustCompile(`\n\s*// ?`)
	err := filepath.WalkDir("..", func(path string, entry os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, line := range regexp.MustCompile(`(?m)(?:^\s*//.*\n)+|//.*$`).FindAllString(string(text), -1) {
			for _, m := range mention.FindAllStringSubmatch(comment.ReplaceAllString("\n"+line, " "), -1) {
				page, there := names[m[1]]
				mentions++
				if !there || m[2] != "" && !strings.Contains(page, "# "+m[2]+"\n") {
					t.Errorf("%s mentions %s, which is not there", path, m[0])
				}
			}
		}
		return err
	})
	if err != nil || mentions < 10 {
		t.Errorf("%d mentions, %v", mentions, err)
	}
}

var update = flag.Bool("update", false, "write the lines of each package into src/README.md")

// mapRow is a row of the map's table of packages: their names, and how many lines of program they have.
var mapRow = regexp.MustCompile(`(?m)^\| ([a-z0-9/, -]+) \| ([0-9]+|lines|-+) \|`)

// TestMap wants a row for every package in the map's table of packages, no row without one, and the lines that they have, without tests,
// within a tenth or fifty. -update writes them.
func TestMap(t *testing.T) {
	tree, err := read("../..")
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]int{}
	for _, f := range tree.files {
		lines[f.pkg] += f.lines
	}
	whole := documents(t)["src/README.md"]
	before, table, _ := strings.Cut(whole, "\n## Packages\n")
	table, after, _ := strings.Cut(table, "\n## ")
	rows := map[string]bool{}
	table = mapRow.ReplaceAllStringFunc(table, func(row string) string {
		cells := mapRow.FindStringSubmatch(row)
		said, err := strconv.Atoi(cells[2])
		if err != nil {
			return row // the head
		}
		has := 0
		for _, name := range strings.Split(cells[1], ", ") {
			rows[name] = true
			has += lines[name]
		}
		if off := max(said-has, has-said); off > max(50, has/10) && !*update {
			t.Errorf("src/README.md says that %s has %d lines: it has %d (go test ./src/architecture -run TestMap -update)", cells[1], said, has)
		}
		return fmt.Sprintf("| %s | %d |", cells[1], has)
	})
	if *update {
		if err := os.WriteFile("../README.md", []byte(before+"\n## Packages\n"+table+"\n## "+after), 0o644); err != nil {
			t.Error(err)
		}
	}
	for name := range tree.packages {
		if !rows[name] {
			t.Errorf("src/README.md has no row for src/%s", name)
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("src/README.md has a row for src/%s, which is not there", name)
	}
}

// TestNames wants the files, packages and functions that the map names to be there.
func TestNames(t *testing.T) {
	tree, err := read("../..")
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]bool{} // "broker.Handle", and "Handle" alone
	add := func(pkg string, name *ast.Ident) {
		declared[pkg[strings.LastIndex(pkg, "/")+1:]+"."+name.Name], declared[name.Name] = true, true
	}
	for _, f := range tree.files {
		for _, name := range []string{strings.TrimPrefix(f.path, "src/"), filepath.Base(f.path), f.pkg, f.pkg[strings.LastIndex(f.pkg, "/")+1:]} {
			declared[name] = true
		}
		if f.err != nil {
			continue
		}
		for _, d := range f.syntax.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				add(f.pkg, d.Name)
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						add(f.pkg, spec.Name)
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							add(f.pkg, name)
						}
					}
				}
			}
		}
	}
	text := documents(t)["src/README.md"]
	name := regexp.MustCompile("`([a-z]+(?:/[a-z_]+)*\\.go|[a-z]+\\.[A-Z][A-Za-z]*)`")
	names := name.FindAllStringSubmatch(text, -1)
	_, ways, _ := strings.Cut(text, "\n## Two ways through\n")
	ways, _, _ = strings.Cut(ways, "\n## ")
	names = append(names, regexp.MustCompile("`([A-Za-z/]+)`").FindAllStringSubmatch(ways, -1)...)
	if len(names) < 30 {
		t.Errorf("only %d names found", len(names))
	}
	for _, m := range names {
		if pkg, _, of := strings.Cut(m[1], "."); of && !strings.HasSuffix(m[1], ".go") && !declared[pkg] {
			continue // the library's
		}
		if _, err := os.Stat("../" + m[1]); err != nil && !declared[m[1]] {
			t.Errorf("src/README.md names %s, which is not there", m[1])
		}
	}
}

// TestPictures holds what pages show to a size that whoever clones or installs pays for gladly.
func TestPictures(t *testing.T) {
	pictures, err := filepath.Glob("../../files/doc/*.png")
	if err != nil || len(pictures) == 0 {
		t.Fatalf("pictures: %q, %v", pictures, err)
	}
	for _, path := range pictures {
		if info, err := os.Stat(path); err != nil || info.Size() > 60000 {
			t.Errorf("%s: %d bytes, want at most 60000: %v", path, info.Size(), err)
		}
	}
}
