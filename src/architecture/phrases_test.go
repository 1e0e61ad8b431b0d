package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What becomes text at run time is of types that src/phrase knows, and formats fit their values: the compiler and vet know only fmt.
func TestPhrases(t *testing.T) {
	for _, tags := range []string{"", "router"} {
		for _, fault := range phrases(t, "../..", tags) {
			t.Error(fault)
		}
	}
}

func TestPhrasesFinds(t *testing.T) {
	root := t.TempDir()
	text, err := os.ReadFile("../phrase/phrase.go")
	if err != nil {
		t.Fatal(err)
	}
	const begin = "// Package bad is wrong.\npackage bad\n\nimport \"tunneldigger/src/phrase\"\n\n" +
		"type count int\ntype pointed struct{}\nfunc (*pointed) String() string { return \"\" }\ntype log struct{}\nfunc (log) Info(text string, args ...any) {}\nvar _ = phrase.Append\n"
	write(t, root, map[string]string{"go.mod": "module tunneldigger\n\ngo 1.23.0\n", "src/phrase/phrase.go": string(text)})
	for code, want := range map[string]string{
		`phrase.Sprintf("%s", 1.5)`:                                `float64 becomes no text`,
		`phrase.Sprintf("%d", count(1))`:                           `tunneldigger/src/bad.count becomes no text`,
		`phrase.Sprintf("%s", &pointed{})`:                         `*tunneldigger/src/bad.pointed becomes no text`,
		`phrase.Sprintf("%d", "1")`:                                `%d has a string`,
		`phrase.Sprintf("%02d", 1)`:                                `%0 is no verb`,
		`phrase.Sprintf("%s")`:                                     `1 verbs, 0 values`,
		`phrase.Sprintf("100%% of", 1)`:                            `0 verbs, 1 values`,
		`phrase.Sprintf("%q", 65)`:                                 `%q has a int`,
		`args := []any{"key", 1}; args[1] = 1.5`:                   `float64 becomes no text`,
		`phrase.Errorf("%w", "x")`:                                 `%w has a string`,
		`f := "a"; f += "b"; phrase.Sprintf(f)`:                    `a format that is no constant`,
		`log{}.Info("x", "key", []int{1})`:                         `[]int becomes no text`,
		`args := []any{"key", count(1)}; _ = args`:                 `tunneldigger/src/bad.count becomes no text`,
		`var args []any; args = append(args, 1i); _ = args`:        `complex128 becomes no text`,
		`phrase.Append(nil, struct{}{})`:                           `struct{} becomes no text`,
		`phrase.Sprintf("%s %q %v %d%%", "a", "b", error(nil), 1)`: ``,
	} {
		write(t, root, map[string]string{"src/bad/bad.go": begin + "func f() {\n\t" + code + "\n}\n"})
		got := strings.Join(phrases(t, root, ""), "\n")
		if !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%s:\ngot  %s\nwant %s", code, got, want)
		}
	}
}

// phrases lists the faults in calls that make text, in packages that may get to a router, as they are with these build tags.
func phrases(t *testing.T, root, tags string) (faults []string) {
	t.Helper()
	list := exec.Command("go", "list", "-export", "-deps", "-tags", tags, "-json=ImportPath,Dir,GoFiles,Imports,Export", "./src/...")
	list.Dir = root
	list.Stderr = new(bytes.Buffer)
	text, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, list.Stderr)
	}
	type listed struct {
		ImportPath, Dir, Export string
		GoFiles, Imports        []string
	}
	packages := map[string]listed{}
	for decoder := json.NewDecoder(bytes.NewReader(text)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
	set := token.NewFileSet()
	imported := importer.ForCompiler(set, "gc", func(path string) (io.ReadCloser, error) { return os.Open(packages[path].Export) })
	for path, p := range packages {
		if name, ours := strings.CutPrefix(path, module+"src/"); !ours || routerless(name) || name == "phrase" {
			continue
		}
		var files []*ast.File
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		info := types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
		if _, err := (&types.Config{Importer: imported}).Check(path, set, files, &info); err != nil {
			t.Fatal(err)
		}
		speech := speech{info: &info, add: func(at token.Pos, format string, args ...any) {
			faults = append(faults, fmt.Sprintf("%s: %s", set.Position(at), fmt.Sprintf(format, args...)))
		}}
		for _, f := range files {
			ast.Inspect(f, speech.look)
		}
	}
	return faults
}

// speech looks at what becomes text in one package.
type speech struct {
	info *types.Info
	add  func(at token.Pos, format string, args ...any)
}

