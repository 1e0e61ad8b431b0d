package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tree is what the rules look at: the packages below src by their path there, and all their files but the tests.
type tree struct {
	packages map[string]pkg
	files    []file
	long     []string // files that src/README.md gives a reason to be long
}

type pkg struct {
	ImportPath, Doc string
	Imports         []string
}

type file struct {
	path, pkg string // "src/wire/append.go", "wire"
	lines     int
	servers   bool // not built for routers
	syntax    *ast.File
	set       *token.FileSet
	err       error
}

// read takes in the tree of the module in the folder root.
func read(root string) (tree, error) {
	t := tree{packages: map[string]pkg{}}
	// Tests behind tags have helpers that are not: with the tags they are packages, too. -e: what does not build is the
	// compiler's to say.
	list := exec.Command("go", "list", "-e", "-tags", "vm,demo,bench", "-json=ImportPath,Doc,Imports", "./src/...")
	list.Dir = root
	list.Stderr = new(bytes.Buffer)
	text, err := list.Output()
	if err != nil {
		return t, fmt.Errorf("go list: %w: %s", err, list.Stderr)
	}
	for decoder := json.NewDecoder(bytes.NewReader(text)); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return t, fmt.Errorf("go list: %w", err)
		}
		t.packages[strings.TrimPrefix(p.ImportPath, module+"src/")] = p
	}

	// By hand, and not from the list, so that a file for another system counts as well.
	err = filepath.WalkDir(filepath.Join(root, "src"), func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == "testdata" {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		f := file{path: filepath.ToSlash(relative), lines: bytes.Count(text, []byte("\n")), servers: bytes.HasPrefix(text, []byte("//go:build !router")), set: token.NewFileSet()}
		f.pkg = strings.TrimPrefix(path.Dir(f.path), "src/")
		f.syntax, f.err = parser.ParseFile(f.set, f.path, text, 0)
		t.files = append(t.files, f)
		return nil
	})
	if err != nil {
		return t, err
	}

	readme, err := os.ReadFile(filepath.Join(root, "src", "README.md"))
	for _, match := range regexp.MustCompile("(?m)^\\* `(src/[^`]+\\.go)`: .").FindAllSubmatch(readme, -1) {
		t.long = append(t.long, string(match[1]))
	}
	return t, err
}

// use is one mention of a function of another package.
type use struct {
	name string
	line int
}

// uses finds the mentions of functions, given by import path, under whatever name the file imports their package.
func (f file) uses(functions map[string][]string) []use {
	names := map[string]string{} // as imported: path
	for _, spec := range f.syntax.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		if spec.Name != nil {
			names[spec.Name.Name] = path
		} else {
			names[path[strings.LastIndex(path, "/")+1:]] = path
		}
	}
	var found []use
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if left, ok := selector.X.(*ast.Ident); ok && slices.Contains(functions[names[left.Name]], selector.Sel.Name) {
				found = append(found, use{names[left.Name] + "." + selector.Sel.Name, f.set.Position(selector.Pos()).Line})
			}
		}
		return true
	})
	return found
}

// moments finds the fields of structs that are a time.Time.
func (f file) moments() (lines []int) {
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if n, ok := n.(*ast.StructType); ok {
			for _, field := range n.Fields.List {
				if of, ok := field.Type.(*ast.SelectorExpr); ok && of.Sel.Name == "Time" && of.X.(*ast.Ident).Name == "time" {
					lines = append(lines, f.set.Position(field.Pos()).Line)
				}
			}
		}
		return true
	})
	return lines
}

// goroutines finds where the file starts some.
func (f file) goroutines() (lines []int) {
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if n, ok := n.(*ast.GoStmt); ok {
			lines = append(lines, f.set.Position(n.Pos()).Line)
		}
		return true
	})
	return lines
}

// write lays files below root.
func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