// look is for ast.Inspect.
func (s speech) look(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CompositeLit:
		if isAnys(s.info.TypeOf(n)) {
			s.values(n.Elts)
		}
	case *ast.AssignStmt:
		for i, left := range n.Lhs {
			if index, ok := left.(*ast.IndexExpr); ok && isAnys(s.info.TypeOf(index.X)) && len(n.Lhs) == len(n.Rhs) {
				s.values(n.Rhs[i : i+1])
			}
		}
	case *ast.CallExpr:
		s.call(n)
	}
	return true
}

func (s speech) call(n *ast.CallExpr) {
	if name, ok := n.Fun.(*ast.Ident); ok && name.Name == "append" && isAnys(s.info.TypeOf(n)) && !n.Ellipsis.IsValid() {
		s.values(n.Args[1:])
		return
	}
	signature, ok := s.info.TypeOf(n.Fun).(*types.Signature)
	if !ok {
		return
	}
	params := signature.Params()
	if last := params.Len() - 1; last >= 0 && !signature.Variadic() && isAny(params.At(last).Type()) && params.At(last).Name() == "value" {
		s.values(n.Args[last:])
	}
	if !signature.Variadic() || n.Ellipsis.IsValid() || !isAnys(params.At(params.Len()-1).Type()) {
		return
	}
	fixed := params.Len() - 1
	s.values(n.Args[fixed:])
	if fixed == 0 || params.At(fixed-1).Name() != "format" {
		return
	}
	format := s.info.Types[n.Args[fixed-1]].Value
	if format == nil {
		s.add(n.Pos(), "a format that is no constant")
		return
	}
	s.format(n.Pos(), constant.StringVal(format), n.Args[fixed:])
}

// format holds a format to its values.
func (s speech) format(at token.Pos, format string, values []ast.Expr) {
	var verbs []byte
	for pieces := strings.Split(strings.ReplaceAll(format, "%%", ""), "%")[1:]; len(pieces) > 0; pieces = pieces[1:] {
		verb := (pieces[0] + "\n")[0]
		if !strings.ContainsRune("sdvqw", rune(verb)) {
			s.add(at, "%%%c is no verb", verb)
		}
		verbs = append(verbs, verb)
	}
	if len(verbs) != len(values) {
		s.add(at, "%d verbs, %d values", len(verbs), len(values))
		return
	}
	for i, verb := range verbs {
		of := s.info.TypeOf(values[i])
		basic, _ := of.(*types.Basic)
		number := basic != nil && basic.Info()&types.IsInteger != 0
		if verb == 'd' && !number || verb == 'q' && number || verb == 'w' && !types.Implements(of, errorType) {
			s.add(at, "%%%c has a %s", verb, of)
		}
	}
}

// values holds what becomes text to what phrase.Append knows.
func (s speech) values(values []ast.Expr) {
	for _, v := range values {
		if index, ok := v.(*ast.IndexExpr); ok && isAnys(s.info.TypeOf(index.X)) {
			continue // which was looked at where it was put there
		}
		if of := s.info.TypeOf(v); !sayable(of) {
			s.add(v.Pos(), "%s becomes no text", of)
		}
	}
}

var (
	errorType  = types.Universe.Lookup("error").Type().Underlying().(*types.Interface)
	stringType = types.NewInterfaceType([]*types.Func{types.NewFunc(token.NoPos, nil, "String", types.NewSignatureType(nil, nil, nil, nil,
		types.NewTuple(types.NewVar(token.NoPos, nil, "", types.Typ[types.String])), false))}, nil).Complete()
)

// sayable reports whether phrase.Append knows a type. A pointer with a String or Error method may be nil, which would be a fault.
func sayable(of types.Type) bool {
	switch of := types.Unalias(of).(type) {
	case *types.Basic:
		return of.Info()&(types.IsString|types.IsInteger|types.IsBoolean) != 0 && of.Kind() != types.Int8 && of.Kind() != types.Int16 && of.Kind() != types.Uintptr
	case *types.Slice:
		element, basic := types.Unalias(of.Elem()).(*types.Basic)
		return basic && (element.Kind() == types.String || element.Kind() == types.Byte)
	case *types.Pointer:
		return false
	default:
		return types.Implements(of, errorType) || types.Implements(of, stringType)
	}
}

func isAny(of types.Type) bool {
	i, ok := types.Unalias(of).(*types.Interface)
	return ok && i.Empty()
}

func isAnys(of types.Type) bool {
	s, ok := of.(*types.Slice)
	return ok && isAny(s.Elem())
}
